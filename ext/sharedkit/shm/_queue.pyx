# cython: language_level=3
"""The queue: one try with the GIL held, then waiting without it in slices that let signals through."""

import operator
import queue
import types
from functools import partial

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import _times, errors, segments
from sharedkit._differences import unlike
from sharedkit._iteration import refuse_search, until_shutdown
from sharedkit._attend cimport unanswered
from sharedkit._segment cimport (
    SK_BUSY, SK_EMPTY, SK_FULL, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT,
    Handle, Segment, alone, closed, create_segment, deadline_of, is_too_long, refuse, sk_plan,
)
from sharedkit._watch cimport coroutines
from sharedkit.shm._batch cimport attend_getting, get_batch, put_batch, put_waiting, take_large
from sharedkit.shm._codec cimport Parcel, Plain, decode, encode, plain, sk_part
from sharedkit.shm._queue_turns cimport get_one, get_some, join_all, put_all, put_one
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._waiting cimport sk_stay
from sharedkit.statistics import QueueStatistics

KIND_QUEUE = 4
cdef uint64_t FOR_EVER = <uint64_t>-1
FIRST_LOG2 = 10              # units of the first ring: 16 KiB; it doubles as needed and as there is room
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown
STATES = ("open", "shutdown", "shutdown-immediate")


