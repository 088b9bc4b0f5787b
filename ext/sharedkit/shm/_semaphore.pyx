# cython: language_level=3
"""The semaphores: permits of a Semaphore have no owner; a process holds each taken permit of a BoundedSemaphore."""

import operator

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import segments
from sharedkit._core import readiness, timeouts
from sharedkit._core.counts import number_of
from sharedkit._core.differences import unlike
from sharedkit._core.segment cimport (
    SK_BUSY, SK_EXCESS, SK_OK, Handle, Segment, closed, create_segment, is_too_long, refuse, sk_plan, sk_segment,
)
from sharedkit._core.watcher cimport no_task_queued, sk_waits_aside
from sharedkit.aio._lazy cimport coroutines, waiting
from sharedkit.shm._lock cimport sk_seat_counts_sum
from sharedkit.shm._waiting cimport (
    ReadyWaiter, SliceWaiter, next_thread, ready, sk_wait_state, until_of_wait, wait_in,
)


cdef extern from "structures/sk_semaphore.h" nogil:
    enum: SK_SEMAPHORE_MOST, SK_SEMAPHORE_FIRST

    ctypedef struct sk_semaphore:
        uint64_t *waiters           # how many threads of each process wait

    uint64_t sk_semaphore_body_len(uint32_t seats) noexcept
    sk_semaphore *sk_semaphore_of(const sk_segment *s) noexcept
    int sk_semaphore_fill(sk_segment *s) noexcept
    int sk_semaphore_refuse(const sk_segment *s) noexcept
    uint32_t sk_semaphore_value(const sk_semaphore *p) noexcept
    int sk_semaphore_grab(sk_semaphore *p) noexcept
    int sk_semaphore_try(sk_semaphore *p) noexcept
    int sk_semaphore_take(sk_segment *s, sk_semaphore *p, uint64_t until, sk_wait_state *wait) noexcept
    void sk_semaphore_cancel(const sk_segment *s, sk_semaphore *p, sk_wait_state *wait) noexcept
    int sk_semaphore_ready(sk_segment *s, sk_semaphore *p, uint64_t until) noexcept
    int sk_semaphore_give(sk_semaphore *p, uint32_t n) noexcept

cdef extern from "structures/sk_bounded.h" nogil:
    enum: SK_BOUNDED_BOUND

    ctypedef struct sk_bounded:
        uint64_t *counts          # the first of the counts: how many permits each process holds

    uint64_t sk_bounded_body_len(uint32_t seats) noexcept
    sk_bounded *sk_bounded_of(const sk_segment *s) noexcept
    uint64_t *sk_bounded_waiting(const sk_segment *s) noexcept
    uint32_t sk_bounded_bound(const sk_segment *s) noexcept
    int sk_bounded_fill(sk_segment *s) noexcept
    int sk_bounded_refuse(const sk_segment *s) noexcept
    uint32_t sk_bounded_value(const sk_segment *s) noexcept
    int sk_bounded_try(sk_segment *s, sk_bounded *p) noexcept
    int sk_bounded_take(sk_segment *s, cbool willing, uint64_t until, sk_wait_state *wait) noexcept
    void sk_bounded_cancel(const sk_segment *s, sk_wait_state *wait) noexcept
    int sk_bounded_ready(sk_segment *s, uint64_t until) noexcept
    int sk_bounded_give(sk_segment *s, uint32_t n, uint64_t until) noexcept
    uint32_t sk_seat_counts_of(const sk_segment *s, const uint64_t *counts, uint32_t seat, uint32_t *owner) noexcept

KIND_SEMAPHORE = 9
KIND_BOUNDED = 10
MOST = SK_SEMAPHORE_MOST
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object ONE = 1


cdef uint64_t until_of_permit(object blocking, object timeout, object block) except? 1:
    """Return the deadline, monotonic time in nanoseconds; 0: do not wait. Raises TypeError, ValueError."""
    if blocking if block is None else block:
        return until_of_wait(timeout)
    if timeout is not None:
        raise ValueError("can't specify timeout for non-blocking acquire")
    return 0


cdef object number_of_permits(object n):
    """Return how many permits to release, at most `MOST` + 1, which every semaphore refuses. Raises TypeError,
    ValueError."""
    n = operator.index(n)
    if n < 1:
        raise ValueError("n must be one or more")
    return min(n, MOST + 1)


def checked_value(value):
    """Return the initial number of permits. Raises TypeError, ValueError, OverflowError."""
    value = number_of("value", value)
    if value < 0:
        raise ValueError(f"semaphore initial value must be >= 0: {value}")
    if value > MOST:
        raise OverflowError(f"a semaphore counts to {MOST:,}: {value:,}")
    return value


