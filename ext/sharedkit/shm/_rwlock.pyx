# cython: language_level=3
"""The lock for many readers or one writer, and its two sides with the interface of a Lock."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import errors, segments
from sharedkit._core import readiness
from sharedkit._core.callers import warn_caller
from sharedkit._core.segment cimport (
    SK_BUSY, SK_EXCESS, SK_OK, SK_OWNER_DIED,
    Handle, Segment, closed, ends_anywhere, create_segment, holder_text, refuse, sk_plan, sk_segment,
)
from sharedkit._core.watcher cimport sk_waits_aside
from sharedkit.aio._lazy cimport leaving, waiting
from sharedkit.shm._lock cimport sk_lock_owner, sk_mutex, sk_mutex_pass_on, sk_mutex_taken, sk_seat_counts_sum
from sharedkit.shm._waiting cimport ReadyWaiter, SliceWaiter, next_thread, ready, sk_wait_state, until_of, wait_in


cdef extern from "structures/sk_rwlock.h" nogil:
    ctypedef struct sk_rw_wait:
        uint32_t me              # the owner word of the process that waits

    uint64_t sk_rw_body_len(uint32_t seats) noexcept
    int sk_rw_refuse(const sk_segment *s) noexcept
    sk_mutex *sk_rw_writer(const sk_segment *s) noexcept
    uint64_t *sk_rw_wanting(const sk_segment *s) noexcept
    uint64_t *sk_rw_waiting(const sk_segment *s) noexcept
    uint32_t sk_rw_reads(const sk_segment *s, uint32_t seat, uint32_t *owner) noexcept
    cbool sk_rw_read_now(const sk_segment *s) noexcept
    int sk_rw_try_read(const sk_segment *s) noexcept
    int sk_rw_read(sk_segment *s, sk_rw_wait *w, uint64_t until, sk_wait_state *wait) noexcept
    int sk_rw_end_read(const sk_segment *s) noexcept
    void sk_rw_cancel_read(const sk_segment *s, sk_rw_wait *w, sk_wait_state *wait) noexcept
    int sk_rw_try_write(const sk_segment *s, sk_rw_wait *w) noexcept
    int sk_rw_write(sk_segment *s, sk_rw_wait *w, uint64_t until, sk_wait_state *wait) noexcept
    int sk_rw_end_write(const sk_segment *s) noexcept
    void sk_rw_cancel_write(const sk_segment *s, sk_rw_wait *w, sk_wait_state *wait) noexcept

cdef extern from "structures/sk_rwlock.h" nogil:
    int sk_rw_ready_to_read(sk_segment *s, uint64_t until) noexcept
    int sk_rw_ready_to_write(sk_segment *s, uint64_t until) noexcept

KIND_RWLOCK = 14
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object MINUS_ONE = -1


def make(place, str name, uint32_t seats, uint32_t flags):
    """Make the segment of a free RWLock."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_RWLOCK
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_rw_body_len(seats)
    return create_segment(place, name, &plan)


BLUEPRINT = segments.Blueprint(KIND_RWLOCK, make, lambda there: None)


