# cython: language_level=3
"""The barrier: `wait` tries to enter with the GIL held, then waits without it in slices that let signals through."""

import threading

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libcpp cimport bool as cbool

from sharedkit import segments
from sharedkit._core import readiness, timeouts
from sharedkit._core.counts import number_of
from sharedkit._core.differences import unlike
from sharedkit._core.interrupts cimport unanswered
from sharedkit._core.segment cimport (
    SK_BUSY, SK_INTERRUPTED, SK_OK, SK_TIMEOUT,
    Dropped, Handle, PrivateSegment, Segment, closed, create_segment, is_too_long, refuse, sk_header_of, sk_me, sk_plan,
)
from sharedkit._core.watcher cimport Waiter, pending, sk_aside, sk_waits_aside
from sharedkit.aio._lazy cimport waiting
from sharedkit.shm._waiting cimport until_of_span, until_of_wait

KIND_BARRIER = 13
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object BrokenBarrierError = threading.BrokenBarrierError
STATES = ("filling", "acting", "draining", "resetting", "broken", "broken")
cdef int HAS_TIMEOUT = 1, TIMEOUT = 2      # indices in sk_plan.param, beside SK_BARRIER_PARTIES


cdef object seconds_of(object timeout):
    """Return the timeout as a float, or None. Raises TypeError, ValueError."""
    return timeouts.span(timeout)


def make(place, str name, uint32_t seats, uint32_t flags, uint32_t parties, object timeout):
    """Make a barrier segment for `parties` parties; `timeout` applies to a `wait` whose own timeout is None."""
    cdef sk_plan plan
    cdef double seconds
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_BARRIER
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_barrier_body_len(parties)
    plan.param[SK_BARRIER_PARTIES] = parties
    if timeout is not None:
        seconds = timeout
        plan.param[HAS_TIMEOUT] = 1
        memcpy(&plan.param[TIMEOUT], &seconds, sizeof(seconds))
    return create_segment(place, name, &plan)


cdef object timeout_of(Segment segment):
    """Return the timeout that the barrier was made with."""
    cdef double seconds
    if not sk_header_of(segment.s).param[HAS_TIMEOUT]:
        return None
    memcpy(&seconds, &sk_header_of(segment.s).param[TIMEOUT], sizeof(seconds))
    return seconds


def blueprint(parties, timeout):
    """Return the blueprint of a barrier of `parties` parties. Raises TypeError, ValueError."""
    parties = number_of("parties", parties)
    if parties < 1:
        raise ValueError(f"parties must be > 0: {parties}")
    if parties > SK_PARTIES_MAX:
        raise ValueError(f"parties must be at most {SK_PARTIES_MAX}: {parties}")
    timeout = seconds_of(timeout)
    return segments.Blueprint(
        KIND_BARRIER,
        lambda place, name, seats, flags: make(place, name, seats, flags, parties, timeout),
        lambda there: differs(there, parties, timeout),
    )


cdef class PartyWaiter(Waiter):
    """A task's wait at a barrier: first to enter, then for the other parties."""

    cdef Barrier handle
    cdef sk_barrier *barrier
    cdef sk_party party
    cdef object timeout
    cdef bint inside
    cdef int fate                # how its round ended while its loop did not run; SK_INTERRUPTED: no such end

    cdef object look(self):
        if self.fate == SK_BROKEN:
            raise BrokenBarrierError
        if self.fate == SK_OK:
            return self.party.slot
        if not self.inside:
            if not self.come_in():
                return pending()
            self.inside = True
            self.set(self.segment, None, until_of_wait(self.timeout))
            if self.party.last:
                try:
                    if self.handle.action is not None:
                        self.handle.act(self.barrier)
                finally:
                    self.end()
                return self.party.slot
            if is_too_long(self.until):
                self.end()
                raise timeouts.too_long()
        return self.await_others()

    cdef bint come_in(self) except -1:    # returns whether the party is inside now
        cdef cbool acts = self.handle.action is not None
        sk_waits_aside(&self.aside)
        cdef int rc = sk_barrier_enter(self.segment.s, self.barrier, acts, self.until or 1, &self.party)
        sk_waits_aside(NULL)
        if rc != SK_OK and rc != SK_INTERRUPTED:
            judge(self.segment, rc)
        return rc == SK_OK

    cdef object await_others(self):
        sk_waits_aside(&self.aside)
        cdef int rc = sk_barrier_wait(self.segment.s, self.barrier, self.party.slot, self.until)
        sk_waits_aside(NULL)
        if rc == SK_INTERRUPTED:
            return pending()
        self.end()
        if rc != SK_OK:
            judge(self.segment, rc)
        return self.party.slot

    cdef int abandon(self) except -1:
        """Leave the barrier, so that this party counts as not arrived. If its round has ended already, the party
        belongs to that round, and `fate` keeps the result for the task."""
        cdef sk_aside nothing
        if self.begun and self.inside and sk_me(self.segment.s) == self.me:
            sk_waits_aside(&nothing)
            self.fate = sk_barrier_wait(self.segment.s, self.barrier, self.party.slot, FOR_EVER)
            sk_waits_aside(NULL)
        return Waiter.abandon(self)

    cdef int drop(self) except -1:
        self.handle = None
        return Waiter.drop(self)

    cdef int end(self) except -1:
        if self.inside:
            self.inside = False
            sk_barrier_detach(self.segment.s, self.barrier, self.party.slot)
        return 0


