# cython: language_level=3
"""The readers of a stream: each has a position of its own, and pins what it reads while it copies it or looks at it."""

import queue
import types

cimport cython
from cpython.buffer cimport (
    PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t

import numpy as np

from sharedkit import errors
from sharedkit._core import readiness, timeouts
from sharedkit._core.frames import Frame, expire
from sharedkit._core.interrupts cimport attend, unanswered
from sharedkit._core.iteration import until_shutdown
from sharedkit._core.segment cimport (
    SK_BUSY, SK_CORRUPT, SK_EMPTY, SK_EXCESS, SK_FULL, SK_INTERRUPTED, SK_OK, SK_SHUTDOWN, SK_TIMEOUT,
    Dropped, Handle, Segment, closed, deadline_of, ends_anywhere, is_too_long, keep, refuse, sk_now_ns, sk_segment,
)
from sharedkit._core.watcher cimport Waiter, pending, sk_waits_aside
from sharedkit.aio._lazy cimport coroutines, waiting
from sharedkit.shm._codec cimport (
    KIND_ARRAY, KIND_BYTES, KIND_PICKLE_OOB, array_for, corrupt, decode, unpickle_oob,
)
from sharedkit.shm._stream_kernel cimport (
    KIND_ELEMENTS, SK_STREAM_AT_POSITION, SK_STREAM_PINS,
    sk_stream_copy, sk_stream_data, sk_stream_drop, sk_stream_length, sk_stream_lost, sk_stream_of, sk_stream_read,
    sk_stream_reader_is_mine, sk_stream_register, sk_stream_rows, sk_stream_slots, sk_stream_tail, sk_stream_unpin,
    sk_stream_unregister, sk_stream_wait,
)
from sharedkit.shm._waiting cimport ReadyWaiter, ready, sk_wait_state

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object Empty = queue.Empty, ShutDown = errors.ShutDown
cdef object ndarray = np.ndarray, empty = np.empty
cdef enum:
    SMALL = 2048              # the largest message that is first copied to the stack
    QUICK = 32768             # the largest message that is copied with the GIL held


cdef class Form:

    def __init__(self, shape, dtype):
        self.shape = shape
        self.dtype = dtype
        self.nbytes = 0
        if shape is not None:
            self.nbytes = dtype.itemsize
            for length in shape:
                self.nbytes *= <uint64_t>length


@cython.no_gc
cdef class Registration:

    cdef int enrol(self, sk_stream_begin_at at, uint64_t lost) except -1:
        """Take a row. Raises RuntimeError if the stream has as many readers as it can have."""
        cdef int rc = SK_BUSY
        while unanswered(self.segment, rc):
            with nogil:
                rc = sk_stream_register(self.segment.s, &self.reader, at, lost, FOR_EVER)
        if rc == SK_FULL:
            most = sk_stream_rows(self.segment.s)
            raise RuntimeError(
                f"the stream {self.segment.name!r} has {most} readers, as many as it can have: close one, or create it "
                f"with max_readers={2 * most}"
            )
        if rc != SK_OK:
            refuse(rc, 0, self.segment)
        return 0

    cdef void end(self) noexcept:
        if self.segment is not None:
            sk_stream_unregister(self.segment.s, &self.reader)

    def __dealloc__(self):
        self.end()


@cython.no_gc
cdef class Slot:

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.size, self.registration is not None, flags)

    def __dealloc__(self):
        if self.registration is not None:
            sk_stream_unpin(self.registration.segment.s, &self.registration.reader, self.pin)
        elif self.segment is not None:
            with nogil:
                sk_stream_drop(self.segment.s, &self.claim, sk_now_ns() + 100000000)


cdef object frame_over(Slot slot, Form form):
    """Return an array over the slot."""
    return ends_anywhere(ndarray.__new__(Frame, form.shape, form.dtype, slot))


