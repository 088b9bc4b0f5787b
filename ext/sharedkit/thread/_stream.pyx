# cython: language_level=3
"""The stream of the threads of one process: the C code of the stream orders the messages and counts positions; the
messages themselves are objects in a list, with a place for each slot."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

import numpy as np

from sharedkit._core import timeouts
from sharedkit._core.frames import Frame, expire
from sharedkit._core.interrupts cimport attend
from sharedkit._core.segment cimport (
    SK_BUSY, SK_FULL, SK_INTERRUPTED, SK_OK, PrivateSegment, Segment, closed, deadline_of, is_too_long,
)
from sharedkit._core.watcher cimport pending, sk_waits_aside
from sharedkit.aio._lazy cimport waiting
from sharedkit.shm import _stream as shared
from sharedkit.shm._stalls cimport SK_STALLED
from sharedkit.shm._stream cimport RoomWaiter
from sharedkit.shm._stream cimport Stream as SharedStream
from sharedkit.shm._stream cimport fitting, refuse_put
from sharedkit.shm._stream_kernel cimport (
    sk_call, sk_slots, sk_stream, sk_stream_await_room, sk_stream_begin, sk_stream_begin_at, sk_stream_cancel,
    sk_stream_end, sk_stream_message, sk_stream_of, sk_stream_publish_slot, sk_stream_take, sk_stream_unpin,
)
from sharedkit.shm._stream_reader cimport Form, Registration, StreamReader
from sharedkit.shm._waiting cimport sk_wait_state, this_thread

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object ndarray = np.ndarray


def blueprint(shape, dtype, slots, slot_bytes, overflow, max_readers):
    """Return the blueprint of a stream; see `sharedkit.shm._stream.blueprint`."""
    plan = shared.blueprint(shape, dtype, slots, slot_bytes, overflow, max_readers)
    form = shared.form_of(shape, dtype)

    def made(place, name, seats, flags):
        segment = shared.make(
            place, name, seats, flags, slots, 0, shared.MODES.index(overflow), max_readers, b""
        )
        segment.partner = form, [None] * (slots + 1)
        return segment

    return plan._replace(make=made, differs=lambda there: shared.differs(there, form, slots, 0, overflow, max_readers))


cdef int publish_now(Segment segment, object message, bint *waits) except -1:
    """Publish the message if there is room; otherwise set *waits, or raise ShutDown. No Python code runs in here before
    the message is published, so neither a signal handler nor another thread comes in between."""
    cdef list messages = (<PrivateSegment>segment).partner[1]
    cdef sk_stream *st = sk_stream_of(segment.s)
    cdef sk_slots m
    cdef sk_call call
    cdef uint32_t slot = 0
    cdef int rc
    call.until = 0
    call.willing = False
    call.wait = NULL
    before = None
    with cython.critical_section(messages):
        rc = sk_stream_begin(segment.s, st, call)
        if rc == SK_OK:
            rc = sk_stream_take(segment.s, st, 0, 0, &m, &slot)
            if rc == SK_OK:
                before = messages[slot]    # its finalizer runs when everything is done
                messages[slot] = message
                rc = sk_stream_publish_slot(segment.s, st, &m, slot)
            sk_stream_end(st)
    waits[0] = rc == SK_FULL or rc == SK_BUSY
    if rc != SK_OK and not waits[0]:
        refuse_put(segment, rc, 0, NULL)
    return 0


cdef object message_of(Form form, object item):
    """Return what is stored: a read-only copy of an array of the form, or the object itself."""
    if form.shape is None:
        return item
    fitting(form, item)
    copied = np.array(item, dtype=form.dtype, order="C", copy=True, subok=False)
    copied.flags.writeable = False
    return copied


cdef class Stream(SharedStream)    # defined below


cdef class Filling:
    """A `with` block in which a new array is filled, which its end publishes."""

    cdef Stream stream
    cdef object timeout
    cdef bint willing
    cdef object array
    cdef object frame

    def __enter__(self):
        cdef Form form = self.stream.form
        if self.frame is not None:
            raise RuntimeError("this block is in use already: call write() for each block")
        self.stream._segment()
        if self.stream.is_shutdown:
            raise shared.errors.ShutDown
        self.array = np.empty(form.shape, form.dtype)
        self.frame = ndarray.__new__(Frame, form.shape, form.dtype, self.array)
        return self.frame

    cdef object end(self, object kind):
        """End the view; return the message, or None if there is none. What was derived from the view cannot change the
        message, which is a copy then."""
        frame, array, self.frame, self.array = self.frame, self.array, None, None
        expire(frame)
        if kind is not None:
            return None
        array = array.copy()
        array.flags.writeable = False
        return array

    def __exit__(self, kind, error, trace):
        message = self.end(kind)
        if message is not None:
            self.stream.publish(message, self.willing, self.timeout)

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, kind, error, trace):
        message = self.end(kind)
        if message is not None:
            await self.stream.publish_later(message, self.willing, self.timeout)


cdef object taken(Registration registration, sk_stream_message *found):
    """Return the message in a pinned slot, and remove the pin."""
    cdef list messages = (<PrivateSegment>registration.segment).partner[1]
    with cython.critical_section(messages):
        message = messages[found.slot]
    sk_stream_unpin(registration.segment.s, &registration.reader, found.pin)
    return message


cdef class Reader(StreamReader):

    cdef object item(self, Registration registration, sk_stream_message *found, object out):
        message = taken(registration, found)
        if self.form.shape is None:
            return message
        if out is None:
            return message.copy()
        out[...] = message
        return out

    cdef object view(self, Registration registration, sk_stream_message *found):
        message = taken(registration, found)
        if type(message) is not ndarray:
            return message
        frame = ndarray.__new__(Frame, message.shape, message.dtype, message, 0, message.strides)
        frame.flags.writeable = False
        return frame

    def __reduce__(self):
        return self._segment().travel()


cdef class Stream(SharedStream):
    """A stream for the threads of one process: see sharedkit.thread.stream."""

    cdef int publish(self, object message, bint willing, object timeout) except -1:
        cdef Segment segment = self._segment()
        cdef sk_wait_state wait
        cdef sk_call call
        cdef bint waits = False
        cdef int rc
        publish_now(segment, message, &waits)
        if not waits:
            return 0
        memset(&wait, 0, sizeof(wait))
        wait.thread = this_thread()
        call.until = FOR_EVER
        call.willing = willing
        call.wait = &wait
        if willing and timeout is not None:
            call.until = deadline_of(timeout)
            if is_too_long(call.until):
                raise timeouts.too_long()
        try:
            while waits:
                with nogil:
                    rc = sk_stream_await_room(segment.s, call)
                if rc == SK_INTERRUPTED or rc == SK_STALLED:
                    attend(segment)
                elif rc != SK_OK and rc != SK_BUSY:
                    refuse_put(segment, rc, 0, &wait)
                publish_now(segment, message, &waits)
        except BaseException:
            sk_stream_cancel(segment.s, &wait)
            raise
        return 0

    def put(self, item, block=True, timeout=None, *, blocking=None):
        """Publish `item`, of a stream of arrays a copy. A stream with overflow="block" waits for room, up to `timeout`
        seconds (None: for ever) if `block`; another one never waits.

        Raises queue.Full, ShutDown; TypeError and ValueError for an array of another dtype or shape.
        """
        if self.s is NULL:
            closed(self)
        self.publish(message_of(self.form, item), block if blocking is None else blocking, timeout)

    def put_nowait(self, item):
        """Same as put(item, block=False).
        """
        self.put(item, False)

    async def aput(self, item, block=True, timeout=None, *, blocking=None):
        """Publish as `put` does, without blocking the event loop; a coroutine. A cancelled task has put nothing.
        """
        self._segment()
        message = message_of(self.form, item)
        return await self.publish_later(message, block if blocking is None else blocking, timeout)

    cdef object publish_later(self, object message, bint willing, object timeout):
        cdef PublishWaiter waiter = PublishWaiter.__new__(PublishWaiter)
        waiter.set_room(self._segment(), willing, timeout)
        waiter.message = message
        return waiting(waiter)

    def write(self, block=True, timeout=None, *, blocking=None):
        """Return a block in which the next message is filled in place: `with stream.write() as view:`, or `async with`.

        `view` is an array; its elements are undefined at first. The end of the block publishes it, and waits for room
        as `put` does; an exception publishes nothing. Behind the block, using the view raises ValueError. Only for
        streams of arrays: TypeError. The end raises as `put` does.
        """
        self._segment()
        if self.form.shape is None:
            raise TypeError("write() is for streams of arrays, Stream(shape, dtype); to a stream of objects use put()")
        cdef Filling filling = Filling.__new__(Filling)
        filling.stream = self
        filling.willing = block if blocking is None else blocking
        filling.timeout = timeout
        return filling

    cdef StreamReader new_reader(self, sk_stream_begin_at at, uint64_t position, uint64_t lost):
        cdef Reader reader = Reader.__new__(Reader)
        reader.open(self._segment(), self.form, at, position, lost)
        return reader


cdef class PublishWaiter(RoomWaiter):

    cdef object message

    cdef int drop(self) except -1:
        self.message = None
        return RoomWaiter.drop(self)

    cdef object look(self):
        cdef bint waits = False
        cdef int rc
        publish_now(self.segment, self.message, &waits)
        while waits:
            sk_waits_aside(&self.aside)
            rc = sk_stream_await_room(self.segment.s, self.call)
            sk_waits_aside(NULL)
            if rc == SK_INTERRUPTED or rc == SK_STALLED:
                return pending()
            if rc != SK_OK and rc != SK_BUSY:
                return refuse_put(self.segment, rc, 0, &self.wait)
            publish_now(self.segment, self.message, &waits)
        return None
