# cython: language_level=3
"""The queues for the threads of this process. A call tries once inside the GIL or a critical section, then waits
outside of it, in slices so that signals are handled."""

import operator
import queue
import types

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import errors, segments
from sharedkit._core import readiness, timeouts
from sharedkit._core.counts import number_of
from sharedkit._core.interrupts cimport attend
from sharedkit._core.differences import unlike
from sharedkit._core.iteration import refuse_search, until_shutdown
from sharedkit._core.segment cimport (
    SK_INTERRUPTED, SK_TIMEOUT,
    Dropped, Handle, Segment, closed, create_segment, deadline_of, is_too_long, keep, sk_plan,
)
from sharedkit._core.watcher cimport no_task_queued
from sharedkit.aio._lazy cimport coroutines, waiting
from sharedkit.shm._waiting cimport sk_wait_state, this_thread
from sharedkit.thread import registry
from sharedkit.thread._items cimport (
    EVERYBODY, FIRST, Items, ended, new_items, nones, place_in, put_some, sk_side, sk_side_awaited, sk_side_end,
    sk_side_must_yield, sk_side_notify, sk_side_park, sk_side_raise, sk_side_waiting, sk_store64_relaxed, take,
)
from sharedkit.thread._ranking cimport NOTHING, Place, first_runs
from sharedkit.thread._waiters cimport (
    GETTING, JOINING, PUTTING, PutWaiter, get_waiter, join_waiter, key_of, put_waiter, ready_waiter,
)

KIND_QUEUE = 4
KIND_LIFO = 15
KIND_PRIORITY = 16
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown
STATES = ("open", "shutdown", "shutdown-immediate")


def make(place, str name, uint32_t seats, uint32_t flags, int64_t maxsize, uint32_t kind=KIND_QUEUE):
    """Make the segment of a queue. Its partner is the Items object; nothing else is in it."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = kind
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sizeof(uint64_t)
    cdef Segment segment = create_segment(place, name, &plan)
    segment.partner = new_items(maxsize, kind == KIND_LIFO, kind == KIND_PRIORITY)
    return segment


cdef int64_t bound_of(object maxsize) except? -1:
    """Return the limit of items as an integer. Raises TypeError, ValueError."""
    bound = operator.index(maxsize)
    if bound >= 1 << 63:
        raise ValueError(f"maxsize must be less than 2**63: {maxsize}")
    return max(bound, -1)


def blueprint(maxsize, kind=KIND_QUEUE):
    """Return the blueprint of a queue of at most `maxsize` items."""
    cdef int64_t bound = bound_of(number_of("maxsize", maxsize))
    return segments.Blueprint(
        kind,
        lambda place, name, seats, flags: make(place, name, seats, flags, bound, kind),
        lambda there: unlike("maxsize", max(0, (<Items>there.partner).maxsize), max(0, bound)),
    )


cdef object most_of(object max_items):
    """Return how many items to get, or None for all. Raises TypeError, ValueError."""
    if max_items is None:
        return None
    most = operator.index(max_items)
    if most < 0:
        raise ValueError(f"max_items must not be negative: {most}")
    return most


cdef int say_how_many(error, Py_ssize_t put) except -1:
    """Set the attribute `put` of the error, if possible: an exception of an item's comparison may refuse it."""
    try:
        error.put = put
    except Exception:
        pass
    return 0


