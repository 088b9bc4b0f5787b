# cython: language_level=3
"""The stream: each message goes from its writer to every reader."""

import queue
import types

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.ref cimport PyObject
from libc cimport errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libcpp cimport bool as cbool

import numpy as np

from sharedkit import errors, segments
from sharedkit._core import timeouts
from sharedkit._core.array_spec import geometry
from sharedkit._core.counts import number_of
from sharedkit._core.differences import unlike
from sharedkit._core.frames import expire
from sharedkit._core.interrupts cimport attend, unanswered
from sharedkit._core.segment cimport (
    SK_BUSY, SK_CORRUPT, SK_FULL, SK_INTERRUPTED, SK_LARGEST, SK_NO_MEMORY, SK_OK, SK_SEATS_MAX, SK_SHUTDOWN,
    SK_TIMEOUT, Handle, PrivateSegment, Segment, closed, create_segment, deadline_of, is_too_long, refuse, sk_now_ns,
    sk_plan,
)
from sharedkit._core.watcher cimport Waiter, pending, sk_waits_aside
from sharedkit.aio._lazy cimport waiting
from sharedkit.shm import described
from sharedkit.shm._codec cimport Parcel, Plain, encode, plain, sk_part
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._stream_kernel cimport (
    KIND_ELEMENTS, SK_STREAM_AT_LATEST, SK_STREAM_AT_NEXT, SK_STREAM_AT_OLDEST, SK_STREAM_AT_POSITION, SK_STREAM_BLOCK,
    SK_STREAM_FLOOR, SK_STREAM_MODE, SK_STREAM_NOWHERE, SK_STREAM_QUICK, SK_STREAM_ROWS, SK_STREAM_SLOT_BYTES,
    SK_STREAM_SLOTS, SK_STREAM_SLOTS_MAX, sk_call, sk_stream, sk_stream_base_for, sk_stream_begin_at, sk_stream_blocks,
    sk_stream_cancel,
    sk_stream_claim, sk_stream_claim_slots, sk_stream_data, sk_stream_drop, sk_stream_fill, sk_stream_fill_claim,
    sk_stream_floor_for, sk_stream_length, sk_stream_of, sk_stream_publish, sk_stream_put, sk_stream_refuse,
    sk_stream_row, sk_stream_row_at, sk_stream_rows, sk_stream_shutdown, sk_stream_slot_bytes, sk_stream_slots,
    sk_stream_stride, sk_stream_stride_for, sk_stream_tail,
)
from sharedkit.shm._stream_reader cimport Form, Slot, StreamReader, frame_over, reader_of
from sharedkit.shm._waiting cimport next_thread, sk_wait_state, this_thread


cdef extern from "core/sk_segment.h" nogil:
    uint64_t sk_body_at(uint32_t seats, uint64_t meta_len) noexcept

cdef extern from "platform/sk_atomic.h" nogil:
    uint64_t sk_load64_acquire(const uint64_t *word) noexcept

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *o) noexcept

KIND_STREAM = 20
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef uint64_t DEFAULT_SLOT_BYTES = 1984     # a slot of 2 KiB
cdef object Full = queue.Full, ShutDown = errors.ShutDown
cdef object ndarray = np.ndarray
cdef dict STARTS = {"next": SK_STREAM_AT_NEXT, "oldest": SK_STREAM_AT_OLDEST, "latest": SK_STREAM_AT_LATEST}
STATES = ("open", "shutdown", "shutdown-immediate")
MODES = ("overwrite", "block")


