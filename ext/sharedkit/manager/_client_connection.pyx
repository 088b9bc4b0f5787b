# cython: language_level=3
"""Messages over one connection, for a client. If a signal handler raises within one, no byte of it is lost.

A handler runs between two bytecodes, and compiled code has none. So here it runs only in `PyErr_CheckSignals`: before a
read or a write, never between one and the count of the bytes that it has moved.
"""

import os
import socket
from time import monotonic

import numpy as np

from sharedkit._core.receive_buffer import ReceiveBuffer
from sharedkit._core.poller import Poller
from sharedkit.manager import stopped_server
from sharedkit.manager import gevent_support
from sharedkit.manager.gevent_support import await_ready
from sharedkit.manager.stopped_server import Watch
from sharedkit.manager.protocol import rest_of

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EAGAIN, EBADF, EINTR, errno
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memmove
from posix.unistd cimport read, write

cdef extern from "poll.h" nogil:
    enum: POLLIN, POLLOUT

    struct pollfd:
        int fd
        short events
        short revents

    int poll(pollfd *fds, unsigned long count, int ms)

cdef extern from "sys/socket.h" nogil:
    enum: MSG_DONTWAIT, MSG_NOSIGNAL

    enum: SOL_SOCKET, SO_RCVTIMEO

    ssize_t c_send "send" (int fd, const void *data, size_t length, int flags)
    int setsockopt(int fd, int level, int option, const void *value, unsigned int length)

cdef extern from "sys/time.h" nogil:
    struct timeval:
        long tv_sec
        long tv_usec

cdef Py_ssize_t CHUNK = 1 << 16
cdef double LONGEST = 3600.0   # seconds of one sleep
cdef long SLICE = <long>(stopped_server.LOOK * 1e6)
cdef bint COOPERATIVE = gevent_support.COOPERATIVE
cdef object DONTWAIT = socket.MSG_DONTWAIT