cdef class Reading:
    """A `with` block around one message, which is pinned meanwhile: `with reader.read() as view`."""

    cdef StreamReader reader
    cdef object timeout
    cdef bint willing
    cdef object view

    def __enter__(self):
        cdef sk_stream_message found
        cdef Registration registration
        self.refuse_again()
        self.reader.find(False, self.willing, self.timeout, &found)
        registration = self.reader.registration
        self.view = self.reader.view(registration, &found)
        return self.view

    cdef int refuse_again(self) except -1:
        if self.view is not None:
            raise RuntimeError("this block is in use already: call read() for each block")
        return 0

    def __exit__(self, *exc):
        view, self.view = self.view, None
        if type(view) is Frame:
            expire(view)
        elif type(view) is memoryview:
            try:
                view.release()
            except BufferError:    # something still refers to its bytes: they stay pinned until that ends
                pass

    async def __aenter__(self):
        self.refuse_again()
        self.view = await self.reader.later(READ, self.willing, self.timeout, None)
        return self.view

    async def __aexit__(self, *exc):
        self.__exit__()


cdef class StreamReader(Handle):
    """A reader of a stream, with a position of its own: `stream.reader()` makes one.

    Iteration yields messages as `get` reads them, until the stream has ended. A pickled reader is another reader at the
    same position; so is the copy that a forked child has, from its first use on. A reader ends when it is closed, when
    its last reference is dropped, and with its process.
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, *args, **kwargs):
        raise TypeError("a stream makes its readers: stream.reader()")

    cdef open(self, Segment segment, Form form, sk_stream_begin_at at, uint64_t position, uint64_t lost):
        cdef Registration registration = Registration.__new__(Registration)
        registration.segment = segment
        registration.reader.position = position
        registration.enrol(at, lost)
        self.form = form
        self.registration = ends_anywhere(registration)
        self.bind(segment)

    cdef void drop(self, Dropped *dropped) noexcept:
        if self.registration is not None:
            self.registration.end()
            keep(dropped, self.registration)
            self.registration = None
        Handle.drop(self, dropped)

    cdef Registration mine(self):
        """Return the registration; in the child of a fork, which has none, a new one at the same position."""
        cdef Registration registration = self.registration
        cdef Registration fresh
        if self.s is NULL:
            closed(self)
        if sk_stream_reader_is_mine(self.s, &registration.reader):
            return registration
        fresh = Registration.__new__(Registration)
        fresh.segment = self.segment
        fresh.reader.position = registration.reader.position
        fresh.enrol(SK_STREAM_AT_POSITION, 0)
        self.registration = ends_anywhere(fresh)
        return fresh

    cdef int wait(self, Segment segment, uint64_t until) except? -99:
        """Wait one slice for a message behind the reader's position. Raises what signal handlers raise."""
        cdef sk_stream_reader reader = self.registration.reader
        cdef int rc
        with nogil:
            rc = sk_stream_wait(segment.s, &reader, until)
        if rc == SK_INTERRUPTED:
            attend(segment)
        return rc

    cdef int find(self, bint latest, object willing, object timeout, sk_stream_message *found) except -1:
        """Pin the next message, or the latest one, waiting for it. Raises Empty, ShutDown."""
        cdef Registration registration = self.mine()
        cdef Segment segment = self.segment
        cdef uint64_t until = FOR_EVER
        cdef bint waits = willing, over = False
        cdef int rc
        if timeout is not None and waits:
            until = deadline_of(timeout)
        while True:
            rc = sk_stream_read(segment.s, &registration.reader, latest, found)
            if rc == SK_OK:
                return 0
            if rc == SK_SHUTDOWN:
                raise ShutDown
            if rc == SK_EXCESS:
                raise RuntimeError(
                    f"{SK_STREAM_PINS} views of this reader are in use, as many as it can have: end their blocks, and "
                    "drop the arrays that share their memory"
                )
            if rc != SK_EMPTY:
                refuse(rc, 0, segment)
            if over or not waits:
                raise Empty
            if is_too_long(until):
                raise timeouts.too_long()
            over = self.wait(segment, until) == SK_TIMEOUT
            registration = self.mine()    # a signal handler may have closed the reader

    cdef object item(self, Registration registration, sk_stream_message *found, object out):
        """Copy a pinned message out, remove the pin, and return the object."""
        cdef char small[SMALL]
        cdef Segment segment = registration.segment
        cdef Form form = self.form
        cdef Py_buffer target
        cdef uint64_t start = 0, size = found.payload
        cdef uint32_t kind = found.kind
        cdef int rc = SK_OK
        cdef char *to
        if form.shape is not None:
            try:
                if kind != KIND_ELEMENTS or size != form.nbytes:
                    corrupt(segment)
                if out is None:
                    out = empty(form.shape, form.dtype)
                PyObject_GetBuffer(bytes_of(out), &target, PyBUF_WRITABLE)
                rc = copy_out(segment.s, found, 0, target.buf, size)
                PyBuffer_Release(&target)
            finally:
                sk_stream_unpin(segment.s, &registration.reader, found.pin)
            if rc != SK_OK:
                refuse(rc, 0, segment)
            return out
        if size <= SMALL:
            rc = sk_stream_copy(segment.s, found, 0, small, size)
            sk_stream_unpin(segment.s, &registration.reader, found.pin)
            if rc != SK_OK:
                refuse(rc, 0, segment)
            return decode(kind, small, size, segment)
        try:
            if kind == KIND_ARRAY:
                rc = sk_stream_copy(segment.s, found, 0, small, SMALL)
                item = array_for(small, SMALL, size, &start, segment)
                PyObject_GetBuffer(item.reshape(-1, order="A").view("u1"), &target, PyBUF_WRITABLE)
                if rc == SK_OK:
                    rc = copy_out(segment.s, found, start, target.buf, size - start)
                PyBuffer_Release(&target)
            else:
                item = bytearray(size) if kind == KIND_PICKLE_OOB else PyBytes_FromStringAndSize(NULL, size)
                to = <char *>item if kind == KIND_PICKLE_OOB else PyBytes_AS_STRING(item)
                rc = copy_out(segment.s, found, 0, to, size)
        finally:
            sk_stream_unpin(segment.s, &registration.reader, found.pin)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        if kind == KIND_ARRAY or kind == KIND_BYTES:
            return item
        if kind == KIND_PICKLE_OOB:
            return unpickle_oob(item, segment)
        return decode(kind, PyBytes_AS_STRING(item), size, segment)

    cdef object view(self, Registration registration, sk_stream_message *found):
        """Return a view of a pinned message if it is an array or bytes in one slot; otherwise the object, copied."""
        cdef unsigned char *data = sk_stream_data(registration.segment.s, found.slot, found.length)
        cdef Form form = self.form
        cdef uint64_t skip = 0
        cdef bint array = form.shape is not None
        cdef Slot slot
        if data is NULL or not array and found.kind != KIND_ARRAY and found.kind != KIND_BYTES:
            return self.item(registration, found, None)
        slot = Slot.__new__(Slot)
        slot.registration = registration
        slot.pin = found.pin
        slot.data = data
        slot.size = found.payload
        ends_anywhere(slot)
        if array:
            if found.kind != KIND_ELEMENTS or found.payload != form.nbytes:
                corrupt(registration.segment)
            return frame_over(slot, form)
        if found.kind == KIND_BYTES:
            return ends_anywhere(memoryview(slot))
        like = array_for(<char *>data, min(found.payload, <uint64_t>SMALL), found.payload, &skip, registration.segment)
        order = "C" if like.flags.c_contiguous else "F"
        return ends_anywhere(ndarray.__new__(Frame, like.shape, like.dtype, slot, skip, None, order))

    # --- reading -----------------------------------------------------------------------------------

    def get(self, block=True, timeout=None, *, blocking=None, out=None):
        """Return a copy of the next message, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        `out`: of a stream of arrays, an array of the same shape and dtype, into which the message is copied. Raises
        queue.Empty, ShutDown when the stream has ended and everything is read, TypeError and ValueError for another
        `out`, and what unpickling raises (then the message has been read).
        """
        cdef sk_stream_message found
        if out is not None:
            check_out(self.form, out)
        self.find(False, block if blocking is None else blocking, timeout, &found)
        return self.item(self.registration, &found, out)

    def get_nowait(self):
        """Same as get(block=False).
        """
        return self.get(False)

    def latest(self, block=True, timeout=None, *, blocking=None, out=None):
        """Return a copy of the newest message, and go on behind it; what is skipped does not count as lost. Waits only
        for the first message of the stream; the same message is returned again while there is no newer one.

        Raises as `get` does; ShutDown when the stream has ended and its last message was read.
        """
        cdef sk_stream_message found
        if out is not None:
            check_out(self.form, out)
        self.find(True, block if blocking is None else blocking, timeout, &found)
        return self.item(self.registration, &found, out)

    def read(self, block=True, timeout=None, *, blocking=None):
        """Return a block around the next message: `with reader.read() as view:`, or `async with`.

        The view of an array, or of bytes (a memoryview), is read-only and no copy: its memory is pinned until the end
        of the block, and as long as anything derived from the view exists. Other objects, and those larger than a slot,
        are copies. Behind the block, using the view raises ValueError. Entering raises as `get` does.
        """
        cdef Reading reading = Reading.__new__(Reading)
        self._segment()
        reading.reader = self
        reading.willing = block if blocking is None else blocking
        reading.timeout = timeout
        return reading

    def aget(self, block=True, timeout=None, *, blocking=None, out=None):
        """Read as `get` does, without blocking the event loop; a coroutine. A cancelled task has read nothing.
        """
        if out is not None:
            check_out(self.form, out)
        return self.later(GET, block if blocking is None else blocking, timeout, out)

    def alatest(self, block=True, timeout=None, *, blocking=None, out=None):
        """Read as `latest` does, without blocking the event loop; a coroutine.
        """
        if out is not None:
            check_out(self.form, out)
        return self.later(LATEST, block if blocking is None else blocking, timeout, out)

    def aread(self, block=True, timeout=None, *, blocking=None):
        """Same as `read`, for `async with`.
        """
        return self.read(block, timeout, blocking=blocking)

    cdef object later(self, int what, object willing, object timeout, object out):
        """Return the coroutine of an awaitable method."""
        cdef ReadWaiter waiter = ReadWaiter.__new__(ReadWaiter)
        self.mine()
        waiter.what = what
        waiter.reader = self
        waiter.out = out
        waiter.willing = willing
        until = deadline_of(timeout) if willing else FOR_EVER
        if is_too_long(until):
            raise timeouts.too_long()
        waiter.set(self.segment, (<size_t><void *>self, "read") if willing else None, until)
        return waiting(waiter)

    def __iter__(self):
        """Yield messages until the stream has ended and everything is read."""
        self._segment()
        return until_shutdown(self.get)

    def __aiter__(self):
        """Yield messages until the stream has ended: `async for message in reader`."""
        return coroutines().iterate(self.aget)

    # --- where the reader is -------------------------------------------------------------------------

    @property
    def position(self):
        """The number of the next message to read; the first message of the stream has number 0."""
        return self.mine().reader.position

    @property
    def lost(self):
        """How many messages were overwritten before this reader came to them, up to now: exact."""
        cdef Registration registration = self.mine()
        return sk_stream_lost(self.s, &registration.reader) + missed(self.s, registration)

    def __len__(self):
        """How many messages are there to read."""
        cdef Registration registration = self.mine()
        cdef uint64_t tail = sk_stream_tail(sk_stream_of(self.s)), position = registration.reader.position
        cdef uint64_t length = min(tail - position, sk_stream_length(sk_stream_of(self.s)))
        if length > sk_stream_slots(self.s) + 1:
            refuse(SK_CORRUPT, 0, self.segment)
        return <Py_ssize_t>length

    @property
    def shape(self):
        """Shape of each message; None if they are any objects."""
        self._segment()
        return self.form.shape

    @property
    def dtype(self):
        """Dtype of each message; None if they are any objects."""
        self._segment()
        return self.form.dtype

    def __reduce__(self):
        cdef Registration registration = self.mine()
        lost = sk_stream_lost(self.s, &registration.reader)
        return arrived, (Traveller(self.segment), registration.reader.position, lost)

    def __bool__(self):
        return True

    def __repr__(self):
        if self.s is NULL:
            return "<StreamReader closed>"
        return f"<StreamReader position={self.position} lost={self.lost} name={self.name!r}>"


