# cython: language_level=3
"""The event: `wait` reads a word with the GIL held, then waits in slices without the GIL, and handles signals."""

import warnings

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from sharedkit import segments
from sharedkit._core import readiness
from sharedkit._core.interrupts cimport unanswered
from sharedkit._core.segment cimport (
    SK_BUSY, SK_OK, SK_TIMEOUT,
    Dropped, Handle, Segment, closed, create_segment, refuse, sk_plan, sk_segment,
)
from sharedkit._core.watcher cimport sk_waits_aside
from sharedkit.aio._lazy cimport waiting
from sharedkit.shm._lock cimport sk_seat_counts_sum
from sharedkit.shm._waiting cimport (
    ReadyWaiter, SliceWaiter, next_thread, ready, sk_wait_state, until_of_span, until_of_wait,
)


cdef extern from "structures/sk_event.h" nogil:
    enum: SK_EVENT_UP

    ctypedef struct sk_event:
        uint64_t *waiters           # how many threads of each process wait

    uint64_t sk_event_body_len(uint32_t seats) noexcept
    sk_event *sk_event_of(const sk_segment *s) noexcept
    int sk_event_refuse(const sk_segment *s) noexcept
    uint32_t sk_event_poll(const sk_event *f) noexcept
    void sk_event_set(sk_event *f) noexcept
    void sk_event_clear(sk_event *f) noexcept
    int sk_event_wait(sk_segment *s, sk_event *f, uint32_t came, uint64_t until) noexcept

KIND_EVENT = 11


cdef struct Wanted:
    sk_event *flag
    uint32_t came            # the value of the word when the wait began


def make(place, str name, uint32_t seats, uint32_t flags):
    """Make an event segment; the flag is not set."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_EVENT
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_event_body_len(seats)
    return create_segment(place, name, &plan)


BLUEPRINT = segments.Blueprint(KIND_EVENT, make, lambda there: None)


cdef class FlagWaiter(SliceWaiter):
    """A task's wait for a flag."""

    cdef Wanted wanted

    cdef int end(self) except -1:
        return 0


cdef int wait_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    cdef Wanted *wanted = <Wanted *>what
    sk_waits_aside(wait.aside)
    cdef int rc = sk_event_wait(s, wanted.flag, wanted.came, until)
    sk_waits_aside(NULL)
    return rc


cdef class ReadyEvent(ReadyWaiter):

    cdef Wanted wanted


def ready_to_go(Event handle):
    """Return the wait until the flag is set."""
    if handle.flag is NULL:
        closed(handle)
    cdef ReadyEvent waiter = ReadyEvent.__new__(ReadyEvent)
    waiter.wanted.flag = handle.flag
    waiter.wanted.came = sk_event_poll(handle.flag)
    return ready(waiter, handle.segment, wait_slice, NULL, &waiter.wanted)


cdef class Event(Handle):
    """Event(*, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    A flag that threads and processes wait for, with the interface of `threading.Event`.

    `set` is one atomic change and a wake-up. It does not wait, so a dead or stopped waiter cannot delay it. If the flag
    is cleared at once, all threads that waited are still released. `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OutOfSharedMemory. Method: one futex word that counts how often it was set (ext/include/structures/sk_event.h).
    """

    cdef sk_event *flag           # NULL once closed

    def __init__(
        self, *, name=None, exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(BLUEPRINT, name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def _open(self, Segment segment):
        cdef int rc = sk_event_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)
        self.flag = sk_event_of(self.s)

    def close(self):
        """Detach from the segment. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        self.flag = NULL
        Handle.drop(self, dropped)

    @cython.binding(False)
    def is_set(self):
        """is_set($self)\n--\n
        Whether the flag is set.
        """
        if self.flag is NULL:
            closed(self)
        return sk_event_poll(self.flag) & SK_EVENT_UP != 0

    def isSet(self):
        """Deprecated name of `is_set`; gives a DeprecationWarning.
        """
        warnings.warn("isSet() is deprecated, use is_set() instead", DeprecationWarning, stacklevel=1)
        return self.is_set()

    @cython.binding(False)
    def set(self):
        """set($self)\n--\n
        Set the flag and wake all waiters.
        """
        if self.flag is NULL:
            closed(self)
        sk_event_set(self.flag)

    @cython.binding(False)
    def clear(self):
        """clear($self)\n--\n
        Clear the flag.
        """
        if self.flag is NULL:
            closed(self)
        sk_event_clear(self.flag)

    @cython.binding(False)
    def wait(self, timeout=None):
        """wait($self, timeout=None)\n--\n
        Wait until the flag is set, up to `timeout` seconds (None: for ever; 0 or less: not at all).

        Returns whether it was set. Raises OverflowError if it must wait and the timeout is longer than
        threading.TIMEOUT_MAX.
        """
        if self.flag is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: `timeout` may close the handle
        cdef sk_event *flag = self.flag
        cdef uint32_t came = sk_event_poll(flag)
        if came & SK_EVENT_UP:
            if timeout is not None:
                until_of_wait(timeout)
            return True
        cdef uint64_t until = until_of_span(timeout)
        if until == 0:
            return False
        cdef int rc = SK_BUSY
        while unanswered(segment, rc):
            with nogil:
                rc = sk_event_wait(segment.s, flag, came, until)
        if rc != SK_OK and rc != SK_TIMEOUT:
            refuse(rc, 0, segment)
        return rc == SK_OK

    def await_(self, timeout=None):
        """Wait as `wait` does, without blocking the event loop; a coroutine. (`await` is a Python keyword.)
        """
        if self.flag is NULL:
            closed(self)
        cdef FlagWaiter waiter = FlagWaiter.__new__(FlagWaiter)
        waiter.wanted.flag = self.flag
        waiter.wanted.came = sk_event_poll(self.flag)
        cdef bint up = waiter.wanted.came & SK_EVENT_UP != 0
        waiter.set(self.segment, <size_t>self.s, until_of_wait(timeout) if up else until_of_span(timeout))
        waiter.set_slices(wait_slice, NULL, &waiter.wanted, next_thread())
        return waiting(waiter)

    def statistics(self):
        """Return whether the flag is set, how many threads wait in all processes, and which processes are attached.

        The result is an EventStatistics.
        """
        if self.flag is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        cdef sk_event *flag = self.flag
        from sharedkit.statistics import EventStatistics
        return EventStatistics(
            name=segment.name,
            kind="Event",
            is_set=sk_event_poll(flag) & SK_EVENT_UP != 0,
            waiting=sk_seat_counts_sum(segment.s, flag.waiters),
            attached=segment.attached(),
        )

    def __repr__(self):
        if self.flag is NULL:
            return f"<sharedkit.Event at {id(self):#x}: closed>"
        return f"<sharedkit.Event at {id(self):#x} name={self.name!r}: {'set' if self.is_set() else 'unset'}>"


def state(Segment segment):
    """Describe the state in one line, for listings."""
    there = Event._of(segment).statistics()
    return f"{'set' if there.is_set else 'unset'}, {there.waiting} waiting"


readiness.register(Event, {"": ready_to_go, "wait": ready_to_go, "await_": ready_to_go})
segments.register_kind(segments.Kind(KIND_EVENT, "Event", Event._of, state))