cdef class ClientConnection:
    """ClientConnection(end, epoch=0, ident=0)
    --

    The received part of a message is kept here until the message is complete, so any later call can continue. The rest
    of a message larger than `CHUNK` is read directly into its final memory.

    `epoch` identifies a session of this process, `ident` the connection in the server, and `number` is that of the last
    call. Between `limit` and `unlimit`, no wait for the server is long without a check of a Watch. The Watch is made
    when it is first needed, because most answers come sooner.
    """

    cdef readonly object socket
    cdef readonly object epoch
    cdef readonly object ident
    cdef public object number
    cdef object watch
    cdef object client
    cdef double until                 # the monotonic time at which the call's time limit is over
    cdef bint limited
    cdef bint sliced                  # whether the system ends each read after `SLICE`
    cdef readonly uint64_t came       # grows with each read from the socket
    cdef readonly Py_ssize_t gone     # how many bytes of the last message were sent
    cdef readonly Py_ssize_t length   # how many bytes the last message has
    cdef object looker
    cdef object inlet
    cdef char *incoming
    cdef Py_ssize_t begin             # begin of the bytes in the buffer that belong to no returned message
    cdef Py_ssize_t end               # end of these bytes

    def __cinit__(self, end, epoch=0, ident=0):
        self.incoming = <char *>PyMem_Malloc(CHUNK)
        if self.incoming is NULL:
            raise MemoryError(f"{CHUNK} bytes for what a server says")
        self.socket = end
        self.epoch = epoch
        self.ident = ident
        self.number = 0
        self.looker = Poller()

    def __dealloc__(self):
        PyMem_Free(self.incoming)

    @property
    def begun(self):
        """Whether any part of the last message was sent."""
        return self.gone > 0

    @property
    def sent(self):
        """Whether the last message was sent completely."""
        return self.gone == self.length

    cdef int descriptor(self) except -1:
        cdef int fd = self.socket.fileno()
        if fd < 0:   # this process has closed it, and its number may belong to another file
            raise OSError(EBADF, "it was closed")
        return fd

    def limit(self, client, double until):
        """Limit the waits from now on, for a call of that client whose time limit is over at `until`."""
        self.client, self.until, self.limited = client, until, True

    def unlimit(self):
        """End the limit, because the call is over or was left."""
        self.watch = self.client = None
        self.limited = False

    cdef int slice_reads(self, int fd) except -1:
        """If the call is limited, make the system end a read without data after `SLICE`; otherwise undo that."""
        cdef timeval most
        most.tv_sec, most.tv_usec = 0, SLICE if self.limited else 0
        if setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) != 0:
            PyErr_SetFromErrno(OSError)
        self.sliced = self.limited
        return 0

    cdef int await_watched(self, int fd, bint to_write) except -1:
        """Wait until the descriptor is ready; check the watch meanwhile. Raises what the watch and handlers raise."""
        cdef pollfd asked
        cdef double seconds
        if self.watch is not None:
            seconds = self.watch.patience()
        else:
            self.watch = Watch(self.client, self.until - monotonic())
            seconds = self.watch.look(self) if self.sliced else self.watch.patience()   # a slice has ended if sliced
        cdef int ready, ms
        while True:
            seconds = min(seconds, LONGEST)
            if COOPERATIVE:
                ready = await_ready(fd, to_write, seconds)
            else:
                asked.fd, asked.events, asked.revents = fd, POLLOUT if to_write else POLLIN, 0
                ms = <int>(seconds * 1000) + 1
                with nogil:
                    ready = poll(&asked, 1, ms)
                PyErr_CheckSignals()
            if ready > 0:
                return 0
            seconds = self.watch.look(self)

    def offer(self, message):
        """Send the part of a message that the socket takes at once: `gone` of its `length` bytes. Raises OSError if the
        connection has ended.
        """
        cdef ssize_t n
        cdef int fd
        self.gone, self.length = 0, 0
        fd = self.descriptor()
        n = c_send(fd, PyBytes_AS_STRING(message), <size_t>PyBytes_GET_SIZE(message), MSG_DONTWAIT | MSG_NOSIGNAL)
        if n < 0 and errno != EAGAIN and errno != EINTR:
            PyErr_SetFromErrno(OSError)
        self.length = PyBytes_GET_SIZE(message)
        self.gone = max(n, 0)

    def send(self, message):
        """Send one complete message, in its frame. Raises OSError."""
        cdef ssize_t n
        cdef const char *data
        cdef size_t rest
        cdef int fd
        self.gone, self.length = 0, -1
        fd = self.descriptor()
        if type(message) is not bytes:
            self.send_parts(fd, message)
            return
        data = PyBytes_AS_STRING(message)
        self.length = PyBytes_GET_SIZE(message)
        while self.gone < self.length:
            rest = <size_t>(self.length - self.gone)
            if self.limited:
                n = c_send(fd, data + self.gone, rest, MSG_DONTWAIT | MSG_NOSIGNAL)
            else:
                with nogil:
                    n = write(fd, data + self.gone, rest)
            if n >= 0:
                self.gone += n
            elif errno == EAGAIN:
                if self.limited:
                    self.await_watched(fd, True)
                else:
                    await_ready(fd, True)
            elif errno != EINTR:
                PyErr_SetFromErrno(OSError)
            else:
                PyErr_CheckSignals()

    cdef int send_parts(self, int fd, message) except -1:
        cdef Py_ssize_t length = 0
        for part in message:
            length += len(part)
        self.length = length
        while message:
            try:
                n = self.socket.sendmsg(message, (), DONTWAIT) if self.limited else os.writev(fd, message)
            except BlockingIOError:
                if self.limited:
                    self.await_watched(fd, True)
                else:
                    await_ready(fd, True)
                continue
            self.gone += n
            message = rest_of(message, n)
        return 0

    def receive(self):
        """Wait for the next message. Raises EOFError if the other side has ended the connection, OSError."""
        cdef ssize_t n
        cdef int fd
        cdef char *to
        cdef size_t room
        cdef Py_ssize_t head, length
        while True:
            if self.inlet is not None:
                return self.receive_rest()
            head = self.frame(&length)
            if head:
                if self.end - self.begin >= head + length:
                    message = PyBytes_FromStringAndSize(self.incoming + self.begin + head, length)
                    self.begin += head + length
                    return message
                if head + length > CHUNK:
                    self.inlet = self.room_for(head, length)
                    continue
            if self.begin:
                memmove(self.incoming, self.incoming + self.begin, <size_t>(self.end - self.begin))
                self.end -= self.begin
                self.begin = 0
            fd = self.descriptor()
            if self.sliced != self.limited and not COOPERATIVE:
                self.slice_reads(fd)
            self.looker.look(fd)
            PyErr_CheckSignals()
            to = self.incoming + self.end
            room = <size_t>(CHUNK - self.end)
            with nogil:
                n = read(fd, to, room)
            if n > 0:
                self.end += n
                self.came += n
            elif n == 0:
                raise EOFError
            elif errno == EAGAIN:
                if self.limited:
                    self.await_watched(fd, False)
                else:
                    await_ready(fd, False)
            elif errno != EINTR:
                PyErr_SetFromErrno(OSError)
            else:
                PyErr_CheckSignals()
            self.looker.woke()

    cdef Py_ssize_t frame(self, Py_ssize_t *length) except -1:
        """Return the length of the head of the first message's frame (see `protocol.frame`); 0 if it is incomplete."""
        cdef const unsigned char *at = <const unsigned char *>self.incoming + self.begin
        cdef Py_ssize_t there = self.end - self.begin
        cdef uint64_t wide = 0
        cdef int i
        if there < 4:
            return 0
        if at[0] < 0x80:
            length[0] = <Py_ssize_t>at[0] << 24 | <Py_ssize_t>at[1] << 16 | <Py_ssize_t>at[2] << 8 | <Py_ssize_t>at[3]
            return 4
        if there < 12:
            return 0
        for i in range(4, 12):
            wide = wide << 8 | at[i]
        if at[0] & at[1] & at[2] & at[3] != 0xFF or wide > 1 << 62:
            raise EOFError("what listens there is not a sharedkit server")
        length[0] = <Py_ssize_t>wide
        return 12

    cdef object room_for(self, Py_ssize_t head, Py_ssize_t length):
        """Return the memory for a large message, with its received part copied. The caller stores it as `inlet`."""
        cdef Py_ssize_t here = self.end - self.begin - head
        memory = np.empty(length, np.uint8).data
        cdef Py_buffer view
        PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        memcpy(view.buf, self.incoming + self.begin + head, <size_t>here)
        PyBuffer_Release(&view)
        inlet = ReceiveBuffer(memory, here)
        self.begin = self.end = 0
        return inlet

    cdef object receive_rest(self):
        """Receive the rest of a large message."""
        cdef int fd
        inlet = self.inlet
        while inlet.filled < len(inlet.memory):
            fd = self.descriptor()
            if self.sliced != self.limited and not COOPERATIVE:
                self.slice_reads(fd)
            self.looker.look(fd)
            try:
                if not inlet.fill(fd):
                    raise EOFError
                self.came += 1
            except BlockingIOError:
                if self.limited:
                    self.await_watched(fd, False)
                else:
                    await_ready(fd, False)
            self.looker.woke()
        self.inlet = None
        return inlet.memory