def make(
    place, str name, uint32_t seats, uint32_t flags, uint64_t slots, uint64_t slot_bytes, uint64_t mode,
    uint64_t readers, bytes meta
):
    """Make a stream segment."""
    cdef sk_plan plan
    cdef uint64_t body = sk_body_at(seats, len(meta)), size, stride = sk_stream_stride_for(slot_bytes)
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_STREAM
    plan.flags = flags
    plan.seats = seats
    plan.param[SK_STREAM_SLOTS] = slots
    plan.param[SK_STREAM_FLOOR] = sk_stream_floor_for(body, seats, slots, readers)
    plan.param[SK_STREAM_SLOT_BYTES] = slot_bytes
    plan.param[SK_STREAM_MODE] = mode
    plan.param[SK_STREAM_ROWS] = readers
    size = sk_stream_base_for(slots, slot_bytes)
    if size > (SK_LARGEST // 2) // stride:
        errno.errno = errno.ENOSPC
        refuse(SK_NO_MEMORY, min(<object>size * stride, FOR_EVER), None)
    plan.body_len = plan.param[SK_STREAM_FLOOR] - body + size * stride
    plan.meta = <const char *>meta
    plan.meta_len = len(meta)
    plan.fill = sk_stream_fill
    return create_segment(place, name, &plan)


def form_of(shape, dtype):
    """Return the form of messages. Raises TypeError, ValueError."""
    if shape is None:
        if dtype is not None:
            raise TypeError(f"dtype={dtype!r} needs a shape: Stream((480, 640), {dtype!r})")
        return Form(None, None)
    lengths, element = geometry(shape, dtype)
    return Form(lengths, element)


def blueprint(shape, dtype, slots, slot_bytes, overflow, max_readers):
    """Return the blueprint of a stream. Raises TypeError, ValueError."""
    cdef Form form = form_of(shape, dtype)
    slots = number_of("slots", slots)
    max_readers = number_of("max_readers", max_readers)
    if not 1 <= slots <= SK_STREAM_SLOTS_MAX // 2:
        raise ValueError(f"slots must be 1 to {SK_STREAM_SLOTS_MAX // 2:,}: {slots}")
    if not 1 <= max_readers <= SK_SEATS_MAX:
        raise ValueError(f"max_readers must be 1 to {SK_SEATS_MAX}: {max_readers}")
    if overflow not in MODES:
        raise ValueError(f"overflow must be 'overwrite' or 'block': {overflow!r}")
    mode = MODES.index(overflow)
    if mode == SK_STREAM_BLOCK and slots == 1:
        raise ValueError("slots=1 with overflow='block': a writer would wait for every reader each time; use 2 or more")
    if form.shape is not None:
        if slot_bytes is not None:
            raise TypeError(
                f"slot_bytes={slot_bytes} is for streams of objects: a slot holds one array, {form.nbytes} bytes"
            )
        size = form.nbytes
    else:
        size = DEFAULT_SLOT_BYTES if slot_bytes is None else number_of("slot_bytes", slot_bytes)
    if size < 0 or form.shape is None and size < 1:
        raise ValueError(f"slot_bytes must be 1 or more: {size}")
    if size > SK_LARGEST // 2:
        raise errors.OutOfSharedMemory(f"{size:,} bytes were asked for, a segment holds at most {SK_LARGEST // 2:,}")
    meta = b"" if form.shape is None else described.encode(form.shape, form.dtype)

    return segments.Blueprint(
        KIND_STREAM,
        lambda place, name, seats, flags: make(place, name, seats, flags, slots, size, mode, max_readers, meta),
        lambda there: differs(there, form, slots, size, overflow, max_readers),
    )


def differs(Segment there, Form form, slots, slot_bytes, overflow, max_readers):
    """Return in words how an existing stream differs from the requested one; None if it does not."""
    cdef Form was = form_in(there)
    return (
        unlike("shape", was.shape, form.shape)
        or unlike("dtype", was.dtype, form.dtype)
        or unlike("slots", there.params[SK_STREAM_SLOTS], slots)
        or unlike("slot_bytes", there.params[SK_STREAM_SLOT_BYTES], slot_bytes)
        or unlike("overflow", MODES[there.params[SK_STREAM_MODE]], overflow)
        or unlike("max_readers", there.params[SK_STREAM_ROWS], max_readers)
    )


cdef Form form_in(Segment segment):
    """Return the form that the segment describes. Raises CorruptSegmentError."""
    if isinstance(segment, PrivateSegment):
        return (<PrivateSegment>segment).partner[0]
    cdef bytes meta = segment.meta
    if not meta:
        return Form(None, None)
    cdef Form form = Form(*described.decode(meta))
    if form.nbytes != sk_stream_slot_bytes(segment.s):
        refuse(SK_CORRUPT, 0, segment)
    return form


cdef class Writing:
    """A `with` block in which a slot is filled in place: `with stream.write() as view`."""

    cdef Stream stream
    cdef object timeout
    cdef bint willing
    cdef object frame
    cdef Slot slot

    def __enter__(self):
        cdef Stream stream = self.stream
        if self.frame is not None:
            raise RuntimeError("this block is in use already: call write() for each block")
        self.slot = stream.claim(stream.form.nbytes, KIND_ELEMENTS)
        self.frame = frame_over(self.slot, stream.form)
        return self.frame

    def __exit__(self, kind, error, trace):
        cdef Segment segment = self.slot.segment
        if self.end(kind):
            put_or_publish(segment, NULL, 0, 0, self.stream.form.nbytes, &self.slot.claim, self.willing, self.timeout)
        self.slot = None

    cdef bint end(self, object kind) except -1:
        """End the view; return whether to publish. If something derived from the view still refers to the slot, the
        message is moved to another slot, so that nothing can change it after it was published."""
        cdef Slot slot = self.slot
        cdef Slot other
        # References to the frame: this object's and the variable of `with`; to the slot: this object's, `slot`, the
        # frame's.
        shared = Py_REFCNT(<PyObject *>self.frame) > 2 or Py_REFCNT(<PyObject *>slot) > 3
        expire(self.frame)
        self.frame = None
        if kind is not None:
            self.slot = None
            return False
        if shared:
            other = self.stream.claim(slot.size, KIND_ELEMENTS)
            memcpy(other.data, slot.data, slot.size)
            self.slot = other
        return True

    async def __aenter__(self):
        return self.__enter__()

    async def __aexit__(self, kind, error, trace):
        if self.end(kind):
            slot, self.slot = self.slot, None
            await publish_later(slot, self.willing, self.timeout)


cdef class Stream(Handle):
    """Stream(shape=None, dtype=None, *, slots=8, slot_bytes=None, overflow="overwrite", max_readers=64, name=None, \
exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    One to many: each message that a writer puts goes to every reader; there may be any number of writers, in any
    processes.

    With a `shape`, messages are NumPy arrays of that shape and `dtype` (default "f8"); without one, they are any
    objects, stored as in a Queue; an object larger than `slot_bytes` (default 1984) takes several slots. The stream
    keeps the newest `slots` messages, and beside them those that readers look at in `with reader.read()`; its memory
    grows for these, and shrinks again. `overflow="overwrite"`: writers never wait, and a slow reader loses the oldest
    messages and knows how many (`reader.lost`). `overflow="block"`: writers wait for the slowest living reader, and
    every reader gets everything. A message is never seen torn or half made, whoever dies. `max_readers`: how many
    readers there can be at once; `seats`: how many processes can attach at once.
    Raises TypeError, ValueError, FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing
    structure differs, OutOfSharedMemory. Method: slots and hazard pointers, docs/decisions/0021.
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(
        self, shape=None, dtype=None, *, slots=8, slot_bytes=None, overflow="overwrite", max_readers=64, name=None,
        exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        plan = blueprint(shape, dtype, slots, slot_bytes, overflow, max_readers)
        self._open(segments.create(plan, name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def _open(self, Segment segment):
        cdef int rc = sk_stream_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.form = form_in(segment)
        self.bind(segment)

    # --- writing -------------------------------------------------------------------------------------

    def put(self, item, block=True, timeout=None, *, blocking=None):
        """Publish a copy of `item`. A stream with overflow="block" waits for room, up to `timeout` seconds (None: for
        ever) if `block`; another one never waits.

        Raises queue.Full, ShutDown, OutOfSharedMemory; TypeError and ValueError for an array of another dtype or shape;
        and, before any wait, what pickling the item raises.
        """
        cdef sk_part part
        cdef const sk_part *parts = &part
        cdef uint32_t n = 1, kind = KIND_ELEMENTS
        cdef uint64_t payload
        cdef Plain own
        cdef Parcel parcel
        cdef Py_buffer source
        cdef sk_call call
        cdef int rc
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef Form form = self.form
        cdef bint array = form.shape is not None
        if array:
            item = fitting(form, item)
            PyObject_GetBuffer(item, &source, PyBUF_SIMPLE)
            part.at = source.buf
            payload = part.len = source.len
        else:
            if plain(item, &own):
                part = own.part
                n = own.n
                kind = own.kind
            else:
                parcel = encode(item)
                parts = parcel.parts
                n = parcel.n
                kind = parcel.kind
            payload = size_of(parts, n)
        try:
            if payload <= SK_STREAM_QUICK:
                call.until = 0
                call.willing = False
                call.wait = NULL
                rc = sk_stream_put(segment.s, parts, n, kind, call)
                if rc == SK_OK:
                    return
            put_waiting(segment, parts, n, kind, payload, block if blocking is None else blocking, timeout)
        finally:
            if array:
                PyBuffer_Release(&source)

    def put_nowait(self, item):
        """Same as put(item, block=False).
        """
        self.put(item, False)

    async def aput(self, item, block=True, timeout=None, *, blocking=None):
        """Publish as `put` does, without blocking the event loop; a coroutine. A cancelled task has put nothing.
        """
        return await self.put_later(item, block if blocking is None else blocking, timeout)

    cdef object put_later(self, object item, bint willing, object timeout):
        """Fill a slot with the message, and return the coroutine that publishes it."""
        cdef Slot slot
        cdef Plain own
        cdef Parcel parcel
        cdef Py_buffer source
        cdef sk_part part
        self._segment()
        if self.form.shape is not None:
            item = fitting(self.form, item)
            PyObject_GetBuffer(item, &source, PyBUF_SIMPLE)
            part.at = source.buf
            part.len = source.len
            try:
                slot = self.filled(&part, 1, KIND_ELEMENTS)
            finally:
                PyBuffer_Release(&source)
        elif plain(item, &own):
            slot = self.filled(&own.part, own.n, own.kind)
        else:
            parcel = encode(item)
            slot = self.filled(parcel.parts, parcel.n, parcel.kind)
        return publish_later(slot, willing, timeout)

    def write(self, block=True, timeout=None, *, blocking=None):
        """Return a block in which the next message is filled in place: `with stream.write() as view:`, or `async with`.

        `view` is an array over memory of the stream; its elements are undefined at first. The end of the block
        publishes it, and waits for room as `put` does; an exception publishes nothing. Behind the block, using the view
        raises ValueError. Only for streams of arrays: TypeError. The end raises as `put` does.
        """
        self._segment()
        if self.form.shape is None:
            raise TypeError("write() is for streams of arrays, Stream(shape, dtype); to a stream of objects use put()")
        cdef Writing writing = Writing.__new__(Writing)
        writing.stream = self
        writing.willing = block if blocking is None else blocking
        writing.timeout = timeout
        return writing

    def awrite(self, block=True, timeout=None, *, blocking=None):
        """Same as `write`, for `async with`.
        """
        return self.write(block, timeout, blocking=blocking)

    cdef Slot claim(self, uint64_t payload, uint32_t kind):
        """Claim the slots of a message. Raises ShutDown, OutOfSharedMemory, RuntimeError if there are too many."""
        cdef Segment segment = self._segment()
        cdef Slot slot = Slot.__new__(Slot)
        claim_for(segment, payload, kind, &slot.claim)
        slot.segment = segment
        slot.data = sk_stream_data(segment.s, slot.claim.slot, 1)
        slot.size = payload
        if slot.data is NULL:
            refuse(SK_CORRUPT, 0, segment)
        return slot

    cdef Slot filled(self, const sk_part *parts, uint32_t n, uint32_t kind):
        """Claim the slots of a message and fill them."""
        cdef Slot slot = self.claim(size_of(parts, n), kind)
        cdef int rc = sk_stream_fill_claim(slot.segment.s, &slot.claim, parts, n)
        if rc != SK_OK:
            refuse(rc, 0, slot.segment)
        return slot

    # --- readers ----------------------------------------------------------------------------------------

    def reader(self, start="next"):
        """Return a new reader. `start`: "next", the first message that is put from now on; "oldest", the oldest one
        that the stream still has; "latest", the newest one.

        Raises ValueError, and RuntimeError if the stream has `max_readers` readers.
        """
        if start not in STARTS:
            raise ValueError(f"start must be 'next', 'oldest' or 'latest': {start!r}")
        return self.new_reader(STARTS[start], 0, 0)

    cdef StreamReader new_reader(self, sk_stream_begin_at at, uint64_t position, uint64_t lost):
        return reader_of(self._segment(), self.form, at, position, lost)

    def _reader_at(self, uint64_t position, uint64_t lost):
        """Return a reader at that position, which has lost that many messages before; for unpickling."""
        return self.new_reader(SK_STREAM_AT_POSITION, position, lost)

    def readers(self):
        """Return the living readers of all processes, a tuple of StreamReaderState.
        """
        cdef Segment segment = self._segment()
        cdef sk_stream_row *row
        cdef uint64_t who, position, tail
        cdef uint32_t i
        from sharedkit.statistics import StreamReaderState
        found = []
        for i in range(sk_stream_rows(segment.s)):
            row = sk_stream_row_at(segment.s, i)
            who = sk_load64_acquire(&row.who)
            position = sk_load64_acquire(&row.position)
            tail = sk_stream_tail(sk_stream_of(segment.s))
            pid = segment.pid_of(<uint32_t>who)
            if pid is not None and position != SK_STREAM_NOWHERE:
                found.append(StreamReaderState(pid, position, tail - min(position, tail), row.lost))
        return tuple(found)

    # --- sizes, end ----------------------------------------------------------------------------------------

    def __len__(self):
        """How many messages the stream has: those that a reader with start="oldest" would begin with."""
        if self.s is NULL:
            closed(self)
        return length_of(self.segment)

    def __bool__(self):
        return True

    @property
    def published(self):
        """How many messages were put so far."""
        if self.s is NULL:
            closed(self)
        return sk_stream_tail(sk_stream_of(self.s))

    @property
    def slots(self):
        """How many messages the stream keeps."""
        self._segment()
        return sk_stream_slots(self.s)

    @property
    def slot_bytes(self):
        """The largest message in bytes that takes one slot."""
        self._segment()
        return sk_stream_slot_bytes(self.s)

    @property
    def overflow(self):
        """What happens when a reader is slow: "overwrite" or "block"."""
        self._segment()
        return MODES[sk_stream_blocks(self.s)]

    @property
    def max_readers(self):
        """How many readers there can be at once."""
        self._segment()
        return sk_stream_rows(self.s)

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

    @property
    def is_shutdown(self):
        """Whether the stream was ended."""
        self._segment()
        return sk_stream_of(self.s).state != 0

    def shutdown(self, immediate=False):
        """End the stream, for all processes: every `put` raises ShutDown, and readers do when they have read what is
        there, or at once if `immediate`.
        """
        cdef Segment segment = self._segment()
        cdef cbool at_once = immediate
        cdef int rc = SK_BUSY
        while unanswered(segment, rc):
            with nogil:
                rc = sk_stream_shutdown(segment.s, at_once, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0, segment)

    def close(self):
        """End the stream as `shutdown()` does, and detach from the segment; closing again does nothing.

        A process that leaves while others go on writing drops its handle instead: `del stream`.
        """
        if self.s is not NULL:
            self.shutdown()
        Handle.close(self)

    def statistics(self):
        """Return sizes, state and readers at this moment: a StreamStatistics.
        """
        cdef Segment segment = self._segment()
        cdef sk_stream *st = sk_stream_of(segment.s)
        from sharedkit.statistics import StreamStatistics
        return StreamStatistics(
            name=segment.name,
            kind="Stream",
            shape=self.form.shape,
            dtype=None if self.form.dtype is None else str(self.form.dtype),
            overflow=self.overflow,
            slots=self.slots,
            length=len(self),
            published=self.published,
            capacity_bytes=None if isinstance(segment, PrivateSegment) else st.count * sk_stream_stride(segment.s),
            readers=self.readers(),
            state=STATES[min(st.state, 2)],
            attached=segment.attached(),
        )

    def __repr__(self):
        if self.s is NULL:
            return "<Stream closed>"
        what = "objects" if self.form.shape is None else f"{self.form.dtype} {self.form.shape}"
        return f"<Stream of {what} published={self.published} slots={self.slots} name={self.name!r}>"


cdef Py_ssize_t length_of(Segment segment) except -1:
    """Return how many messages the stream has. Raises CorruptSegmentError."""
    cdef uint64_t length = sk_stream_length(sk_stream_of(segment.s))
    if length > sk_stream_slots(segment.s) + 1:
        refuse(SK_CORRUPT, 0, segment)
    return <Py_ssize_t>length


cdef uint64_t size_of(const sk_part *parts, uint32_t n) noexcept:
    cdef uint64_t size = 0
    cdef uint32_t i
    for i in range(n):
        size += parts[i].len
    return size


cdef object fitting(Form form, object item):
    """Return the object whose buffer has the elements of the array `item`. Raises TypeError and ValueError for another
    dtype or shape."""
    if type(item) is not ndarray:
        item = np.asarray(item)
    dtype = item.dtype
    if dtype is not form.dtype and dtype != form.dtype:
        raise TypeError(f"an array of dtype {dtype} in a stream of {form.dtype}: convert it, item.astype(stream.dtype)")
    if item.shape != form.shape:
        raise ValueError(f"an array of shape {item.shape} in a stream of shape {form.shape}")
    if dtype.kind not in "biufc" or not dtype.isnative:    # such an array may have no buffer of its own
        item = np.ascontiguousarray(item).reshape(-1).view("u1")
    elif not item.flags.c_contiguous:
        item = np.ascontiguousarray(item)
    return item


cdef int refuse_put(Segment segment, int rc, uint64_t payload, const sk_wait_state *wait) except -1:
    """Raise the exception of a put that failed."""
    if rc == SK_FULL:
        raise full(segment)
    if rc == SK_TIMEOUT or rc == SK_STALLED:
        raise stalled(Full, segment, &wait.stall, "put()") if wait.stall.word else full(segment)
    if rc == SK_SHUTDOWN:
        raise ShutDown
    return refuse(rc, payload, segment)


cdef object full(Segment segment):
    """Return the exception that names the reader for which writers wait."""
    slowest = max(Stream._of(segment).readers(), key=lambda reader: reader.behind, default=None)
    if slowest is None:
        return Full()
    return Full(f"a reader of pid {slowest.pid} is {slowest.behind} messages behind, and the stream keeps "
                f"{sk_stream_slots(segment.s)}")


cdef int claim_for(Segment segment, uint64_t payload, uint32_t kind, sk_stream_claim *claim) except -1:
    cdef sk_call call
    cdef int rc = SK_BUSY
    call.until = FOR_EVER
    call.willing = True
    call.wait = NULL
    while unanswered(segment, rc):
        with nogil:
            rc = sk_stream_claim_slots(segment.s, payload, kind, claim, call)
    if rc == SK_FULL:
        raise RuntimeError(f"too many messages of the stream {segment.name!r} are being written at once")
    if rc == SK_SHUTDOWN:
        raise ShutDown
    if rc != SK_OK:
        refuse(rc, payload, segment)
    return 0


cdef int put_waiting(
    Segment segment, const sk_part *parts, uint32_t n, uint32_t kind, uint64_t payload, bint willing, object timeout
) except -1:
    cdef sk_stream_claim claim
    cdef int rc
    if payload <= SK_STREAM_QUICK:
        put_or_publish(segment, parts, n, kind, payload, NULL, willing, timeout)
        return 0
    claim_for(segment, payload, kind, &claim)
    with nogil:
        rc = sk_stream_fill_claim(segment.s, &claim, parts, n)
    if rc != SK_OK:
        refuse(rc, payload, segment)
    put_or_publish(segment, NULL, 0, 0, payload, &claim, willing, timeout)
    return 0


cdef int put_or_publish(
    Segment segment, const sk_part *parts, uint32_t n, uint32_t kind, uint64_t payload, sk_stream_claim *claim,
    bint willing, object timeout
) except -1:
    """Put a short message, or publish a claimed one; wait for room without the GIL."""
    cdef sk_wait_state wait
    cdef sk_call call
    cdef int rc
    memset(&wait, 0, sizeof(wait))
    wait.thread = this_thread()
    call.until = FOR_EVER
    call.willing = willing
    call.wait = &wait
    try:
        if willing and timeout is not None:
            call.until = deadline_of(timeout)
            if is_too_long(call.until):
                raise timeouts.too_long()
        while True:
            with nogil:
                if claim is NULL:
                    rc = sk_stream_put(segment.s, parts, n, kind, call)
                else:
                    rc = sk_stream_publish(segment.s, claim, call)
            if rc == SK_OK:
                return 0
            if rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(segment, &wait.stall):
                attend(segment)
            else:
                refuse_put(segment, rc, payload, &wait)
    except BaseException:
        sk_stream_cancel(segment.s, &wait)
        if claim is not NULL:
            with nogil:
                sk_stream_drop(segment.s, claim, sk_now_ns() + 100000000)
        raise


cdef class RoomWaiter(Waiter):

    cdef set_room(self, Segment segment, bint willing, object timeout):
        until = deadline_of(timeout) if willing else FOR_EVER
        if is_too_long(until):
            raise timeouts.too_long()
        self.set(segment, (<size_t><void *>segment, "publish") if willing else None, until)
        memset(&self.wait, 0, sizeof(self.wait))
        self.wait.thread = next_thread()
        self.call.willing = willing
        self.call.until = self.until
        self.call.wait = &self.wait

    cdef int end(self) except -1:
        sk_stream_cancel(self.segment.s, &self.wait)
        return 0


cdef class PublishWaiter(RoomWaiter):
    """The message lies in claimed slots."""

    cdef Slot slot

    cdef int drop(self) except -1:
        self.slot = None
        return RoomWaiter.drop(self)

    cdef object look(self):
        sk_waits_aside(&self.aside)
        cdef int rc = sk_stream_publish(self.segment.s, &self.slot.claim, self.call)
        sk_waits_aside(NULL)
        if rc == SK_OK:
            return None
        if rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(self.segment, &self.wait.stall):
            return pending()
        return refuse_put(self.segment, rc, self.slot.size, &self.wait)


cdef object publish_later(Slot slot, bint willing, object timeout):
    """Return the coroutine that publishes a claimed message."""
    cdef PublishWaiter waiter = PublishWaiter.__new__(PublishWaiter)
    waiter.set_room(slot.segment, willing, timeout)
    waiter.slot = slot
    return waiting(waiter)


def state(Segment segment):
    """Describe the state in one line, for listings."""
    stream = Stream._of(segment)
    cdef object readers = len(stream.readers())
    words = f"{stream.published} published, {readers} reader{'s' * (readers != 1)}"
    return f"{words}, {STATES[min(sk_stream_of(segment.s).state, 2)]}"


segments.register_kind(segments.Kind(KIND_STREAM, "Stream", Stream._of, state, SK_STREAM_FLOOR))