cdef uint64_t missed(sk_segment *s, Registration registration) noexcept:
    """Return how many messages are gone that the reader has not come to yet."""
    cdef uint64_t tail = sk_stream_tail(sk_stream_of(s)), oldest = tail - sk_stream_length(sk_stream_of(s))
    cdef uint64_t position = registration.reader.position
    return oldest - position if oldest > position else 0


cdef StreamReader reader_of(Segment segment, Form form, sk_stream_begin_at at, uint64_t position, uint64_t lost):
    cdef StreamReader self = StreamReader.__new__(StreamReader)
    self.open(segment, form, at, position, lost)
    return self


class Traveller:
    """Pickled in place of a stream, of which only the segment is at hand."""

    __slots__ = ("segment",)

    def __init__(self, segment):
        self.segment = segment

    def __reduce__(self):
        return self.segment.travel()


def arrived(stream, position, lost):
    """Return the reader that was pickled at that position."""
    return stream._reader_at(position, lost)


cdef object bytes_of(object array):
    """Return an object whose buffer is the memory of a contiguous array; some dtypes have no buffer of their own."""
    return array if array.dtype.kind in "biufc" and array.dtype.isnative else array.reshape(-1).view("u1")


cdef int check_out(Form form, object out) except -1:
    """Raise an error unless a message fits into `out` exactly."""
    if form.shape is None:
        raise TypeError("out= is for streams of arrays: Stream(shape, dtype)")
    if not isinstance(out, ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if out.shape != form.shape or out.dtype != form.dtype:
        raise ValueError(f"out has shape {out.shape} and dtype {out.dtype}, the messages {form.shape} and {form.dtype}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out must be writable and its elements side by side, in C order")
    return 0


cdef int copy_out(sk_segment *s, sk_stream_message *found, uint64_t start, void *to, uint64_t size) noexcept:
    cdef int rc
    if size <= QUICK:
        return sk_stream_copy(s, found, start, to, size)
    with nogil:
        rc = sk_stream_copy(s, found, start, to, size)
    return rc


# --- the wait of a task -----------------------------------------------------------------------------------

cdef enum:
    GET, LATEST, READ


cdef class ReadWaiter(Waiter):

    cdef StreamReader reader
    cdef object out
    cdef int what
    cdef bint willing

    cdef int drop(self) except -1:
        self.reader = self.out = None
        return Waiter.drop(self)

    cdef object look(self):
        cdef StreamReader reader = self.reader
        cdef Registration registration = reader.mine()
        cdef sk_segment *s = self.segment.s
        cdef sk_stream_message found
        cdef int rc = sk_stream_read(s, &registration.reader, self.what == LATEST, &found)
        if rc == SK_OK:
            if self.what == READ:
                return reader.view(registration, &found)
            return reader.item(registration, &found, self.out)
        if rc == SK_EMPTY and self.willing:
            if sk_now_ns() >= self.until:
                raise Empty
            sk_waits_aside(&self.aside)
            rc = sk_stream_wait(s, &registration.reader, self.until)
            sk_waits_aside(NULL)
            return pending()
        reader.find(self.what == LATEST, False, None, &found)    # raises
        return reader.item(registration, &found, self.out) if self.what != READ else reader.view(registration, &found)


# --- readiness: whether a call would not have to wait -------------------------------------------------------


cdef int ready_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_stream_wait(s, <sk_stream_reader *>what, until)


cdef class ReaderReady(ReadyWaiter):

    cdef Registration registration

    cdef int drop(self) except -1:
        self.registration = None
        return ReadyWaiter.drop(self)


def ready_to_get(StreamReader handle):
    """Return the wait until there is a message to read, or the stream has ended."""
    cdef ReaderReady waiter = ReaderReady.__new__(ReaderReady)
    waiter.registration = handle.mine()
    return ready(waiter, handle.segment, ready_slice, NULL, &waiter.registration.reader)


readiness.register(
    StreamReader, dict.fromkeys(("", "get", "get_nowait", "read", "aget", "aread"), ready_to_get)
)
