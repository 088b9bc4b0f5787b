# cython: language_level=3
"""The queue: each call tries once with the GIL held, then waits in slices without the GIL, and handles signals."""

import operator
import queue
import types
from functools import partial

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libcpp cimport bool as cbool

from sharedkit import errors, segments
from sharedkit._core import readiness, timeouts
from sharedkit._core.counts import how_many, number_of
from sharedkit._core.differences import unlike
from sharedkit._core.interrupts cimport attend, unanswered
from sharedkit._core.iteration import refuse_search, until_shutdown
from sharedkit._core.lease_arguments import checked_overflow
from sharedkit._core.segment cimport (
    SK_BUSY, SK_CORRUPT, SK_EMPTY, SK_FULL, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT, Handle, Segment,
    alone, closed, create_segment, deadline_of, is_too_long, refuse, sk_now_ns, sk_plan, sk_segment,
)
from sharedkit._core.watcher cimport no_task_queued, pending, sk_waits_aside
from sharedkit.aio._lazy cimport coroutines, waiting
from sharedkit.shm._codec cimport Parcel, Plain, decode, encode, plain, sk_part
from sharedkit.shm._queue_kernel cimport (
    QUICK, SK_QUEUE_FLOOR, SK_QUEUE_LOG2, SK_QUEUE_MAXSIZE, SK_QUEUE_OVERFLOW, SK_QUEUE_START,
    SK_RECORD_HEAD, SK_UNIT, SMALL, inside, sk_call, sk_found, sk_lock_owner, sk_queue, sk_queue_body_len,
    sk_queue_bytes, sk_queue_cancel_put, sk_queue_capacity, sk_queue_clear, sk_queue_count, sk_queue_dropped,
    sk_queue_drops, sk_queue_fill, sk_queue_floor_for, sk_queue_get, sk_queue_get_records, sk_queue_glance,
    sk_queue_held, sk_queue_join, sk_queue_leased, sk_queue_maxsize, sk_queue_of, sk_queue_put, sk_queue_put_records,
    sk_queue_refuse, sk_queue_set_maxsize, sk_queue_shutdown, sk_queue_task_done, sk_queue_unfinished_now,
    sk_record_head, sk_record_kind, sk_record_payload, sk_record_sound, sk_record_units,
)
from sharedkit.shm._lease cimport get_into, get_into_later, new_lease
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._taking cimport QueueWaiter, attend_getting, refuse_put, take_large
from sharedkit.shm._waiting cimport ReadyWaiter, ready, sk_wait_state, this_thread

cdef extern from "structures/sk_queue_tasks.h" nogil:
    int sk_queue_ready_to_get(sk_segment *s, uint64_t until) noexcept
    int sk_queue_ready_to_put(sk_segment *s, uint64_t until) noexcept
    void sk_queue_cancel_ready_to_put(sk_segment *s) noexcept
    int sk_queue_look_for_item(sk_segment *s, sk_call call) noexcept
    void sk_queue_cancel_get(sk_segment *s) noexcept

KIND_QUEUE = 4
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef uint64_t SHORT_NS = 2000000        # the longest wait of the event loop for a lock of the queue
FIRST_LOG2 = 10              # log2 of the units of the first ring (16 KiB); it doubles when needed, if there is room
cdef object NOT_YET = object()
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown
cdef enum:
    BATCH_UNITS = 1 << 14     # the most units that get_many takes at once: 256 KiB
STATES = ("open", "shutdown", "shutdown-immediate")


def make(
    place, str name, uint32_t seats, uint32_t flags, uint64_t maxsize, uint32_t log2, uint64_t start, bint drops=False
):
    """Make a queue segment whose first ring has 2**log2 units and whose first position is `start`."""
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
    plan.param[SK_QUEUE_OVERFLOW] = drops
    plan.fill = sk_queue_fill
    return create_segment(place, name, &plan)


cdef bint never_over(cbool willing, object timeout) except -1:
    """Return whether the call would wait and its timeout is too long. Raises TypeError, ValueError."""
    return willing and timeout is not None and is_too_long(deadline_of(timeout))


cdef object bound_of(object maxsize):
    """Return the limit of items; 0 for no limit, also for a negative `maxsize`. Raises TypeError, ValueError."""
    bound = max(operator.index(maxsize), 0)
    if bound >= 1 << 63:
        raise ValueError(f"maxsize must be less than 2**63: {maxsize}")
    return bound