cdef int take_slice(sk_segment *s, void *semaphore, uint64_t until, sk_wait_state *wait) noexcept nogil:
    sk_waits_aside(wait.aside)
    cdef int rc = sk_semaphore_take(s, <sk_semaphore *>semaphore, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void cancel_wait(const sk_segment *s, void *semaphore, sk_wait_state *wait) noexcept nogil:
    sk_semaphore_cancel(s, <sk_semaphore *>semaphore, wait)


def make(place, str name, uint32_t seats, uint32_t flags, uint32_t value):
    """Make the segment of a semaphore with `value` free permits."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_SEMAPHORE
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_semaphore_body_len(seats)
    plan.param[SK_SEMAPHORE_FIRST] = value
    plan.fill = sk_semaphore_fill
    return create_segment(place, name, &plan)


def blueprint(value):
    """Return the blueprint of a semaphore with `value` permits."""
    first = checked_value(value)
    return segments.Blueprint(
        KIND_SEMAPHORE,
        lambda place, name, seats, flags: make(place, name, seats, flags, first),
        lambda there: unlike("value", there.params[SK_SEMAPHORE_FIRST], first),
    )


cdef class Semaphore(Handle):
    """Semaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    Permits shared by threads and processes, with the interface of `threading.Semaphore`; `value` are free at first.

    Permits have no owner: any thread of any process may release permits, even more than were taken, so a semaphore can
    also be used for signalling. If a process dies, the permits that it had taken stay taken; those of a
    BoundedSemaphore become free. A waiter that has waited for 1 ms gets the next chance to take a permit. `acquire`
    also accepts `block=` for `blocking=`. `seats`: how many processes can attach at once.
    Raises ValueError for a negative `value`, OverflowError for one past 2**31 - 1, FileExistsError when `name` is taken
    and not `exist_ok`, ValueError when the existing semaphore began with another value, OutOfSharedMemory. Method: one
    word that is counted down by compare-and-swap (ext/include/structures/sk_semaphore.h).
    """

    def __init__(
        self, value=1, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(value), name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def _open(self, Segment segment):
        cdef int rc = sk_semaphore_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)

    cdef bint look(self, uint64_t until) except -1:
        """Take one permit, waiting no later than `until`; return whether one was free in time."""
        if self.s is NULL:
            closed(self)
        cdef sk_semaphore *semaphore = sk_semaphore_of(self.s)
        if until == 0:
            return sk_semaphore_grab(semaphore) == SK_OK
        if self.take_now():
            return True
        return wait_in(self.segment, take_slice, cancel_wait, semaphore, until) == SK_OK

    cdef bint take_now(self) except -1:
        """Take one permit if one is free and no waiter has the fairness token; return whether it was taken."""
        if self.s is NULL:
            closed(self)
        return sk_semaphore_try(sk_semaphore_of(self.s)) == SK_OK

    @cython.binding(False)
    def acquire(self, blocking=True, timeout=None, *, block=None):
        """acquire($self, blocking=True, timeout=None, *, block=None)\n--\n
        Take one permit; with `blocking`, wait up to `timeout` seconds (None: for ever). Returns whether it was taken.

        Raises ValueError for a timeout with `blocking=False`, OverflowError if it must wait and the timeout is longer
        than threading.TIMEOUT_MAX.
        """
        if blocking is True and timeout is None and block is None:
            return self.look(FOR_EVER)
        cdef uint64_t until = until_of_permit(blocking, timeout, block)
        if not is_too_long(until):
            return self.look(until)
        if self.look(0):
            return True
        raise timeouts.too_long()

    cdef SliceWaiter waiter(self, uint64_t until):
        """Return a task's wait for a permit."""
        if self.s is NULL:
            closed(self)
        cdef SliceWaiter waiter = SliceWaiter.__new__(SliceWaiter)
        waiter.set(self.segment, <size_t>self.s, until)
        waiter.set_slices(take_slice, cancel_wait, sk_semaphore_of(self.s), next_thread())
        return waiter

    async def aacquire(self, blocking=True, timeout=None, *, block=None):
        """Take one permit as `acquire` does, without blocking the event loop; a coroutine.

        Tasks of one loop get their permits in the order of their arrival.
        """
        cdef uint64_t until = until_of_permit(blocking, timeout, block)
        if no_task_queued() and self.take_now():
            return True
        if is_too_long(until):
            return await coroutines().without_waiting(waiting(self.waiter(0)))
        return await waiting(self.waiter(until))

    @cython.binding(False)
    def release(self, n=1):
        """release($self, n=1)\n--\n
        Release `n` permits and wake as many waiters. Raises ValueError if `n` is below 1; OverflowError if more than
        2**31 - 1 permits would be free; for a BoundedSemaphore, ValueError if fewer than `n` are held.
        """
        self.give(1 if n is ONE else number_of_permits(n))

    cdef int give(self, uint32_t n) except -1:
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_semaphore_give(sk_semaphore_of(self.s), n)
        if rc != SK_OK:
            refuse(rc, 0, self.segment)
        return 0

    def get_value(self):
        """Return how many permits are free now.
        """
        if self.s is NULL:
            closed(self)
        return sk_semaphore_value(sk_semaphore_of(self.s))

    def locked(self):
        """Whether no permit is free now. `multiprocessing.Semaphore` has this method from Python 3.14 on.
        """
        return self.get_value() == 0

    def statistics(self):
        """Return how many permits are free, how many threads wait, and the attached processes: a SemaphoreStatistics.
        """
        cdef Segment segment = self._segment()
        from sharedkit.statistics import SemaphoreStatistics
        return SemaphoreStatistics(
            name=segment.name,
            kind="Semaphore",
            value=self.get_value(),
            bound=None,
            waiting=sk_seat_counts_sum(segment.s, sk_semaphore_of(segment.s).waiters),
            holders={},
            attached=segment.attached(),
        )

    def __enter__(self):
        return self.look(FOR_EVER)

    def __exit__(self, kind, error, trace):
        self.give(1)

    def __aenter__(self):
        return self.aacquire()

    async def __aexit__(self, kind, error, trace):
        key = <size_t>self.s
        self.release()
        if not no_task_queued():
            coroutines().wake_next(key)

    def __repr__(self):
        if self.s is NULL:
            return f"<closed sharedkit.Semaphore at {id(self):#x}>"
        return f"<sharedkit.Semaphore at {id(self):#x} name={self.name!r}: value={self.get_value()}>"


def state(Segment segment):
    """Describe the state in one line, for listings."""
    there = Semaphore._of(segment).statistics()
    return f"{there.value} free, {there.waiting} waiting"


segments.register_kind(segments.Kind(KIND_SEMAPHORE, "Semaphore", Semaphore._of, state))


# --- the bounded semaphore --------------------------------------------------------------------------------


cdef int take_held_slice(sk_segment *s, void *willing, uint64_t until, sk_wait_state *wait) noexcept nogil:
    sk_waits_aside(wait.aside)
    cdef int rc = sk_bounded_take(s, willing is not NULL, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void cancel_held_wait(const sk_segment *s, void *willing, sk_wait_state *wait) noexcept nogil:
    sk_bounded_cancel(s, wait)


cdef int give_held_slice(sk_segment *s, void *n, uint64_t until, sk_wait_state *wait) noexcept nogil:
    cdef int rc = sk_bounded_give(s, (<uint32_t *>n)[0], until)
    return SK_BUSY if rc == SK_EXCESS else rc


cdef void no_cancel(const sk_segment *s, void *n, sk_wait_state *wait) noexcept nogil:
    pass


def make_bounded(place, str name, uint32_t seats, uint32_t flags, uint32_t value):
    """Make the segment of a bounded semaphore with `value` permits."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_BOUNDED
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_bounded_body_len(seats)
    plan.param[SK_BOUNDED_BOUND] = value
    plan.fill = sk_bounded_fill
    return create_segment(place, name, &plan)


def blueprint_of_bounded(value):
    """Return the blueprint of a bounded semaphore with `value` permits."""
    bound = checked_value(value)
    return segments.Blueprint(
        KIND_BOUNDED,
        lambda place, name, seats, flags: make_bounded(place, name, seats, flags, bound),
        lambda there: unlike("value", there.params[SK_BOUNDED_BOUND], bound),
    )


cdef class BoundedSemaphore(Semaphore):
    """BoundedSemaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    `value` permits shared by threads and processes, with the interface of `threading.BoundedSemaphore`.

    The process that took a permit holds it: when the process dies or ends, its permits are free again; a stopped
    process keeps them, and the child of a fork holds none. A process that holds none may release permits that other
    processes hold; ValueError if more permits are released than are held. A waiter that has waited for 1 ms gets the
    next chance to take a permit. While a process is stopped (SIGSTOP) in the middle of `acquire` or `release`,
    `acquire(False)` returns False after 0.1 s, and calls without a timeout that block wait; so does `release`.
    `acquire` also accepts `block=` for `blocking=`. `seats`: how many processes can attach at once.
    Raises as Semaphore does. Method: a count for each process (ext/include/structures/sk_bounded.h).
    """

    def __init__(
        self, value=1, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint_of_bounded(value), name, exist_ok, persist, seats, mode, group))

    def _open(self, Segment segment):
        cdef int rc = sk_bounded_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)

    cdef bint take_now(self) except -1:
        if self.s is NULL:
            closed(self)
        return sk_bounded_try(self.s, sk_bounded_of(self.s)) == SK_OK

    cdef bint look(self, uint64_t until) except -1:
        """Take one permit, waiting no later than `until`; return whether one was free in time."""
        if self.s is NULL:
            closed(self)
        cdef sk_bounded *permits = sk_bounded_of(self.s)
        if self.take_now():
            return True
        if until == 0:
            return wait_in(self.segment, take_held_slice, cancel_held_wait, NULL, FOR_EVER) == SK_OK
        return wait_in(self.segment, take_held_slice, cancel_held_wait, permits, until) == SK_OK

    cdef SliceWaiter waiter(self, uint64_t until):
        if self.s is NULL:
            closed(self)
        cdef SliceWaiter waiter = SliceWaiter.__new__(SliceWaiter)
        waiter.set(self.segment, None if until == 0 else <size_t>self.s, FOR_EVER if until == 0 else until)
        cdef sk_bounded *permits = NULL if until == 0 else sk_bounded_of(self.s)
        waiter.set_slices(take_held_slice, cancel_held_wait, permits, next_thread())
        return waiter

    cdef int give(self, uint32_t n) except -1:
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_bounded_give(self.s, n, 0)
        if rc == SK_BUSY:
            rc = wait_in(self.segment, give_held_slice, no_cancel, &n, FOR_EVER)
            rc = SK_EXCESS if rc == SK_BUSY else rc
        if rc == SK_EXCESS:
            raise ValueError("Semaphore released too many times")
        if rc != SK_OK:
            refuse(rc, 0, self.segment)
        return 0

    def get_value(self):
        """Return how many permits are free now, including those of dead processes.
        """
        if self.s is NULL:
            closed(self)
        return sk_bounded_value(self.s)

    def statistics(self):
        """Return how many permits are free, how many each process holds, how many threads wait: a SemaphoreStatistics.
        """
        cdef Segment segment = self._segment()
        cdef sk_bounded *permits = sk_bounded_of(segment.s)
        cdef uint32_t seat, count, owner = 0
        holders = {}
        for seat in range(segment.s.seats.count):
            count = sk_seat_counts_of(segment.s, permits.counts, seat, &owner)
            if count > 0:
                pid = segment.pid_of(owner)
                holders[pid] = holders.get(pid, 0) + count
        from sharedkit.statistics import SemaphoreStatistics
        return SemaphoreStatistics(
            name=segment.name,
            kind="BoundedSemaphore",
            value=max(sk_bounded_bound(segment.s) - sum(holders.values()), 0),
            bound=sk_bounded_bound(segment.s),
            waiting=sk_seat_counts_sum(segment.s, sk_bounded_waiting(segment.s)),
            holders=holders,
            attached=segment.attached(),
        )

    def __repr__(self):
        if self.s is NULL:
            return f"<closed sharedkit.BoundedSemaphore at {id(self):#x}>"
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        value = f"{sk_bounded_value(segment.s)}/{sk_bounded_bound(segment.s)}"
        return f"<sharedkit.BoundedSemaphore at {id(self):#x} name={self.name!r}: value={value}>"


def state_of_bounded(Segment segment):
    """Describe the state in one line, for listings."""
    there = BoundedSemaphore._of(segment).statistics()
    held = ", ".join(f"{count} held by pid {pid}" for pid, count in there.holders.items())
    return f"{there.value} of {there.bound} free, {held or 'none held'}, {there.waiting} waiting"


cdef int ready_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_bounded_ready(s, until) if what is NULL else sk_semaphore_ready(s, <sk_semaphore *>what, until)


cdef void cancel_ready(const sk_segment *s, void *what, sk_wait_state *wait) noexcept nogil:
    if what is NULL:
        sk_bounded_cancel(s, wait)
    else:
        sk_semaphore_cancel(s, <sk_semaphore *>what, wait)


def ready_to_acquire(Semaphore handle):
    """Return the wait until a permit is free."""
    if handle.s is NULL:
        closed(handle)
    cdef void *what = NULL if isinstance(handle, BoundedSemaphore) else sk_semaphore_of(handle.s)
    return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_slice, cancel_ready, what)


readiness.register(Semaphore, {"": ready_to_acquire, "acquire": ready_to_acquire, "aacquire": ready_to_acquire})
segments.register_kind(segments.Kind(KIND_BOUNDED, "BoundedSemaphore", BoundedSemaphore._of, state_of_bounded))