cdef class Queue(Handle):
    """Queue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)\n--\n
    A first-in, first-out queue of any objects for the threads of this process, with the interface of `queue.Queue` of
    Python 3.13; unbounded if `maxsize` is 0 or less. `get` returns the items themselves, not copies. A waiter that has
    waited for 1 ms gets the next chance to put or get. With `exist_ok=True` and the name of an existing queue, the
    result is a further handle on it.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    queue with the same parameters.
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    cdef Items items             # None once closed

    def __init__(self, maxsize=0, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS):
        self._open(registry.create(blueprint(maxsize), name, exist_ok, persist, seats))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def _open(self, Segment segment):
        self.bind(segment)
        self.items = segment.partner

    def close(self):
        """Detach from the queue. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        keep(dropped, self.items)
        self.items = None
        Handle.drop(self, dropped)

    cdef inline Items there(self):
        if self.s is NULL:
            closed(self)
        return self.items

    cdef inline Segment held(self):
        """Return the segment after a critical section, in which another thread may have closed the handle.

        Raises ClosedError."""
        if self.s is NULL:
            closed(self)
        return self.segment

    # --- putting -------------------------------------------------------------------------------

    @cython.binding(False)
    def put(self, item, block=True, timeout=None, *, blocking=None):
        """put($self, item, block=True, timeout=None, *, blocking=None)\n--\n
        Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full if there is no room in time (at once if `block` is false), ShutDown after `shutdown()`,
        ValueError for a negative timeout.
        """
        cdef Items q = self.there()
        cdef Segment segment
        cdef bint put = False
        with cython.critical_section(q):
            # An unbounded queue ignores the timeout, as queue.Queue does.
            if q.state == 0 and q.maxsize <= 0 and q.ranking is None:
                q.push(item)
                put = True
        if put:
            sk_side_notify(q.getters, 1)
        else:
            segment = self.held()    # kept from here on: evaluating the arguments may close the handle
            put_bounded(segment, q, item, block if blocking is None else blocking, timeout)

    @cython.binding(False)
    def put_nowait(self, item):
        """put_nowait($self, item)\n--\n
        Same as put(item, block=False).
        """
        self.put(item, False)

    def put_many(self, items, block=True, timeout=None, *, blocking=None):
        """Put the items in order, as many at once as there is room for; `timeout` is for all of them together.

        Raises as `put` does; the attribute `put` of the exception is the number of items that went in.
        """
        cdef Items q = self.there()
        cdef Segment segment = self.segment
        cdef cbool willing = block if blocking is None else blocking
        cdef list batch = list(items)
        cdef uint64_t until = deadline_of(timeout) if willing else 0
        cdef Py_ssize_t done = 0
        if is_too_long(until):
            raise timeouts.too_long()
        try:
            put_waiting(segment, q, batch, until, &done)
        except (Full, ShutDown) as error:
            error.put = done
            raise
        except Exception as error:
            if q.ranking is not None:
                say_how_many(error, done)
            raise

    # --- getting -------------------------------------------------------------------------------

    @cython.binding(False)
    def get(self, block=True, timeout=None, *, blocking=None):
        """get($self, block=True, timeout=None, *, blocking=None)\n--\n
        Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Empty if there is none in time (at once if `block` is false), ShutDown after `shutdown()` when none
        is left, ValueError for a negative timeout.
        """
        cdef Items q = self.there()
        cdef Segment segment
        cdef object item = None
        cdef bint got = False, bounded = False
        if timeout is None:
            with cython.critical_section(q):
                if q.head != q.tail and not sk_side_awaited(q.getters):
                    item = q.pop()
                    bounded = q.maxsize > 0
                    got = True
            if got:
                if bounded:
                    sk_side_notify(q.putters, 1)
                return item
        segment = self.held()
        cdef cbool willing = block if blocking is None else blocking
        return get_waiting(segment, q, 1, True, willing, timeout)

    @cython.binding(False)
    def get_nowait(self):
        """get_nowait($self)\n--\n
        Same as get(block=False).
        """
        return self.get(False)

    def get_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """Wait for the first item as `get` does, then take the items that are there, at most `max_items` in all.

        The list is empty only if `max_items` is 0. All of its items were in the queue at one moment; in other
        placements, the list may include items that come meanwhile, up to twice `maxsize` in all. Raises as `get` does,
        and ValueError for a negative `max_items`.
        """
        cdef Items q = self.there()
        cdef Segment segment = self.segment
        most = most_of(max_items)
        if most == 0:
            return []
        return get_waiting(segment, q, most, False, block if blocking is None else blocking, timeout)

    def __iter__(self):
        """Yield items as `get` takes them, waiting for each, until the queue is shut down and empty."""
        self._segment()
        return until_shutdown(self.get)

    def __contains__(self, item):
        """Raise TypeError: a search would have to take the items."""
        refuse_search()

    # --- from an event loop ----------------------------------------------------------------------

    async def aput(self, item, block=True, timeout=None, *, blocking=None):
        """Put as `put` does, without blocking the event loop; a coroutine. A cancelled task has put nothing.

        Tasks of one loop put in the order of their arrival.
        """
        cdef Items q = self.there()
        cdef bint put = False, free
        with cython.critical_section(q):
            free = not q.bounded or no_task_queued() and (q.maxsize <= 0 or q.room() > 0 and timeout is None)
            if q.state == 0 and free and q.ranking is None:
                q.push(item)
                put = True
        if put:
            sk_side_notify(q.getters, 1)
            if not no_task_queued():
                coroutines().wake_next(key_of(q, GETTING))
        else:
            await waiting(put_waiter(self.held(), q, [item], block if blocking is None else blocking, timeout))

    async def aget(self, block=True, timeout=None, *, blocking=None):
        """Take as `get` does, without blocking the event loop; a coroutine. A cancelled task has taken nothing.

        Tasks of one loop get their items in the order of their arrival.
        """
        cdef Items q = self.there()
        cdef object item = None
        cdef bint got = False
        if timeout is None and no_task_queued():
            with cython.critical_section(q):
                if q.head != q.tail and not sk_side_awaited(q.getters):
                    item = q.pop()
                    got = True
            if got:
                if q.maxsize > 0:
                    sk_side_notify(q.putters, 1)
                return item
        return await waiting(get_waiter(self.held(), q, 1, True, block if blocking is None else blocking, timeout))

    async def aput_many(self, items, block=True, timeout=None, *, blocking=None):
        """Put as `put_many` does, without blocking the event loop; a coroutine.

        A task that is cancelled half-way has put some items; the attribute `put` of the CancelledError is their number,
        as with Full.
        """
        cdef cbool willing = block if blocking is None else blocking
        if willing and is_too_long(deadline_of(timeout)):
            raise timeouts.too_long()
        cdef PutWaiter waiter = None
        try:
            waiter = put_waiter(self.segment, self.there(), list(items), willing, timeout)
            await waiting(waiter)
        except (Full, ShutDown, coroutines().CancelledError) as error:
            error.put = 0 if waiter is None else waiter.put
            raise
        except Exception as error:
            if waiter is not None and waiter.place is not None:
                say_how_many(error, waiter.put)
            raise

    async def aget_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """Take as `get_many` does, without blocking the event loop; a coroutine. A cancelled task has taken nothing."""
        cdef Items q = self.there()
        cdef Segment segment = self.segment
        most = most_of(max_items)
        if most == 0:
            return []
        return await waiting(get_waiter(segment, q, most, False, block if blocking is None else blocking, timeout))

    async def ajoin(self):
        """Wait as `join` does, without blocking the event loop; a coroutine."""
        await waiting(join_waiter(self.segment, self.there()))

    def __aiter__(self):
        """Yield items as `aget` takes them, until the queue is shut down and empty."""
        self._segment()
        return coroutines().iterate(self.aget)

    # --- tasks, sizes, end ----------------------------------------------------------------------

    @cython.binding(False)
    def task_done(self):
        """task_done($self)\n--\n
        Mark an item taken earlier as done. Raises ValueError when called more often than items were put.
        """
        cdef Items q = self.there()
        cdef bint excess = False, all_done = False
        with cython.critical_section(q):
            excess = q.unfinished == 0
            if not excess:
                q.unfinished -= 1
                all_done = q.unfinished == 0
        if excess:
            raise ValueError("task_done() called too many times")
        if all_done:
            sk_side_notify(q.joiners, EVERYBODY)

    def join(self):
        """Wait until `task_done()` was called for every item that was put.
        """
        cdef Items q = self.there()
        cdef Segment segment = self.segment
        cdef Wait wait
        cdef bint over = False
        begin(&wait, q.joiners, FOR_EVER)
        try:
            while True:
                with cython.critical_section(q):
                    over = q.unfinished == 0
                    if not over:
                        wait.raised = sk_side_raise(wait.side)
                if over:
                    break
                sleep(segment, &wait)
        finally:
            sk_side_end(segment.s, wait.side, &wait.wait)

    def shutdown(self, immediate=False):
        """Make every `put` raise ShutDown, and every `get` that finds no item; calls that wait now are included.

        With `immediate`, the remaining items are thrown away and count as done.
        """
        cdef Items q = self.there()
        cdef Segment _held = self.segment    # kept in a local variable: `immediate` may close the handle
        cdef cbool at_once = immediate
        cdef list fresh = first_runs() if at_once and q.ranking is not None else None
        cdef list _thrown = None    # dropped after the critical section, because finalizers may use the queue
        cdef uint64_t left
        with cython.critical_section(q):
            if at_once:
                left = q.tail - q.head
                q.state = 2
                q.unfinished = q.unfinished - left if q.unfinished > left else 0
                if fresh is not None:
                    _thrown = q.ranking.clear(fresh)
                else:
                    _thrown, q.ring, q.mask = q.ring, nones(FIRST), FIRST - 1
                sk_store64_relaxed(&q.head, q.tail)
            elif q.state == 0:
                q.state = 1
        sk_side_notify(q.getters, EVERYBODY)
        sk_side_notify(q.putters, EVERYBODY)
        sk_side_notify(q.joiners, EVERYBODY)

    @cython.binding(False)
    def qsize(self):
        """qsize($self)\n--\n
        Return how many items are in the queue now.
        """
        cdef Items q = self.there()
        cdef uint64_t n
        with cython.critical_section(q):
            n = q.tail - q.head
        return n

    def empty(self):
        """Whether the queue has no item now.
        """
        return self.qsize() == 0

    def full(self):
        """Whether the queue has no room now.
        """
        return 0 < self.there().maxsize <= self.qsize()

    @property
    def maxsize(self):
        """How many items the queue can hold; no limit if 0 or less. May be assigned at any time."""
        return self.there().maxsize

    @maxsize.setter
    def maxsize(self, maxsize):
        cdef Items q = self.there()
        cdef Segment _held = self.segment    # kept in a local variable: `maxsize` may close the handle
        cdef int64_t bound = bound_of(maxsize)
        with cython.critical_section(q):
            q.maxsize = bound
            q.bounded |= bound > 0
        sk_side_notify(q.putters, EVERYBODY)

    @property
    def unfinished_tasks(self):
        """How many items were put and are not yet marked as done."""
        return self.there().unfinished

    @property
    def is_shutdown(self):
        """Whether `shutdown()` was called."""
        return self.there().state != 0

    def join_thread(self):
        """Do nothing: `multiprocessing.Queue` has a feeder thread, this queue has none.
        """

    def cancel_join_thread(self):
        """Do nothing: `multiprocessing.Queue` has a feeder thread, this queue has none.
        """

    def statistics(self):
        """Return sizes, counts of waiting threads and tasks, and state: a QueueStatistics.
        """
        cdef Items q = self.there()
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        cdef uint64_t size, unfinished
        cdef int64_t maxsize
        cdef int state
        with cython.critical_section(q):
            size, unfinished, maxsize, state = q.tail - q.head, q.unfinished, q.maxsize, q.state
        from sharedkit.statistics import QueueStatistics
        return QueueStatistics(
            name=segment.name,
            kind=type(self).__name__,
            maxsize=max(0, maxsize),
            qsize=size,
            unfinished_tasks=unfinished,
            capacity_bytes=None,
            used_bytes=None,
            state=STATES[state],
            attached=segment.attached(),
            waiting_getters=sk_side_waiting(segment.s, q.getters),
            waiting_putters=sk_side_waiting(segment.s, q.putters),
        )

    def __repr__(self):
        kind = type(self).__name__
        if self.s is NULL:
            return f"<{kind} closed>"
        return f"<{kind} qsize={self.qsize()} maxsize={self.maxsize} name={self.name!r}>"