cdef class Barrier(Handle):
    """Barrier(parties, action=None, timeout=None, *, name=None, exist_ok=False, persist=False, seats=192, \
mode=None, group=None)\n--\n
    A place where `parties` threads and processes wait for each other, with the interface of `threading.Barrier`.

    The last party to arrive calls `action` before all are released. Each handle has its own action (it is pickled with
    the handle), so give all handles the same one. `timeout`, in seconds, applies to a `wait` whose own timeout is None.
    A process that dies inside, while it waits or runs the action, breaks the barrier, even if no other party has come
    yet. `seats`: how many processes can attach at once. Raises ValueError for fewer than one party, FileExistsError if
    `name` is taken and `exist_ok` is false, ValueError if the existing structure differs, OutOfSharedMemory.
    Method: ext/include/structures/sk_barrier.h.
    """

    cdef sk_barrier *barrier     # NULL once closed
    cdef object action           # None, or the function to call
    cdef object timeout

    def __init__(
        self,
        parties,
        action=None,
        timeout=None,
        *,
        name=None,
        exist_ok=False,
        persist=False,
        seats=segments.DEFAULT_SEATS, mode=None, group=None,
    ):
        self.action = action
        self._open(segments.create(blueprint(parties, timeout), name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def _open(self, Segment segment):
        cdef int rc = sk_barrier_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)
        self.barrier = sk_barrier_of(self.s)
        self.timeout = timeout_of(segment)
        if isinstance(segment, PrivateSegment):
            self.action = segment.partner

    def close(self):
        """Detach from the segment. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        self.barrier = NULL
        Handle.drop(self, dropped)

    @cython.binding(False)
    def wait(self, timeout=None):
        """wait($self, timeout=None)\n--\n
        Wait until all parties have come; return a number from 0 to parties - 1, a different one for each party.

        If they do not come within `timeout` seconds (None: the barrier's own timeout), the barrier breaks. The time of
        the action does not count. Raises threading.BrokenBarrierError, the action's exception, and OverflowError if it
        must wait and the timeout is longer than threading.TIMEOUT_MAX.
        """
        if self.barrier is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef sk_barrier *barrier = self.barrier
        cdef sk_party party
        if timeout is None:
            timeout = self.timeout
        cdef uint64_t until = until_of_wait(timeout)
        cdef cbool acts = self.action is not None
        cdef int rc = sk_barrier_enter(segment.s, barrier, acts, 0, &party)
        if rc == SK_BUSY:
            until = until_of_span(timeout)
            come_in(segment, barrier, acts, until if until != 0 else 1, &party)
            until = until_of_span(timeout)
        elif rc != SK_OK:
            judge(segment, rc)
        try:
            if not party.last:
                if is_too_long(until):
                    raise timeouts.too_long()
                wait_inside(segment, barrier, party.slot, until)
            elif acts:
                self.act(barrier)
        finally:
            sk_barrier_detach(segment.s, barrier, party.slot)
        return party.slot

    def await_(self, timeout=None):
        """Wait as `wait` does, without blocking the event loop; a coroutine. (`await` is a Python keyword.)

        A cancelled task counts as not arrived. The action runs in the event loop and should be short.
        """
        if self.barrier is NULL:
            closed(self)
        cdef PartyWaiter waiter = PartyWaiter.__new__(PartyWaiter)
        waiter.handle = self
        waiter.fate = SK_INTERRUPTED
        waiter.barrier = self.barrier
        waiter.timeout = self.timeout if timeout is None else timeout
        waiter.set(self.segment, None, until_of_wait(waiter.timeout))
        return waiting(waiter)

    cdef int act(self, sk_barrier *barrier) except -1:
        """Run the action; release all parties if it succeeds."""
        try:
            self.action()
        except BaseException:
            sk_barrier_acted(barrier, False)
            raise
        if sk_barrier_acted(barrier, True) != SK_OK:
            raise BrokenBarrierError
        return 0

    def reset(self):
        """Make the barrier empty and unbroken again; waiting threads get a BrokenBarrierError.
        """
        if self.barrier is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef sk_barrier *barrier = self.barrier
        cdef int rc = sk_barrier_reset(segment.s, barrier, 0)
        while unanswered(segment, rc):
            with nogil:
                rc = sk_barrier_reset(segment.s, barrier, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0, segment)

    def abort(self):
        """Break the barrier until `reset()`: threads that wait or arrive get a BrokenBarrierError.
        """
        if self.barrier is NULL:
            closed(self)
        sk_barrier_break(self.barrier, SK_RESETTING)

    cdef uint32_t phase(self) except? 99:
        """Return the phase, after checking for dead processes inside."""
        if self.barrier is NULL:
            closed(self)
        sk_barrier_notice(self.s, self.barrier)
        return sk_barrier_phase(sk_barrier_look(self.barrier))

    @property
    def parties(self):
        """How many parties must come."""
        if self.barrier is NULL:
            closed(self)
        return sk_barrier_parties(self.s)

    @property
    def n_waiting(self):
        """How many parties have come and wait for the others."""
        return sk_barrier_inside(self.s, self.barrier) if self.phase() == SK_FILLING else 0

    @property
    def broken(self):
        """Whether the barrier is broken."""
        return self.phase() >= SK_IS_BROKEN

    def statistics(self):
        """Return a BarrierStatistics: the number of parties, how many of them wait, the processes of those inside, and
        the attached processes.
        """
        cdef uint32_t i, phase = self.phase()
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        cdef sk_barrier *barrier = self.barrier
        cdef uint32_t inside = sk_barrier_inside(segment.s, barrier) if phase == SK_FILLING else 0
        state = STATES[min(phase, 5)]
        from sharedkit.statistics import BarrierStatistics
        return BarrierStatistics(
            name=segment.name,
            kind="Barrier",
            parties=sk_barrier_parties(segment.s),
            waiting=inside,
            state=state,
            owners=tuple([
                pid
                for i in range(sk_barrier_parties(segment.s))
                if barrier.slot[i] != 0 and (pid := segment.pid_of(barrier.slot[i])) is not None
            ]),
            attached=segment.attached(),
        )

    def __reduce__(self):
        arrive, arguments = Handle.__reduce__(self)
        return (arrive, arguments) if self.action is None else (acting, (arrive, arguments, self.action))

    def __repr__(self):
        if self.barrier is NULL:
            return f"<sharedkit.Barrier at {id(self):#x}: closed>"
        how = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<sharedkit.Barrier at {id(self):#x} name={self.name!r}: {how}>"


cdef int come_in(Segment segment, sk_barrier *barrier, cbool acts, uint64_t until, sk_party *party) except -1:
    """Take a slot; first wait until the parties of the last round have left their slots."""
    cdef int rc = SK_INTERRUPTED    # signal handlers run before the first try; if one raises, the party has not entered
    while unanswered(segment, rc):
        with nogil:
            rc = sk_barrier_enter(segment.s, barrier, acts, until, party)
    return 0 if rc == SK_OK else judge(segment, rc)


cdef int wait_inside(Segment segment, sk_barrier *barrier, uint32_t slot, uint64_t until) except -1:
    cdef int rc = SK_BUSY
    while unanswered(segment, rc):
        with nogil:
            rc = sk_barrier_wait(segment.s, barrier, slot, until)
    return 0 if rc == SK_OK else judge(segment, rc)


cdef int judge(Segment segment, int rc) except -1:
    """Raise the exception for a status of the C code."""
    if rc == SK_BROKEN or rc == SK_TIMEOUT:
        raise BrokenBarrierError
    return refuse(rc, 0, segment)


cdef object differs(Segment there, uint32_t parties, object timeout):
    return unlike("parties", there.params[SK_BARRIER_PARTIES], parties) or unlike("timeout", timeout_of(there), timeout)


def acting(arrive, arguments, action):
    """Unpickle a barrier together with its action."""
    cdef Barrier barrier = arrive(*arguments)
    barrier.action = action
    return barrier


def state(Segment segment):
    """Describe the state in one line, for listings."""
    there = Barrier._of(segment).statistics()
    return f"{there.state}, {there.waiting} of {there.parties} waiting"


readiness.refuse(Barrier, readiness.BARRIER)
segments.register_kind(segments.Kind(KIND_BARRIER, "Barrier", Barrier._of, state))
