# cython: language_level=3
"""Reads into memory and counts the received bytes, even if an error or a signal interrupts the reader."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from posix.unistd cimport read


cdef class ReceiveBuffer:
    """ReceiveBuffer(memory, filled)
    --

    Memory that is filled from a descriptor, and the number of bytes filled so far. A signal handler runs before a read,
    or after its bytes are counted, but never in between: there an exception would lose the count.
    """

    cdef readonly object memory
    cdef readonly Py_ssize_t filled
    cdef Py_buffer view

    def __cinit__(self, memory, Py_ssize_t filled):
        PyObject_GetBuffer(memory, &self.view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        if not 0 <= filled <= self.view.len:
            PyBuffer_Release(&self.view)
            raise ValueError(f"{filled} of {self.view.len} bytes cannot be there")
        self.memory = memory
        self.filled = filled

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    def fill(self, int fd):
        """Wait for bytes from `fd` and read them; return how many, 0 at the end of the stream. Raises OSError."""
        cdef ssize_t came = -1
        cdef char *to = <char *>self.view.buf + self.filled
        cdef size_t room = self.view.len - self.filled
        while came < 0:
            with nogil:
                came = read(fd, to, room)
            if came < 0:
                if errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                PyErr_CheckSignals()
        self.filled += came
        return came