cdef uint64_t deadline_at_the_lock(object timeout) noexcept:
    """Return the deadline of a put into an unbounded queue, which can wait only for the lock. An invalid timeout means
    no deadline, as in `queue.Queue`."""
    cdef uint64_t until
    try:
        until = deadline_of(timeout)
    except (TypeError, ValueError, OverflowError):
        return FOR_EVER
    return FOR_EVER if is_too_long(until) else until


cdef str overflow_of(bint drops):
    return "drop_oldest" if drops else "block"


def blueprint(maxsize, overflow="block"):
    """Return the blueprint of a queue of at most `maxsize` items."""
    bound = bound_of(number_of("maxsize", maxsize))
    drops = checked_overflow(overflow, bound)
    return segments.Blueprint(
        KIND_QUEUE,
        lambda place, name, seats, flags: make(place, name, seats, flags, bound, FIRST_LOG2, 0, drops),
        lambda there: (
            unlike("maxsize", there.params[SK_QUEUE_MAXSIZE], bound)
            or unlike("overflow", overflow_of(there.params[SK_QUEUE_OVERFLOW]), overflow)
        ),
    )


cdef class Queue(Handle):
    """Queue(maxsize=0, *, overflow='block', name=None, exist_ok=False, persist=False, seats=192, mode=None, \
group=None)\n--\n
    A first-in, first-out queue between threads and processes, with the interface of `queue.Queue` of Python 3.13.

    It holds at most `maxsize` items; if that is 0 or less, as many as fit into memory (32 GiB at once). Items are
    copied: `None bool int float bytes str` and NumPy arrays fast, everything else by pickle 5. There may be any number
    of producers and consumers; each producer's items stay in order. While a process is stopped (SIGSTOP) inside a call,
    non-blocking calls raise Full or Empty after 0.1 s, with a message that names the process. `seats`: how many
    processes can attach at once. With `overflow="drop_oldest"` a put into a full queue does not wait: it drops the
    first item, which then counts as done; `statistics().dropped` is their number.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OutOfSharedMemory. Method: a byte ring with one commit word for each side, docs/decisions/0002.
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(
        self, maxsize=0, *, overflow="block", name=None,
        exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(maxsize, overflow), name, exist_ok, persist, seats, mode, group))

    @staticmethod
    def _of(Segment segment):
        cdef Queue self = Queue.__new__(Queue)
        self._open(segment)
        return self

    cdef _open(self, Segment segment):
        cdef int rc = sk_queue_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)

    # --- putting -------------------------------------------------------------------------------

    @cython.binding(False)
    def put(self, item, block=True, timeout=None, *, blocking=None):
        """put($self, item, block=True, timeout=None, *, blocking=None)\n--\n
        Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full, ShutDown, OutOfSharedMemory, and, before any wait, what pickling the item raises.
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
                    return timeouts.without_waiting(partial(self.put, item, False), Full)
            else:
                until = deadline_at_the_lock(timeout)
        if not plain(item, &own):
            parcel = encode(item)
            parts = parcel.parts
            own.n = parcel.n
            own.kind = parcel.kind
        for i in range(own.n):
            payload += parts[i].len
        call.wait = NULL
        if payload <= QUICK and not (willing and sk_queue_of(segment.s).token):
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

        All items are encoded before the first one goes in, so an item that cannot be pickled leaves the queue
        unchanged. Raises as `put` does; the attribute `put` of Full, ShutDown and OutOfSharedMemory is the number of
        items that went in.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: an argument may close the handle
        cdef sk_call call
        call.willing = block if blocking is None else blocking
        call.until = deadline_of(timeout) if call.willing else FOR_EVER
        if is_too_long(call.until):
            raise timeouts.too_long()
        put_batch(segment, items, call)

    # --- getting -------------------------------------------------------------------------------

    @cython.binding(False)
    def get(self, block=True, timeout=None, *, blocking=None, out=None):
        """get($self, block=True, timeout=None, *, blocking=None, out=None)\n--\n
        Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        With `out`, the item must be a NumPy array of the same shape and dtype; it is copied into `out`, which is
        returned. Raises queue.Empty, ShutDown, and what unpickling the item raises (then the item has been taken);
        TypeError or ValueError for an item of another form than `out` (then it stays).
        """
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call call
        cdef sk_wait_state wait
        cdef int rc
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef cbool willing = block if blocking is None else blocking
        cdef uint64_t until = deadline_of(timeout) if willing else FOR_EVER
        if is_too_long(until):
            return timeouts.without_waiting(partial(self.get, False, out=out), Empty)
        if out is not None:
            return get_into(self, out, willing, timeout)
        cdef sk_call at_once
        at_once.until = 0
        at_once.willing = False
        at_once.wait = NULL
        rc = sk_queue_get(segment.s, small, SMALL, &found, at_once)
        if rc == SK_EMPTY and willing and alone() and sk_queue_glance(segment.s):
            rc = sk_queue_get(segment.s, small, SMALL, &found, at_once)
        if rc == SK_OK:
            return decode(found.kind, small, found.payload, segment)
        memset(&wait, 0, sizeof(wait))
        call.until = until
        call.willing = willing
        call.wait = &wait
        while True:
            if rc == SK_LARGER:
                taken, item = take_large(segment, small, SMALL, &found, NULL, call)
                if taken:
                    return item
            elif rc == SK_EMPTY and not call.willing:
                raise Empty
            elif rc == SK_TIMEOUT or rc == SK_STALLED and not goes_on(segment, &wait.stall):
                raise stalled(Empty, segment, &wait.stall, inside(&wait.stall))
            elif rc == SK_SHUTDOWN:
                raise ShutDown
            elif rc == SK_INTERRUPTED or rc == SK_STALLED:
                attend_getting(segment)
                # After the check for signals, the call returns an item without waiting for the GIL again.
                rc = sk_queue_get(segment.s, small, SMALL, &found, at_once)
                if rc == SK_OK:
                    return decode(found.kind, small, found.payload, segment)
                if rc != SK_EMPTY and rc != SK_BUSY:
                    continue
            elif rc != SK_BUSY and rc != SK_EMPTY:
                refuse(rc, 0, segment)
            with nogil:
                rc = sk_queue_get(segment.s, small, SMALL, &found, call)
            if rc == SK_OK:
                return decode(found.kind, small, found.payload, segment)

    @cython.binding(False)
    def get_nowait(self):
        """get_nowait($self)\n--\n
        Same as get(block=False).
        """
        return self.get(False)

    def get_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """Wait for the first item as `get` does, then take the items that are there, at most `max_items`; return a
        list, which is empty only if `max_items` is 0.

        The list may include items that other producers put while the first part is copied out. So its length is at most
        that of the first part plus what the queue contains then: twice `maxsize` if there is a limit. Raises as `get`
        does. If an item cannot be unpickled, the attribute `items` of the error has the other items.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: an argument may close the handle
        cdef sk_call call
        call.willing = block if blocking is None else blocking
        call.until = deadline_of(timeout) if call.willing else FOR_EVER
        if is_too_long(call.until):
            return timeouts.without_waiting(partial(self.get_many, max_items, False), Empty)
        return get_batch(segment, max_items, call)

    def drain(self):
        """Take the items that are there, without waiting; return them as a list, which may be empty.

        Each of them counts as unfinished until `task_done()`. If an item cannot be unpickled, the attribute `items` of
        the error has the other items.
        """
        cdef Segment segment = self._segment()
        cdef sk_call call
        call.willing = False
        call.until = FOR_EVER
        try:
            return get_batch(segment, None, call)
        except (Empty, ShutDown):
            return []

    def clear(self):
        """Drop the items that are there, and return how many they were. They count as done, as if somebody had taken
        them and called `task_done()`. Items that are leased stay leased.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef uint64_t n = 0
        cdef sk_call call
        cdef int rc = SK_BUSY
        call.willing = False
        call.until = FOR_EVER
        call.wait = NULL
        while unanswered(segment, rc):
            with nogil:
                rc = sk_queue_clear(segment.s, &n, call)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        return n

    @cython.binding(False)
    def lease(self, timeout=None, *, max_deliveries=None, dead_letter=None):
        """lease($self, timeout=None, *, max_deliveries=None, dead_letter=None)\n--\n
        Return a context manager that takes the first item, waiting for one up to `timeout` seconds (None: for ever):
        `with q.lease() as item:`.

        The end of the block takes the item for good. If the block raises, or the process dies, the item comes back
        before all others, in the order in which the items were put, whatever `maxsize` says. So each item is delivered
        *at least once*. An item that would be delivered more than `max_deliveries` times is put into the queue
        `dead_letter` instead, without waiting, and counts as done here; if that fails, the item stays here.

        The end of the block is no `task_done()`: call it afterwards, as after `get`. While items of a queue that was
        shut down are leased, a get or a lease waits, because they may come back. `async with` does the same without
        blocking the event loop. The `with` statement raises queue.Empty, ShutDown, LeasesExhausted, and what unpickling
        the item raises (then it comes back). Raises TypeError, ValueError for arguments that make no sense.
        """
        if self.s is NULL:
            closed(self)
        return new_lease(self, timeout, max_deliveries, dead_letter)

    def alease(self, timeout=None, *, max_deliveries=None, dead_letter=None):
        """The same as `lease`, for `async with q.alease() as item:`.
        """
        if self.s is NULL:
            closed(self)
        return new_lease(self, timeout, max_deliveries, dead_letter)

    def _put_record(self, uint32_t kind, bytes payload):
        """Put an encoded item without waiting for room, for a queue of dead letters. Raises as `put` does."""
        cdef Segment segment = self._segment()
        cdef sk_part part
        cdef sk_call call
        part.at = PyBytes_AS_STRING(payload)
        part.len = len(payload)
        call.willing = False
        call.until = FOR_EVER
        put_waiting(segment, &part, 1, kind, part.len, call)

    def __iter__(self):
        """Yield items as `get` takes them, waiting for each, until the queue is shut down and empty."""
        self._segment()
        return until_shutdown(self.get)

    def __contains__(self, item):
        """Raise TypeError: a search would have to take the items."""
        refuse_search()

    # --- from an event loop ----------------------------------------------------------------------

    cdef object take_now(self):
        """Take the first item if it is small and no task waits ahead of this call; else return NOT_YET."""
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call at_once
        at_once.until = 0
        at_once.willing = False
        at_once.wait = NULL
        if not no_task_queued() or sk_queue_get(self.s, small, SMALL, &found, at_once) != SK_OK:
            return NOT_YET
        return decode(found.kind, small, found.payload, self)

    cdef bint put_now(self, object item) noexcept:
        """Put the item if it is small and plain, there is room, and no task waits ahead; return whether it was put."""
        cdef Plain own
        cdef sk_call at_once
        at_once.until = 0
        at_once.willing = False
        at_once.wait = NULL
        if not plain(item, &own) or own.n and own.part.len > QUICK:
            return False
        if self.s is NULL or not no_task_queued() or sk_queue_of(self.s).token:
            return False
        return sk_queue_put(self.s, &own.part, own.n, own.kind, at_once) == SK_OK

    async def aput(self, item, block=True, timeout=None, *, blocking=None):
        """Put as `put` does, without blocking the event loop; a coroutine. A cancelled task has put nothing.
        """
        if self.s is NULL:
            closed(self)
        if timeout is None and self.put_now(item):
            return None
        return await self.put_later(item, block if blocking is None else blocking, timeout)

    cdef object put_later(self, object item, cbool willing, object timeout):
        cdef Segment segment = self._segment()
        if timeout is not None and sk_queue_maxsize(sk_queue_of(segment.s)) == 0:
            timeout = None if deadline_at_the_lock(timeout) == FOR_EVER else timeout
        if never_over(willing, timeout):
            return coroutines().without_waiting(put_one(segment, item, False, None), Full)
        return put_one(segment, item, willing, timeout)

    def aput_many(self, items, block=True, timeout=None, *, blocking=None):
        """Put as `put_many` does, without blocking the event loop; a coroutine.

        A cancelled task may have put the first items.
        """
        cdef cbool willing = block if blocking is None else blocking
        if never_over(willing, timeout):
            raise timeouts.too_long()
        return put_all(self._segment(), items, willing, timeout)

    async def aget(self, block=True, timeout=None, *, blocking=None, out=None):
        """Take as `get` does, without blocking the event loop; a coroutine. A cancelled task has taken nothing.

        Tasks of one loop get their items in the order of their arrival.
        """
        if self.s is NULL:
            closed(self)
        if out is not None:
            return await self.get_later(block if blocking is None else blocking, timeout, out)
        if timeout is None:
            item = self.take_now()
            if item is not NOT_YET:
                return item
        return await self.get_later(block if blocking is None else blocking, timeout, None)

    cdef object get_later(self, cbool willing, object timeout, object out):
        cdef bint never = never_over(willing, timeout)
        if out is not None:
            self._segment()
            later = get_into_later(self, out, willing and not never, None if never else timeout)
            return coroutines().without_waiting(later, Empty) if never else later
        if never:
            return coroutines().without_waiting(get_one(self._segment(), False, None), Empty)
        return get_one(self._segment(), willing, timeout)

    def aget_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """Take as `get_many` does, without blocking the event loop; a coroutine. A cancelled task has taken nothing.
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
        """Yield items until the queue is shut down and empty: `async for item in q`."""
        return coroutines().iterate(self.aget)

    # --- tasks, sizes, end ----------------------------------------------------------------------

    @cython.binding(False)
    def task_done(self):
        """task_done($self)\n--\n
        Mark an item taken earlier as done. Raises ValueError when called more often than items were put.
        """
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_queue_task_done(sk_queue_of(self.s), 1)
        if rc != SK_OK:
            refuse(rc, 0, self.segment)

    def join(self):
        """Wait until every item that was put is marked as done.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = SK_INTERRUPTED    # so that handlers run even if there is no need to wait
        while unanswered(segment, rc):
            with nogil:
                rc = sk_queue_join(segment.s, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0, segment)

    def shutdown(self, immediate=False):
        """Make every `put` raise ShutDown, and every `get` once the queue is empty, or at once if `immediate`.
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
            refuse(rc, 0, segment)

    def qsize(self):
        """Return how many items are in the queue; the number was exact at one moment, which may be past.
        """
        if self.s is NULL:
            closed(self)
        return sk_queue_count(sk_queue_of(self.s))

    def empty(self):
        """Whether the queue has no item.
        """
        return self.qsize() == 0

    def full(self):
        """Whether a put would have to wait for room (or drop an item); always False if there is no limit. Items that
        came back from a lease need no room.
        """
        cdef Segment segment = self._segment()
        return 0 < sk_queue_maxsize(sk_queue_of(segment.s)) <= sk_queue_held(sk_queue_of(segment.s))

    @property
    def maxsize(self):
        """How many items the queue can hold; 0: only memory limits it. May be assigned at any time."""
        if self.s is NULL:
            closed(self)
        return sk_queue_maxsize(sk_queue_of(self.s))

    @maxsize.setter
    def maxsize(self, maxsize):
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: `maxsize` may close the handle
        cdef object bound = bound_of(maxsize)
        sk_queue_set_maxsize(sk_queue_of(segment.s), bound)

    @property
    def overflow(self):
        """What a put into a full queue does: "block" or "drop_oldest"."""
        cdef Segment segment = self._segment()
        return overflow_of(sk_queue_drops(segment.s))

    @property
    def unfinished_tasks(self):
        """How many items were put and are not yet marked as done."""
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
        """Do nothing, because `put` returns when the item is in the queue. For code written for multiprocessing.
        """

    def cancel_join_thread(self):
        """Do nothing, as `join_thread` does.
        """

    def statistics(self):
        """Return sizes, state, attached processes and those inside `put` and `get`, at this moment: a QueueStatistics.
        """
        cdef Segment segment = self._segment()
        cdef sk_queue *q = sk_queue_of(segment.s)
        from sharedkit.statistics import QueueStatistics
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
            leased=sk_queue_leased(q),
            dropped=sk_queue_dropped(q),
        )

    def __repr__(self):
        if self.s is NULL:
            return "<Queue closed>"
        return f"<Queue qsize={self.qsize()} maxsize={self.maxsize} name={self.name!r}>"


def state(Segment segment):
    """Describe the state in one line, for listings."""
    there = Queue._of(segment)
    cdef object size = there.qsize()
    return f"{size} item{'s' * (size != 1)}, {STATES[min(sk_queue_of(segment.s).state, 2)]}"


segments.register_kind(segments.Kind(KIND_QUEUE, "Queue", Queue._of, state, SK_QUEUE_FLOOR))


# --- many items in one commit, and items too large for the stack ------------------------------------------


cdef class Batch:
    """Encoded items as whole records, one after the other."""

    cdef unsigned char *at
    cdef uint64_t used       # units
    cdef uint64_t room
    cdef uint64_t items

    def __dealloc__(self):
        PyMem_RawFree(self.at)

    cdef int add(self, object item) except -1:
        cdef Parcel parcel
        cdef Plain own
        cdef const sk_part *parts = &own.part
        cdef uint64_t payload = 0, units, head
        cdef unsigned char *to
        cdef uint32_t i
        if not plain(item, &own):
            parcel = encode(item)
            parts = parcel.parts
            own.n = parcel.n
            own.kind = parcel.kind
        for i in range(own.n):
            payload += parts[i].len
        units = sk_record_units(payload)
        if self.used + units > self.room:
            self.room = (self.used + units) * 2 + 64
            to = <unsigned char *>PyMem_RawRealloc(self.at, self.room * SK_UNIT)
            if to is NULL:
                raise MemoryError
            self.at = to
        to = self.at + self.used * SK_UNIT
        head = sk_record_head(payload, own.kind)
        memcpy(to, &head, SK_RECORD_HEAD)
        to += SK_RECORD_HEAD
        for i in range(own.n):
            memcpy(to, parts[i].at, parts[i].len)
            to += parts[i].len
        self.used += units
        self.items += 1
        return 0

    cdef uint64_t payload_at(self, uint64_t at) noexcept:
        """Return the size in bytes of the item whose record begins at unit `at`."""
        cdef uint64_t head
        memcpy(&head, self.at + at * SK_UNIT, SK_RECORD_HEAD)
        return sk_record_payload(head)


cdef Batch batch_of(object items):
    """Encode the items. Raises what pickling raises."""
    cdef Batch batch = Batch.__new__(Batch)
    for item in items:
        batch.add(item)
    return batch


cdef int put_batch(Segment segment, object items, sk_call call) except -1:
    """Encode all items, then put all of them; errors have the attribute `put`."""
    cdef Batch batch = batch_of(items)
    cdef uint32_t n
    cdef uint64_t units, done = 0, at = 0
    cdef sk_wait_state wait
    cdef int rc
    memset(&wait, 0, sizeof(wait))
    wait.thread = this_thread()
    call.wait = &wait
    while done < batch.items:
        n = <uint32_t>min(batch.items - done, <uint64_t>0x7fffffff)
        with nogil:
            rc = sk_queue_put_records(segment.s, batch.at + at * SK_UNIT, &n, &units, call)
        done += n
        at += units
        if rc == SK_OK:
            continue
        try:
            go_on_putting(segment, rc, &wait, batch.payload_at(at))
        except BaseException as why:
            why.put = done
            raise
    return 0


cdef int put_waiting(
    Segment segment, const sk_part *parts, uint32_t n, uint32_t kind, uint64_t payload, sk_call call
) except -1:
    """Put an item of `payload` bytes, waiting without the GIL."""
    cdef sk_wait_state wait
    cdef int rc
    memset(&wait, 0, sizeof(wait))
    wait.thread = this_thread()
    call.wait = &wait
    while True:
        with nogil:
            rc = sk_queue_put(segment.s, parts, n, kind, call)
        if rc == SK_OK:
            return 0
        go_on_putting(segment, rc, &wait, payload)


cdef int go_on_putting(Segment segment, int rc, const sk_wait_state *wait, uint64_t payload) except -1:
    """Handle the status of a put: run signal handlers if the put must be tried again, else raise."""
    try:
        if rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(segment, &wait.stall):
            attend(segment)
        elif rc == SK_FULL:
            raise Full
        elif rc == SK_TIMEOUT or rc == SK_STALLED:
            raise stalled(Full, segment, &wait.stall, inside(&wait.stall))
        elif rc == SK_SHUTDOWN:
            raise ShutDown
        else:
            refuse_put(segment, rc, payload)
    except BaseException:
        sk_queue_cancel_put(segment.s, wait)
        raise
    return 0


cdef list get_batch(Segment segment, object max_items, sk_call call):
    """Wait for the first item as `call` says, then take the items that are there."""
    cdef uint64_t most = FOR_EVER
    cdef list items = []
    cdef bint first = True
    cdef sk_wait_state wait
    memset(&wait, 0, sizeof(wait))
    call.wait = &wait
    if max_items is not None:
        max_items = how_many(max_items)
        if max_items < 0:
            raise ValueError(f"max_items must not be negative: {max_items}")
        most = max_items
    while <uint64_t>len(items) < most:
        try:
            if not take_batch(segment, items, most, call):
                break
        except (Empty, ShutDown):
            if not items:
                raise
            break
        except BaseException as why:
            why.items = items
            raise
        if first and items:    # take only the items that are there now, not those that come meanwhile
            most = min(most, len(items) + <uint64_t>sk_queue_count(sk_queue_of(segment.s)))
            first = False
            if call.willing:
                call.until = FOR_EVER    # for the lock; if not `willing`, the caller has set how long
            call.willing = False
    return items


cdef int take_batch(Segment segment, list items, uint64_t most, sk_call call) except -1:
    """Append the items of one commit; return 0 if the queue is empty. If decoding an item raises, the error is raised
    after all items are decoded."""
    cdef uint64_t units, at = 0, head, payload
    cdef uint32_t n = 0, _record
    cdef sk_found found
    cdef int rc = SK_INTERRUPTED
    cdef unsigned char *to
    failed = None
    units = min(<uint64_t>BATCH_UNITS, sk_queue_bytes(sk_queue_of(segment.s)) // SK_UNIT * 2 + SMALL // SK_UNIT)
    cdef uint64_t room = units
    to = <unsigned char *>PyMem_RawMalloc(room * SK_UNIT)
    if to is NULL:
        raise MemoryError
    try:
        while rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(segment, &call.wait.stall):
            n = <uint32_t>min(most - <uint64_t>len(items), <uint64_t>0x7fffffff)
            units = room
            with nogil:
                rc = sk_queue_get_records(segment.s, to, &n, &units, &found, call)
            if rc == SK_INTERRUPTED:
                attend_getting(segment)
        if rc == SK_LARGER:
            taken, item = take_large(segment, <char *>to, room * SK_UNIT, &found, NULL, call)
            if taken:
                items.append(item)
            return 1
        if rc == SK_EMPTY and items:
            return 0
        if rc == SK_EMPTY:
            raise Empty
        if rc == SK_TIMEOUT or rc == SK_STALLED:
            raise stalled(Empty, segment, &call.wait.stall, inside(&call.wait.stall))
        if rc == SK_SHUTDOWN:
            raise ShutDown
        if rc != SK_OK:
            refuse(rc, 0, segment)
        for _record in range(n):
            memcpy(&head, to + at * SK_UNIT, SK_RECORD_HEAD)
            payload = sk_record_payload(head)
            if not sk_record_sound(head) or sk_record_units(payload) > units - at:
                # The record was checked in the ring, so a program writes where it must not.
                refuse(SK_CORRUPT, 0, segment)
            try:
                items.append(decode(sk_record_kind(head), <char *>to + at * SK_UNIT + SK_RECORD_HEAD, payload, segment))
            except BaseException as why:
                failed = why
            at += sk_record_units(payload)
        if failed is not None:
            raise failed
        return 1
    finally:
        PyMem_RawFree(to)


# --- the wait of a task: the same C calls, which return where they would sleep ----------------------------


cdef class GetWaiter(QueueWaiter):

    cdef object look(self):
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call now
        cdef int rc = SK_LARGER
        now.wait = NULL
        while rc == SK_LARGER:
            sk_waits_aside(&self.aside)
            rc = sk_queue_get(self.segment.s, small, SMALL, &found, self.call)
            sk_waits_aside(NULL)
            if rc == SK_OK:
                return decode(found.kind, small, found.payload, self.segment)
            if rc == SK_LARGER:
                now.until = sk_now_ns() + SHORT_NS
                try:
                    taken, item = take_large(self.segment, small, SMALL, &found, NULL, now)
                except Empty:
                    return pending()     # the lock is held: let the other tasks of the loop run first
                if taken:
                    return item
        return self.empty(rc)

    cdef int end(self) except -1:
        sk_queue_cancel_get(self.segment.s)
        return 0


cdef object get_one(Segment segment, cbool willing, object timeout):
    """Return the coroutine of `Queue.aget`."""
    cdef GetWaiter waiter = GetWaiter.__new__(GetWaiter)
    waiter.set_queue(segment, "get", willing, timeout)
    return waiting(waiter)


cdef class GetManyWaiter(QueueWaiter):

    cdef object max_items

    cdef object look(self):
        cdef sk_call now
        now.wait = NULL
        now.willing = False
        now.until = FOR_EVER
        if self.max_items is not None and operator.index(self.max_items) <= 0:
            return get_batch(self.segment, self.max_items, now)    # an empty list, or an exception
        sk_waits_aside(&self.aside)
        cdef int rc = sk_queue_look_for_item(self.segment.s, self.call)
        sk_waits_aside(NULL)
        if rc != SK_OK:
            return self.empty(rc)
        now.until = sk_now_ns() + SHORT_NS
        try:
            return get_batch(self.segment, self.max_items, now)
        except Empty:
            return pending()             # another consumer was faster, or the lock is held

    cdef int end(self) except -1:
        sk_queue_cancel_get(self.segment.s)
        return 0


cdef object get_some(Segment segment, object max_items, cbool willing, object timeout):
    """Return the coroutine of `Queue.aget_many`."""
    cdef GetManyWaiter waiter = GetManyWaiter.__new__(GetManyWaiter)
    waiter.set_queue(segment, "get", willing, timeout)
    waiter.max_items = max_items
    return waiting(waiter)


cdef class PutWaiter(QueueWaiter):

    cdef Plain own
    cdef object item             # `own` borrows its bytes
    cdef Parcel parcel           # None for a plain item

    cdef int drop(self) except -1:
        self.item = self.parcel = None
        return QueueWaiter.drop(self)

    cdef object look(self):
        cdef const sk_part *parts = &self.own.part if self.parcel is None else self.parcel.parts
        cdef sk_segment *s = self.segment.s
        cdef uint64_t payload = 0
        cdef uint32_t i
        cdef int rc
        for i in range(self.own.n):
            payload += parts[i].len
        if payload <= QUICK:
            sk_waits_aside(&self.aside)
            rc = sk_queue_put(s, parts, self.own.n, self.own.kind, self.call)
            sk_waits_aside(NULL)
        else:
            with nogil:
                sk_waits_aside(&self.aside)
                rc = sk_queue_put(s, parts, self.own.n, self.own.kind, self.call)
                sk_waits_aside(NULL)
        return None if rc == SK_OK else self.full(rc, payload)

    cdef int end(self) except -1:
        sk_queue_cancel_put(self.segment.s, &self.wait)
        return 0


cdef object put_one(Segment segment, object item, cbool willing, object timeout):
    """Return the coroutine of `Queue.aput`. Raises what pickling raises."""
    cdef PutWaiter waiter = PutWaiter.__new__(PutWaiter)
    waiter.set_queue(segment, "put", willing, timeout)
    waiter.item = item
    if not plain(item, &waiter.own):
        waiter.parcel = encode(item)
        waiter.own.n = waiter.parcel.n
        waiter.own.kind = waiter.parcel.kind
    return waiting(waiter)


cdef class PutManyWaiter(QueueWaiter):

    cdef Batch batch
    cdef readonly uint64_t done  # how many items are in the queue
    cdef uint64_t at             # the unit at which the next record begins

    cdef int drop(self) except -1:
        self.batch = None
        return QueueWaiter.drop(self)

    cdef object look(self):
        cdef sk_segment *s = self.segment.s
        cdef Batch batch = self.batch
        cdef uint32_t n
        cdef uint64_t units
        cdef int rc
        while self.done < batch.items:
            n = <uint32_t>min(batch.items - self.done, <uint64_t>0x7fffffff)
            with nogil:
                sk_waits_aside(&self.aside)
                rc = sk_queue_put_records(s, batch.at + self.at * SK_UNIT, &n, &units, self.call)
                sk_waits_aside(NULL)
            self.done += n
            self.at += units
            if rc != SK_OK:
                try:
                    return self.full(rc, batch.payload_at(self.at))
                except BaseException as why:
                    why.put = self.done
                    raise
        return None

    cdef int end(self) except -1:
        sk_queue_cancel_put(self.segment.s, &self.wait)
        return 0


cdef object put_all(Segment segment, object items, cbool willing, object timeout):
    """Return the coroutine of `Queue.aput_many`. Raises what pickling raises."""
    cdef PutManyWaiter waiter = PutManyWaiter.__new__(PutManyWaiter)
    waiter.set_queue(segment, "put", willing, timeout)
    waiter.batch = batch_of(items)
    return coroutines().wait_to_put(waiter)


cdef class JoinWaiter(QueueWaiter):

    cdef object look(self):
        sk_waits_aside(&self.aside)
        cdef int rc = sk_queue_join(self.segment.s, self.until)
        sk_waits_aside(NULL)
        if rc == SK_INTERRUPTED:
            return pending()
        return None if rc == SK_OK else refuse(rc, 0, self.segment)


cdef object join_all(Segment segment):
    """Return the coroutine of `Queue.ajoin`."""
    cdef JoinWaiter waiter = JoinWaiter.__new__(JoinWaiter)
    waiter.set_queue(segment, "join", True, None)
    return waiting(waiter)


# --- readiness: whether a call would not have to wait -------------------------------------------------------


cdef int ready_to_get_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_queue_ready_to_get(s, until)


cdef void cancel_ready_to_get(const sk_segment *s, void *what, sk_wait_state *wait) noexcept nogil:
    sk_queue_cancel_get(<sk_segment *>s)


cdef int ready_to_put_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_queue_ready_to_put(s, until)


cdef void cancel_ready_to_put(const sk_segment *s, void *what, sk_wait_state *wait) noexcept nogil:
    sk_queue_cancel_ready_to_put(<sk_segment *>s)


cdef int ready_to_join_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_queue_join(s, until)


def ready_to_get(Queue handle):
    """Return the wait until there is an item, or no item will come."""
    if handle.s is NULL:
        closed(handle)
    return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_to_get_slice, cancel_ready_to_get, NULL)


def ready_to_put(Queue handle):
    """Return the wait until there is room, or the queue is shut down."""
    if handle.s is NULL:
        closed(handle)
    return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_to_put_slice, cancel_ready_to_put, NULL)


def ready_to_join(Queue handle):
    """Return the wait until all items are declared done."""
    if handle.s is NULL:
        closed(handle)
    return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_to_join_slice, NULL, NULL)


readiness.register(Queue, readiness.of_queue(ready_to_get, ready_to_put, ready_to_join))