cdef int read_slice(sk_segment *s, void *request, uint64_t until, sk_wait_state *wait) noexcept nogil:
    sk_waits_aside(wait.aside)
    cdef int rc = sk_rw_read(s, <sk_rw_wait *>request, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void read_end(const sk_segment *s, void *request, sk_wait_state *wait) noexcept nogil:
    sk_rw_cancel_read(s, <sk_rw_wait *>request, wait)


cdef int write_slice(sk_segment *s, void *request, uint64_t until, sk_wait_state *wait) noexcept nogil:
    sk_waits_aside(wait.aside)
    cdef int rc = sk_rw_write(s, <sk_rw_wait *>request, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void write_end(const sk_segment *s, void *request, sk_wait_state *wait) noexcept nogil:
    sk_rw_cancel_write(s, <sk_rw_wait *>request, wait)


cdef class SideWaiter(SliceWaiter):
    """A task's wait to read or to write."""

    cdef sk_rw_wait wait
    cdef bint writes

    cdef object answer(self, int rc):
        if rc == SK_OWNER_DIED:
            warn(self.segment, self.writes)
            return True
        return SliceWaiter.answer(self, rc)


cdef class RWLock(Handle):
    """RWLock(*, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    A lock for threads and processes that many readers or one writer can hold.

    Waiting writers go before waiting readers; but a reader that has waited for 1 ms goes before the next writer. A read
    lock cannot be upgraded, and a reader must not acquire it a second time: if a writer arrives in between, the writer
    waits for the first read to end, and the second read waits for the writer. The process holds the lock, not the
    thread. A lock held by a dead reader is free. After a writer has died, every reader and writer gets an
    OwnerDiedWarning, and `owner_died` is true, until another writer has released the lock. `reader` and `writer` have
    the interface of a Lock, for `with`. `seats`: how many processes can attach at once.
    Raises FileExistsError if `name` is taken and `exist_ok` is false, ValueError if the existing structure differs,
    OutOfSharedMemory. Method: a word for the writer and a cache line for each reading process
    (ext/include/structures/sk_rwlock.h).
    """

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
        cdef int rc = sk_rw_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)

    cdef bint read(self, uint64_t until) except -1:
        cdef sk_rw_wait wait
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = sk_rw_try_read(segment.s)
        if rc != SK_OK and rc != SK_OWNER_DIED:
            memset(&wait, 0, sizeof(wait))
            rc = wait_in(segment, read_slice, read_end, &wait, until)
        if rc == SK_OWNER_DIED:
            warn(segment, False)
        return rc == SK_OK or rc == SK_OWNER_DIED

    cdef bint write(self, uint64_t until) except -1:
        cdef sk_rw_wait wait
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        memset(&wait, 0, sizeof(wait))
        cdef int rc = sk_rw_try_write(segment.s, &wait)
        if rc == SK_BUSY:
            rc = wait_in(segment, write_slice, write_end, &wait, until)
        if rc == SK_OWNER_DIED:
            warn(segment, True)
        return rc == SK_OK or rc == SK_OWNER_DIED

    cdef object aside(self, bint writes, uint64_t until):
        """Return a coroutine that waits for the read side or the write side."""
        if self.s is NULL:
            closed(self)
        cdef SideWaiter waiter = SideWaiter.__new__(SideWaiter)
        memset(&waiter.wait, 0, sizeof(waiter.wait))
        waiter.writes = writes
        waiter.set(self.segment, (<size_t>self.s, writes), until)
        if writes:
            waiter.set_slices(write_slice, write_end, &waiter.wait, next_thread())
        else:
            waiter.set_slices(read_slice, read_end, &waiter.wait, next_thread())
        return waiting(waiter)

    def aacquire_read(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Begin to read as `acquire_read` does, without blocking the event loop; a coroutine.
        """
        return self.aside(False, until_of(blocking if block is None else block, timeout))

    def aacquire_write(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Begin to write as `acquire_write` does, without blocking the event loop; a coroutine.
        """
        return self.aside(True, until_of(blocking if block is None else block, timeout))

    def acquire_read(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Begin to read, together with other readers; wait as `Lock.acquire` does. Returns whether the lock was taken.
        """
        return self.read(until_of(blocking if block is None else block, timeout))

    def release_read(self):
        """End reading. Raises NotLockedError, which is a RuntimeError and a ValueError, if this process holds no read
        lock.
        """
        if self.s is NULL:
            closed(self)
        if sk_rw_end_read(self.s) == SK_EXCESS:
            raise errors.NotLockedError("release of a read lock that this process does not hold")

    def acquire_write(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Begin to write, alone; wait as `Lock.acquire` does. Returns whether the lock was taken.
        """
        return self.write(until_of(blocking if block is None else block, timeout))

    def release_write(self):
        """End writing. Raises NotLockedError, which is a RuntimeError and a ValueError, if this process does not write.
        """
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_rw_end_write(self.s)
        if rc == SK_EXCESS:
            raise errors.NotLockedError("release of a write lock that this process does not hold")
        if rc != SK_OK:
            refuse(rc, 0, self.segment)

    @property
    def reader(self):
        """The read side, with the interface of a Lock: `with lock.reader:`."""
        self._segment()
        return Side(self, False)

    @property
    def writer(self):
        """The write side, with the interface of a Lock: `with lock.writer:`."""
        self._segment()
        return Side(self, True)

    @property
    def owner_died(self):
        """Whether a writer died while writing, and no later writer has released the lock since."""
        if self.s is NULL:
            closed(self)
        return sk_rw_writer(self.s).poisoned != 0

    def statistics(self):
        """Return an RWLockStatistics: the writer and the time since which it writes, the readers, the numbers of
        waiting threads, and the attached processes.
        """
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        cdef sk_mutex *mutex = sk_rw_writer(segment.s)
        cdef uint32_t seat, owner, n
        readers = {}
        for seat in range(segment.s.seats.count):
            n = sk_rw_reads(segment.s, seat, &owner)
            if n != 0:
                readers[segment.pid_of(owner)] = n
        readers.pop(None, None)
        writer = None if readers else segment.pid_of(sk_lock_owner(&mutex.word))
        since = mutex.since
        from sharedkit.statistics import RWLockStatistics
        return RWLockStatistics(
            name=segment.name,
            kind="RWLock",
            writer=writer,
            since=None if writer is None or since == 0 else since / 1e9,
            readers=readers,
            waiting_readers=sk_seat_counts_sum(segment.s, sk_rw_waiting(segment.s)),
            waiting_writers=sk_seat_counts_sum(segment.s, sk_rw_wanting(segment.s)),
            owner_died=mutex.poisoned != 0,
            attached=segment.attached(),
        )

    def __repr__(self):
        if self.s is NULL:
            return f"<closed sharedkit.RWLock object at {id(self):#x}>"
        there = self.statistics()
        held = (
            f"written by {there.writer}" if there.writer is not None
            else f"read by {sum(there.readers.values())}" if there.readers else "unlocked"
        )
        return f"<{held} sharedkit.RWLock object name={self.name!r} at {id(self):#x}>"


cdef class Side:
    """One side of an RWLock, for reading or for writing, with the interface of `threading.Lock`."""

    cdef RWLock whole
    cdef bint writes

    def __cinit__(self, RWLock whole, bint writes):
        self.whole = whole
        self.writes = writes
        ends_anywhere(self)

    cdef bint take(self, uint64_t until) except -1:
        return self.whole.write(until) if self.writes else self.whole.read(until)

    @cython.binding(False)
    def acquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """acquire($self, blocking=True, timeout=-1, *, block=None)\n--\n
        Take this side; wait as `Lock.acquire` does. Returns whether the side was taken.
        """
        return self.take(until_of(blocking if block is None else block, timeout))

    @cython.binding(False)
    def release(self):
        """release($self)\n--\n
        Release this side. Raises NotLockedError, which is a RuntimeError and a ValueError, if this process does not
        hold it.
        """
        if self.writes:
            self.whole.release_write()
        else:
            self.whole.release_read()

    def locked(self):
        """Whether this side is held now.
        """
        if self.whole.s is NULL:
            closed(self.whole)
        cdef sk_segment *s = self.whole.s
        if not self.writes:
            return bool(sk_rw_read_now(s))
        return bool(sk_mutex_taken(s, sk_rw_writer(s)) and not sk_rw_read_now(s))

    def __enter__(self):
        return self.take(FOR_EVER)

    def __exit__(self, kind, error, trace):
        self.release()

    def aacquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Take this side as `acquire` does, without blocking the event loop; a coroutine.
        """
        return self.whole.aside(self.writes, until_of(blocking if block is None else block, timeout))

    def __aenter__(self):
        return self.whole.aside(self.writes, FOR_EVER)

    def __aexit__(self, kind, error, trace):
        return leaving(self.release, (<size_t>self.whole.s, not self.writes))

    def __reduce__(self):
        return side_of, (self.whole, self.writes)

    def __repr__(self):
        return f"<{'writer' if self.writes else 'reader'} of {self.whole!r}>"


def side_of(whole, writes):
    """Unpickle the side of a lock."""
    return Side(whole, writes)


cdef int warn(Segment segment, bint writes) except -1:
    """Warn that a writer has died. If the warning raises, release the lock, which this process holds now."""
    text = f"a process that wrote under the lock {segment.name!r} has died: check what the lock protects"
    try:
        warn_caller(text, errors.OwnerDiedWarning)
    except BaseException:
        if writes:
            sk_mutex_pass_on(sk_rw_writer(segment.s))
        else:
            sk_rw_end_read(segment.s)
        raise
    return 0


def state(Segment segment):
    """Describe the state in one line, for listings."""
    there = RWLock._of(segment).statistics()
    cdef uint32_t writer = sk_lock_owner(&sk_rw_writer(segment.s).word)
    held = "unlocked"
    if there.readers:    # then the word names a writer that waits
        held = f"read by {sum(there.readers.values())}"
    elif writer != 0:
        held = f"written by {holder_text(segment, writer)}"
    death = ", a writer died" if there.owner_died else ""
    return f"{held}, {there.waiting_readers} waiting to read, {there.waiting_writers} to write{death}"


cdef int ready_to_read_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_rw_ready_to_read(s, until)


cdef int ready_to_write_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_rw_ready_to_write(s, until)


def ready_to_read(RWLock handle):
    """Return the wait until a thread could read. Nobody else needs a wake-up of this wait: all are woken."""
    if handle.s is NULL:
        closed(handle)
    return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_to_read_slice, NULL, NULL)


def ready_to_write(RWLock handle):
    """Return the wait until a thread could write."""
    if handle.s is NULL:
        closed(handle)
    return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_to_write_slice, NULL, NULL)


def ready_to_take(Side side):
    """Return the wait until the side could be taken."""
    return ready_to_write(side.whole) if side.writes else ready_to_read(side.whole)


readiness.register(RWLock, {
    "acquire_read": ready_to_read, "aacquire_read": ready_to_read,
    "acquire_write": ready_to_write, "aacquire_write": ready_to_write,
})
readiness.register(Side, {"": ready_to_take, "acquire": ready_to_take, "aacquire": ready_to_take})
segments.register_kind(segments.Kind(KIND_RWLOCK, "RWLock", RWLock._of, state))