cdef class LifoQueue(Queue):
    """LifoQueue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)\n--\n
    `queue.LifoQueue` for the threads of this process: a Queue whose `get` takes the item that was put last.

    Raises as Queue does.
    """

    def __init__(self, maxsize=0, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS):
        self._open(registry.create(blueprint(maxsize, KIND_LIFO), name, exist_ok, persist, seats))


cdef class PriorityQueue(Queue):
    """PriorityQueue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)\n--\n
    `queue.PriorityQueue` for the threads of this process: a Queue whose `get` takes the least item by Python's `<`. If
    neither of two items is less, the one that was put first goes first.

    The call that puts compares the items, never the one that gets. If a comparison raises, `put` raises that, and the
    item is not in the queue. In `put_many`, the items before it are in the queue, and the attribute `put` of the
    exception is their number. No lock is held during a comparison, which may let other threads run, and use the queue.
    Raises as Queue does.
    """

    def __init__(self, maxsize=0, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS):
        self._open(registry.create(blueprint(maxsize, KIND_PRIORITY), name, exist_ok, persist, seats))


# --- waiting as a thread ----------------------------------------------------------------------------------

cdef struct Wait:
    sk_side *side
    uint64_t until
    uint32_t raised
    bint over                # whether the time of the wait is over; then the wait polls once more
    sk_wait_state wait