def make(place, str name, uint32_t seats, uint32_t flags, uint64_t maxsize, uint32_t log2, uint64_t start):
    """A new queue segment whose first ring has 2**log2 units and whose first position is `start`."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_QUEUE
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_queue_body_len(seats, log2)
    plan.param[SK_QUEUE_MAXSIZE] = maxsize
    plan.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(seats)
    plan.param[SK_QUEUE_LOG2] = log2
    plan.param[SK_QUEUE_START] = start
    plan.fill = sk_queue_fill
    return create_segment(place, name, &plan)


cdef bint never_over(cbool willing, object timeout) except -1:
    """Whether it is too long to be waited for. TypeError, ValueError."""
    return willing and timeout is not None and is_too_long(deadline_of(timeout))


cdef object bound_of(object maxsize):
    """0 or less is no bound. TypeError, ValueError."""
    bound = max(operator.index(maxsize), 0)
    if bound >= 1 << 63:
        raise ValueError(f"maxsize must be less than 2**63: {maxsize}")
    return bound


cdef uint64_t deadline_at_the_lock(object timeout) noexcept:
    """Of a put into a queue without a bound, which has nothing else to wait for; what is no time is none, as in
    `queue.Queue`."""
    cdef uint64_t until
    try:
        until = deadline_of(timeout)
    except (TypeError, ValueError, OverflowError):
        return FOR_EVER
    return FOR_EVER if is_too_long(until) else until


def blueprint(maxsize):
    """A queue of so many items."""
    bound = bound_of(maxsize)
    return segments.Blueprint(
        KIND_QUEUE,
        lambda place, name, seats, flags: make(place, name, seats, flags, bound, FIRST_LOG2, 0),
        lambda there: unlike("maxsize", there.params[SK_QUEUE_MAXSIZE], bound),
    )


cdef class Queue(Handle):
    """Queue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    A first-in, first-out queue with the face of `queue.Queue` of Python 3.13, between threads and processes.

    At most `maxsize` items; 0 or less: as many as memory holds (32 GiB at once). Items are copied: `None bool int
    float bytes str` and NumPy arrays fast, all else by pickle 5. Any number of producers and consumers; order is kept
    per producer. Where a process is stopped inside (SIGSTOP), calls that do not block raise Full or Empty after 0.1 s,
    with a text that names it. `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when what is there differs,
    OutOfSharedMemory. Method: a byte ring with one commit word a side, docs/decisions/0002.
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(
        self, maxsize=0, *, name=None,
        exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(maxsize), name, exist_ok, persist, seats, mode, group))

    @staticmethod
    def _of(Segment segment):
        cdef Queue self = Queue.__new__(Queue)
        self._open(segment)
        return self

    cdef _open(self, Segment segment):
        cdef int rc = sk_queue_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0)
        self.bind(segment)

    # --- putting -------------------------------------------------------------------------------

    @cython.binding(False)
    def put(self, item, block=True, timeout=None, *, blocking=None):
        """put($self, item, block=True, timeout=None, *, blocking=None)\n--\n
        Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full, ShutDown, OutOfSharedMemory, and at once what pickling the item raises.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef Parcel parcel
        cdef Plain own
        cdef const sk_part *parts = &own.part
        cdef uint64_t payload = 0
        cdef uint32_t i
        cdef sk_call call
        cdef int rc
        cdef cbool willing = block if blocking is None else blocking
        cdef uint64_t until = FOR_EVER
        if timeout is not None and willing:
            if sk_queue_maxsize(sk_queue_of(segment.s)) > 0:
                until = deadline_of(timeout)
                if is_too_long(until):
                    return _times.without_waiting(partial(self.put, item, False), Full)
            else:
                until = deadline_at_the_lock(timeout)
        if not plain(item, &own):
            parcel = encode(item)
            parts = parcel.parts
            own.n = parcel.n
            own.kind = parcel.kind
        for i in range(own.n):
            payload += parts[i].len
        call.stay = NULL
        if payload <= QUICK and not (willing and sk_queue_of(segment.s).turn):
            call.until = 0
            call.willing = False
            rc = sk_queue_put(segment.s, parts, own.n, own.kind, call)
            if rc == SK_OK:
                return
            if rc == SK_FULL and not willing:
                raise Full
        call.until = until
        call.willing = willing
        put_waiting(segment, parts, own.n, own.kind, payload, call)

    @cython.binding(False)
    def put_nowait(self, item):
        """put_nowait($self, item)\n--\n
        Same as put(item, block=False).
        """
        self.put(item, False)

    def put_many(self, items, block=True, timeout=None, *, blocking=None):
        """Put the items in order, in as few commits as there is room for.

        All are encoded before the first goes in, so an item that cannot be pickled leaves the queue as it was.
        Raises as `put` does; Full, ShutDown and OutOfSharedMemory say in their attribute `put` how many went in.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # also if an argument closes the handle
        cdef sk_call call
        call.willing = block if blocking is None else blocking
        call.until = deadline_of(timeout) if call.willing else FOR_EVER
        if is_too_long(call.until):
            raise _times.too_long()
        put_batch(segment, items, call)

    # --- getting -------------------------------------------------------------------------------

    @cython.binding(False)
    def get(self, block=True, timeout=None, *, blocking=None):
        """get($self, block=True, timeout=None, *, blocking=None)\n--\n
        Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Empty, ShutDown, and what unpickling the item raises (it is taken then).
        """
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call call
        cdef sk_stay stay
        cdef int rc
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef cbool willing = block if blocking is None else blocking
        cdef uint64_t until = deadline_of(timeout) if willing else FOR_EVER
        if is_too_long(until):
            return _times.without_waiting(self.get_nowait, Empty)
        cdef sk_call at_once
        at_once.until = 0
        at_once.willing = False
        at_once.stay = NULL
        rc = sk_queue_get(segment.s, small, SMALL, &found, at_once)
        if rc == SK_EMPTY and willing and alone() and sk_queue_glance(segment.s):
            rc = sk_queue_get(segment.s, small, SMALL, &found, at_once)
        if rc == SK_OK:
            return decode(found.kind, small, found.payload)
        memset(&stay, 0, sizeof(stay))
        call.until = until
        call.willing = willing
        call.stay = &stay
        while True:
            if rc == SK_LARGER:
                taken, item = take_large(segment, small, SMALL, &found, call)
                if taken:
                    return item
            elif rc == SK_EMPTY and not call.willing:
                raise Empty
            elif rc == SK_TIMEOUT or rc == SK_STALLED and not goes_on(segment, &stay.stall):
                raise stalled(Empty, segment, &stay.stall, inside(&stay.stall))
            elif rc == SK_SHUTDOWN:
                raise ShutDown
            elif rc == SK_INTERRUPTED or rc == SK_STALLED:
                attend_getting(segment)
                # Between hearing signals and returning with an item there is no waiting for the GIL.
                rc = sk_queue_get(segment.s, small, SMALL, &found, at_once)
                if rc == SK_OK:
                    return decode(found.kind, small, found.payload)
                if rc != SK_EMPTY and rc != SK_BUSY:
                    continue
            elif rc != SK_BUSY and rc != SK_EMPTY:
                refuse(rc, 0)
            with nogil:
                rc = sk_queue_get(segment.s, small, SMALL, &found, call)
            if rc == SK_OK:
                return decode(found.kind, small, found.payload)

    @cython.binding(False)
    def get_nowait(self):
        """get_nowait($self)\n--\n
        Same as get(block=False).
        """
        return self.get(False)

    def get_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """Wait for the first item as `get` does, then take what is there, at most `max_items`; a list, never empty
        unless `max_items` is 0. What others put while the first part is being copied out may be among it: the list is
        bounded by that part and what the queue holds then, so by twice `maxsize` where there is one.

        Raises as `get` does. When an item cannot be unpickled, the error's attribute `items` has the others.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # also if an argument closes the handle
        cdef sk_call call
        call.willing = block if blocking is None else blocking
        call.until = deadline_of(timeout) if call.willing else FOR_EVER
        if is_too_long(call.until):
            return _times.without_waiting(partial(self.get_many, max_items, False), Empty)
        return get_batch(segment, max_items, call)

    def __iter__(self):
        """Items as `get` takes them, waiting for each, until the queue is shut down and empty: `for item in q`."""
        self._segment()
        return until_shutdown(self.get)

    def __contains__(self, item):
        """TypeError, for to look is to take."""
        refuse_search()

    # --- from an event loop ----------------------------------------------------------------------

    def aput(self, item, block=True, timeout=None, *, blocking=None):
        """Put as `put` does, without blocking the event loop; a coroutine. Cancelled, it has put nothing.
        """
        cdef Segment segment = self._segment()
        cdef cbool willing = block if blocking is None else blocking
        if timeout is not None and sk_queue_maxsize(sk_queue_of(segment.s)) == 0:
            timeout = None if deadline_at_the_lock(timeout) == FOR_EVER else timeout
        if never_over(willing, timeout):
            return coroutines().without_waiting(put_one(segment, item, False, None), Full)
        return put_one(segment, item, willing, timeout)

    def aput_many(self, items, block=True, timeout=None, *, blocking=None):
        """Put as `put_many` does, without blocking the event loop; a coroutine. Cancelled, it may have put the first.
        """
        cdef cbool willing = block if blocking is None else blocking
        if never_over(willing, timeout):
            raise _times.too_long()
        return put_all(self._segment(), items, willing, timeout)

    def aget(self, block=True, timeout=None, *, blocking=None):
        """Take as `get` does, without blocking the event loop; a coroutine. Cancelled, it has taken nothing.

        Tasks of a loop get their items in the order in which they came.
        """
        cdef cbool willing = block if blocking is None else blocking
        if never_over(willing, timeout):
            return coroutines().without_waiting(get_one(self._segment(), False, None), Empty)
        return get_one(self._segment(), willing, timeout)

    def aget_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """Take as `get_many` does, without blocking the event loop; a coroutine. Cancelled, it has taken nothing.
        """
        cdef cbool willing = block if blocking is None else blocking
        if never_over(willing, timeout):
            return coroutines().without_waiting(get_some(self._segment(), max_items, False, None), Empty)
        return get_some(self._segment(), max_items, willing, timeout)

    def ajoin(self):
        """Wait as `join` does, without blocking the event loop; a coroutine.
        """
        return join_all(self._segment())

    def __aiter__(self):
        """Items, until the queue is shut down and empty: `async for item in q`."""
        return coroutines().iterate(self.aget)

    # --- tasks, sizes, end ----------------------------------------------------------------------

    @cython.binding(False)
    def task_done(self):
        """task_done($self)\n--\n
        Say that an item taken earlier is done with. ValueError when called more often than items were put.
        """
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_queue_task_done(sk_queue_of(self.s), 1)
        if rc != SK_OK:
            refuse(rc, 0)

    def join(self):
        """Wait until every item that was put is done with.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = SK_INTERRUPTED    # so that handlers run, also where there is nothing to wait for
        while unanswered(segment, rc):
            with nogil:
                rc = sk_queue_join(segment.s, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0)

    def shutdown(self, immediate=False):
        """Make `put` raise ShutDown, and `get` too once the queue is empty, or at once if `immediate`.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef cbool at_once = immediate
        cdef int rc = SK_BUSY
        while unanswered(segment, rc):
            with nogil:
                rc = sk_queue_shutdown(segment.s, at_once, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0)

    def qsize(self):
        """How many items there are; exact at one moment, which may be past.
        """
        if self.s is NULL:
            closed(self)
        return sk_queue_count(sk_queue_of(self.s))

    def empty(self):
        """Whether there is no item.
        """
        return self.qsize() == 0

    def full(self):
        """Whether there are `maxsize` items; never when there is no bound.
        """
        return 0 < self.maxsize <= self.qsize()

    @property
    def maxsize(self):
        """How many items fit; 0 when only memory bounds it. May be assigned at any time."""
        if self.s is NULL:
            closed(self)
        return sk_queue_maxsize(sk_queue_of(self.s))

    @maxsize.setter
    def maxsize(self, maxsize):
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # also if `maxsize` closes the handle
        cdef object bound = bound_of(maxsize)
        sk_queue_set_maxsize(sk_queue_of(segment.s), bound)

    @property
    def unfinished_tasks(self):
        """Items put that are not yet done with."""
        if self.s is NULL:
            closed(self)
        return sk_queue_unfinished_now(sk_queue_of(self.s))

    @property
    def is_shutdown(self):
        """Whether `shutdown()` was called."""
        if self.s is NULL:
            closed(self)
        return sk_queue_of(self.s).state != 0

    def join_thread(self):
        """Nothing to wait for: `put` returns when the item is in the queue. For code written for multiprocessing.
        """

    def cancel_join_thread(self):
        """Nothing to cancel, as for `join_thread`.
        """

    def statistics(self):
        """Sizes, state, who is attached and who is inside `put` and `get`, at this moment: a QueueStatistics.
        """
        cdef Segment segment = self._segment()
        cdef sk_queue *q = sk_queue_of(segment.s)
        return QueueStatistics(
            name=segment.name,
            kind="Queue",
            maxsize=self.maxsize,
            qsize=self.qsize(),
            unfinished_tasks=self.unfinished_tasks,
            capacity_bytes=sk_queue_capacity(q),
            used_bytes=sk_queue_bytes(q),
            state=STATES[min(q.state, 2)],
            attached=segment.attached(),
            put_owner=segment.pid_of(sk_lock_owner(&q.put_lock)),
            get_owner=segment.pid_of(sk_lock_owner(&q.get_lock)),
        )

    def __repr__(self):
        if self.s is NULL:
            return "<Queue closed>"
        return f"<Queue qsize={self.qsize()} maxsize={self.maxsize} name={self.name!r}>"


def state(Segment segment):
    """For listings."""
    there = Queue._of(segment)
    return f"{there.qsize()} items, {STATES[min(sk_queue_of(segment.s).state, 2)]}"


segments.register_kind(segments.Kind(KIND_QUEUE, "Queue", Queue._of, state))
