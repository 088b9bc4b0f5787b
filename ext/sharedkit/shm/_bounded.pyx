# cython: language_level=3
"""The bounded semaphore: each permit is held by a process."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import segments
from sharedkit._core.differences import unlike
from sharedkit._core.segment cimport (
    SK_BUSY, SK_EXCESS, SK_OK, Segment, closed, create_segment, refuse, sk_plan, sk_segment,
)
from sharedkit.shm._semaphore cimport Semaphore
from sharedkit._core.watcher cimport sk_waits_aside
from sharedkit.shm._sync cimport sk_seat_counts_sum
from sharedkit.shm._waiting cimport SliceWaiter, next_thread, sk_wait_state, wait_in
from sharedkit.shm._semaphore import checked_value
from sharedkit.statistics import SemaphoreStatistics


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
    int sk_bounded_give(sk_segment *s, uint32_t n, uint64_t until) noexcept
    uint32_t sk_seat_counts_of(const sk_segment *s, const uint64_t *counts, uint32_t seat, uint32_t *owner) noexcept

KIND_BOUNDED = 10
cdef uint64_t FOR_EVER = <uint64_t>-1


cdef int take_slice(sk_segment *s, void *willing, uint64_t until, sk_wait_state *wait) noexcept nogil:
    sk_waits_aside(wait.aside)
    cdef int rc = sk_bounded_take(s, willing is not NULL, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void cancel_wait(const sk_segment *s, void *willing, sk_wait_state *wait) noexcept nogil:
    sk_bounded_cancel(s, wait)


cdef int give_slice(sk_segment *s, void *n, uint64_t until, sk_wait_state *wait) noexcept nogil:
    cdef int rc = sk_bounded_give(s, (<uint32_t *>n)[0], until)
    return SK_BUSY if rc == SK_EXCESS else rc


cdef void nothing(const sk_segment *s, void *n, sk_wait_state *wait) noexcept nogil:
    pass


def make(place, str name, uint32_t seats, uint32_t flags, uint32_t value):
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


def blueprint(value):
    """Return the blueprint of a bounded semaphore with `value` permits."""
    bound = checked_value(value)
    return segments.Blueprint(
        KIND_BOUNDED,
        lambda place, name, seats, flags: make(place, name, seats, flags, bound),
        lambda there: unlike("value", there.params[SK_BOUNDED_BOUND], bound),
    )


cdef class BoundedSemaphore(Semaphore):
    """BoundedSemaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    `value` permits shared by threads and processes, with the interface of `threading.BoundedSemaphore`.

    The process that took a permit holds it: when the process dies or ends, its permits are free again; a stopped
    process keeps them, and the child of a fork holds none. A process that holds none may release permits that others
    hold; ValueError when fewer are held than are released. A waiter that has waited for 1 ms gets the next chance to
    take a permit. While a process is stopped (SIGSTOP) in the middle of `acquire` or `release`, `acquire(False)`
    returns False after 0.1 s, and calls that block without a timeout wait, also `release`.
    `acquire` also accepts `block=` for `blocking=`. `seats`: how many processes can attach at once.
    Raises as Semaphore does. Method: a count for each process (ext/include/structures/sk_bounded.h).
    """

    def __init__(
        self, value=1, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(value), name, exist_ok, persist, seats, mode, group))

    def _open(self, Segment segment):
        cdef int rc = sk_bounded_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0)
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
            return wait_in(self.segment, take_slice, cancel_wait, NULL, FOR_EVER) == SK_OK
        return wait_in(self.segment, take_slice, cancel_wait, permits, until) == SK_OK

    cdef SliceWaiter waiter(self, uint64_t until):
        if self.s is NULL:
            closed(self)
        cdef SliceWaiter waiter = SliceWaiter.__new__(SliceWaiter)
        waiter.set(self.segment, None if until == 0 else <size_t>self.s, FOR_EVER if until == 0 else until)
        waiter.set_slices(take_slice, cancel_wait, NULL if until == 0 else sk_bounded_of(self.s), next_thread())
        return waiter

    cdef int give(self, uint32_t n) except -1:
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_bounded_give(self.s, n, 0)
        if rc == SK_BUSY:
            rc = wait_in(self.segment, give_slice, nothing, &n, FOR_EVER)
            rc = SK_EXCESS if rc == SK_BUSY else rc
        if rc == SK_EXCESS:
            raise ValueError("Semaphore released too many times")
        if rc != SK_OK:
            refuse(rc, 0)
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
        cdef Segment segment = self.segment    # also if another thread closes the handle meanwhile
        value = f"{sk_bounded_value(segment.s)}/{sk_bounded_bound(segment.s)}"
        return f"<sharedkit.BoundedSemaphore at {id(self):#x} name={self.name!r}: value={value}>"


def state(Segment segment):
    """Describe the state in one line, for listings."""
    there = BoundedSemaphore._of(segment).statistics()
    held = ", ".join(f"{count} held by pid {pid}" for pid, count in there.holders.items())
    return f"{there.value} of {there.bound} free, {held or 'none held'}, {there.waiting} waiting"


segments.register_kind(segments.Kind(KIND_BOUNDED, "BoundedSemaphore", BoundedSemaphore._of, state))