cdef void begin(Wait *wait, sk_side *side, uint64_t until) noexcept:
    memset(wait, 0, sizeof(wait[0]))
    wait.side, wait.until, wait.wait.thread = side, until, this_thread()


cdef int sleep(Segment segment, Wait *wait) except -1:
    """Sleep one slice, after a poll that announced the waiter (`sk_side_raise`). Raises what signal handlers raise,
    whatever ended the sleep: after the check for signals, the call returns an item without waiting for the GIL again.
    Raises OverflowError."""
    cdef int rc
    if is_too_long(wait.until):
        raise timeouts.too_long()
    with nogil:
        rc = sk_side_park(segment.s, wait.side, wait.raised, wait.until, &wait.wait)
    if rc == SK_TIMEOUT:
        wait.over = True
    if rc == SK_INTERRUPTED:
        attend(segment)
    else:
        PyErr_CheckSignals()
    return 0


cdef object get_waiting(Segment segment, Items q, object most, bint single, cbool willing, object timeout):
    cdef Wait wait
    cdef bint got = False, shut = False
    cdef object taken = None
    if ended(q):
        raise ShutDown
    begin(&wait, q.getters, deadline_of(timeout) if willing else 0)
    try:
        while True:
            with cython.critical_section(q):
                if q.head != q.tail:
                    if not willing or wait.over or not sk_side_must_yield(segment.s, wait.side, &wait.wait):
                        taken = take(q, most, single)
                        got = True
                elif q.state != 0:
                    shut = True
                if willing and not (got or shut or wait.over):
                    wait.raised = sk_side_raise(wait.side)
            if got:
                break
            if shut:
                raise ShutDown
            if not willing or wait.over:
                raise Empty
            sleep(segment, &wait)
    finally:
        sk_side_end(segment.s, wait.side, &wait.wait)
        if not got and q.length() != 0:    # pass the wake-up on: this call may have used up another waiter's
            sk_side_notify(wait.side, 1)
    if q.maxsize > 0:
        sk_side_notify(q.putters, 1 if single else EVERYBODY)
    return taken


cdef int put_bounded(Segment segment, Items q, object item, cbool willing, object timeout) except -1:
    cdef bint put = False
    cdef Py_ssize_t done = 0
    if q.state != 0:
        raise ShutDown
    cdef uint64_t until = 0 if not willing else FOR_EVER if q.maxsize <= 0 else deadline_of(timeout)
    if q.ranking is None:
        with cython.critical_section(q):
            if q.state == 0 and q.room() > 0 and not (willing and sk_side_awaited(q.putters)):
                q.push(item)
                put = True
    if put:
        sk_side_notify(q.getters, 1)
    else:
        put_waiting(segment, q, [item], until, &done)
    return 0


cdef int put_waiting(Segment segment, Items q, list batch, uint64_t until, Py_ssize_t *put) except -1:
    """Put the whole batch, waiting no later than `until` (0: do not wait). Raises Full, ShutDown, and what comparing
    raises; *put is the number of items that are in then."""
    cdef Wait wait
    cdef Place place = place_in(q)
    cdef Py_ssize_t done = 0, before
    cdef bint shut = False, all_in = False, wants = False
    begin(&wait, q.putters, until)
    try:
        while True:
            before = done
            if place is not None:
                place.wants = NOTHING
            with cython.critical_section(q):
                shut = q.state != 0
                if not shut and (until == 0 or wait.over or not sk_side_must_yield(segment.s, wait.side, &wait.wait)):
                    done = put_some(q, batch, done, place)
                all_in = not shut and done == len(batch)
                wants = not shut and place is not None and place.wants != NOTHING
                if until != 0 and not (all_in or shut or wait.over or wants):
                    wait.raised = sk_side_raise(wait.side)
            put[0] = done
            if done > before:
                sk_side_notify(q.getters, 1 if done - before == 1 else EVERYBODY)
            if all_in:
                break
            if shut:
                raise ShutDown
            if wants:
                q.serve(place)
                continue
            if until == 0 or wait.over:
                raise Full
            sleep(segment, &wait)
    finally:
        sk_side_end(segment.s, wait.side, &wait.wait)
        if not all_in and q.room() > 0:
            sk_side_notify(wait.side, 1)
    return 0


def ready_to_get(Queue handle):
    """Return the wait until there is an item, or no item will come."""
    if handle.s is NULL:
        closed(handle)
    return ready_waiter(handle.segment, handle.items, GETTING)


def ready_to_put(Queue handle):
    """Return the wait until there is room, or the queue is shut down."""
    if handle.s is NULL:
        closed(handle)
    return ready_waiter(handle.segment, handle.items, PUTTING)


def ready_to_join(Queue handle):
    """Return the wait until all items are declared done."""
    if handle.s is NULL:
        closed(handle)
    return ready_waiter(handle.segment, handle.items, JOINING)


readiness.register(Queue, readiness.of_queue(ready_to_get, ready_to_put, ready_to_join))
