# cython: language_level=3
"""The locks, and their mutex: `acquire` tries once with the GIL held, then waits in slices without the GIL."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import errors, segments
from sharedkit._core import readiness
from sharedkit._core.callers import warn_caller
from sharedkit._core.differences import unlike
from sharedkit._core.segment cimport (
    SK_BUSY, SK_CORRUPT, SK_EXCESS, SK_OK, SK_OWNER_DIED,
    Dropped, Handle, Segment, closed, create_segment, holder_text, refuse, sk_body_of, sk_header_of, sk_me, sk_plan,
    sk_segment,
)
from sharedkit._core.shortcuts cimport PyObject, install_shortcut, method_call
from sharedkit._core.watcher cimport no_task_queued, sk_waits_aside
from sharedkit.aio._lazy cimport coroutines, leaving, waiting
from sharedkit.shm._waiting cimport (
    ReadyWaiter, SliceWaiter, next_thread, ready, sk_wait_state, this_thread, until_of, wait_in,
)


cdef extern from "platform/sk_atomic.h" nogil:
    uint64_t sk_load64_relaxed(const uint64_t *word) noexcept

cdef extern from "structures/sk_rlock.h" nogil:
    int sk_mutex_ready(sk_segment *s, sk_mutex *m, uint64_t until) noexcept
    void sk_mutex_cancel_ready(sk_mutex *m) noexcept
    cbool sk_rlock_mine(const sk_segment *s, const sk_mutex *m, uint32_t thread) noexcept
    int sk_rlock_try_free(const sk_segment *s, sk_mutex *m, uint32_t thread) noexcept
    int sk_rlock_try(const sk_segment *s, sk_mutex *m, uint32_t thread) noexcept
    int sk_rlock_take(sk_segment *s, sk_mutex *m, uint64_t count, uint64_t until, sk_wait_state *wait) noexcept
    int sk_rlock_free(const sk_segment *s, sk_mutex *m) noexcept
    int sk_rlock_give(const sk_segment *s, sk_mutex *m, uint32_t thread) noexcept

KIND_LOCK = 6
KIND_RLOCK = 8
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object MINUS_ONE = -1
MANNERS = ("warn", "raise")


# --- the mutex of Lock and RLock ------------------------------------------------------------------------


cdef int take_slice(sk_segment *s, void *mutex, uint64_t until, sk_wait_state *wait) noexcept nogil:
    sk_waits_aside(wait.aside)
    cdef int rc = sk_mutex_take(s, <sk_mutex *>mutex, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void cancel_wait(const sk_segment *s, void *mutex, sk_wait_state *wait) noexcept nogil:
    sk_mutex_cancel(s, <sk_mutex *>mutex, wait)


cdef int ready_slice(sk_segment *s, void *mutex, uint64_t until, sk_wait_state *wait) noexcept nogil:
    return sk_mutex_ready(s, <sk_mutex *>mutex, until)


cdef void cancel_ready(const sk_segment *s, void *mutex, sk_wait_state *wait) noexcept nogil:
    sk_mutex_cancel_ready(<sk_mutex *>mutex)


cdef int ready_rlock_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    cdef Wanted *wanted = <Wanted *>what
    if sk_rlock_mine(s, wanted.mutex, <uint32_t>wanted.count):
        return SK_OK
    return ready_slice(s, wanted.mutex, until, wait)


cdef void cancel_ready_rlock(const sk_segment *s, void *what, sk_wait_state *wait) noexcept nogil:
    sk_mutex_cancel_ready((<Wanted *>what).mutex)


cdef class ReadyRLock(ReadyWaiter):

    cdef Wanted wanted       # `count` is the number of the thread or task that may hold the lock already


def ready_to_acquire(Mutex handle):
    """Return the wait until the lock can be acquired."""
    cdef ReadyRLock waiter
    if handle.mutex is NULL:
        closed(handle)
    if not isinstance(handle, RLock):
        return ready(ReadyWaiter.__new__(ReadyWaiter), handle.segment, ready_slice, cancel_ready, handle.mutex)
    waiter = ReadyRLock.__new__(ReadyRLock)
    waiter.wanted.mutex = handle.mutex
    waiter.wanted.count = caller_of(<RLock>handle)
    return ready(waiter, handle.segment, ready_rlock_slice, cancel_ready_rlock, &waiter.wanted)


cdef class MutexWaiter(SliceWaiter):

    cdef set_mutex(self, Mutex handle, uint64_t until):
        self.mutex = handle.mutex
        self.strict = handle.strict
        self.set(handle.segment, <size_t>handle.mutex, until)

    cdef object answer(self, int rc):
        if rc == SK_OWNER_DIED:
            warn(self.segment, self.mutex, self.strict)
            return True
        return SliceWaiter.answer(self, rc)


cdef MutexWaiter waiter_of(Mutex handle, uint64_t until):
    """Return a task's wait for a lock that does not record its thread."""
    cdef MutexWaiter waiter = MutexWaiter.__new__(MutexWaiter)
    if handle.mutex is NULL:
        closed(handle)
    waiter.set_mutex(handle, until)
    waiter.set_slices(take_slice, cancel_wait, handle.mutex, next_thread())
    return waiter


cdef class Mutex(Handle):
    """The common part of a Lock and an RLock: its holder, since when it is held, and the report of a holder's death."""

    cdef _hold(self, Segment segment, uint64_t offset):
        """Bind to the mutex `offset` bytes into the body. Raises CorruptSegmentError."""
        cdef uint64_t room = segment.s.base_len - sk_header_of(segment.s).body
        cdef uint64_t needed = sk_mutex_len(sk_header_of(segment.s).seats)
        if offset > room or room - offset < needed or offset % 128 != 0:
            refuse(SK_CORRUPT, 0, segment)
        self.bind(segment)
        self.mutex = <sk_mutex *>(<unsigned char *>sk_body_of(self.s) + offset)

    def close(self):
        """Detach from the segment; a held lock stays held. Using the handle afterwards raises ClosedError.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        self.mutex = NULL
        Handle.drop(self, dropped)

    cdef bint wait(self, uint64_t until) except -1:
        """Take the mutex, waiting no later than `until`; return whether it was taken. Raises OwnerDiedWarning,
        OwnerDiedError.
        """
        cdef Segment segment = self.segment
        cdef sk_mutex *mutex = self.mutex
        cdef int rc
        if until == 0:
            rc = sk_mutex_take(segment.s, mutex, 0, NULL)
            if rc != SK_OK and rc != SK_OWNER_DIED and rc != SK_BUSY:
                refuse(rc, 0, segment)
        else:
            rc = wait_in(segment, take_slice, cancel_wait, mutex, until)
        if rc == SK_OWNER_DIED:
            warn(segment, mutex, self.strict)
        return rc == SK_OK or rc == SK_OWNER_DIED

    cdef int tell(self) except -1:
        """Report that the mutex has just been taken over from a dead process."""
        return warn(self.segment, self.mutex, self.strict)

    @property
    def owner(self):
        """The pid of the process that holds the lock, in that process's own pid namespace; None if the lock is free or
        the holder is dead."""
        if self.mutex is NULL:
            closed(self)
        return self.segment.pid_of(sk_lock_owner(&self.mutex.word))

    @property
    def owner_died(self):
        """True after the lock was taken over from a dead process, until a holder releases it or `mark_consistent()`."""
        if self.mutex is NULL:
            closed(self)
        return self.mutex.poisoned != 0

    def mark_consistent(self):
        """Declare that the data that the lock protects is consistent again: `owner_died` is false from now on.
        """
        if self.mutex is NULL:
            closed(self)
        cdef int rc = sk_mutex_mark_consistent(self.s, self.mutex)
        if rc != SK_OK:
            refuse(rc, 0, self.segment)

    cpdef str _held_text(self):
        """Say who holds the lock, for listings. A lock that a process left behind is not called unlocked, though the
        next process may take it over: that process gets the report of a death."""
        if self.mutex is NULL:
            closed(self)
        cdef uint32_t owner = sk_lock_owner(&self.mutex.word)
        return "unlocked" if owner == 0 else f"locked by {holder_text(self.segment, owner)}"

    cdef object snapshot(self, str kind, object count):
        """Return a LockStatistics. The holder is read before and after `since`, so that the two belong together."""
        if self.mutex is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        cdef sk_mutex *mutex = self.mutex
        cdef uint32_t owner = 0
        cdef uint64_t since = 0
        for _ in range(100):
            owner = sk_lock_owner(&mutex.word)
            since = mutex.since
            if sk_lock_owner(&mutex.word) == owner and (owner == 0 or since != 0):
                break
        pid = segment.pid_of(owner)
        from sharedkit.statistics import LockStatistics
        return LockStatistics(
            name=segment.name,
            kind=kind,
            owner=pid,
            since=None if pid is None or since == 0 else since / 1e9,
            waiting=sk_seat_counts_sum(segment.s, mutex.waiters),
            owner_died=mutex.poisoned != 0,
            count=0 if pid is None else count,
            attached=segment.attached(),
        )


cdef int warn(Segment segment, sk_mutex *mutex, bint strict) except -1:
    """Report that the lock, which this process holds now, was taken over from a dead process. If the report raises,
    release the lock; the next waiter then gets the same report."""
    text = f"the process that held the lock of {segment.name!r} has died: check what the lock protects"
    if strict:
        sk_mutex_pass_on(mutex)
        raise errors.OwnerDiedError(f"{text}, then call mark_consistent()")
    try:
        warn_caller(text, errors.OwnerDiedWarning)
    except BaseException:
        sk_mutex_pass_on(mutex)
        raise
    return 0


def checked_manner(on_owner_died):
    """Return 1 for "raise", 0 for "warn". Raises ValueError for another value."""
    if on_owner_died not in MANNERS:
        raise ValueError(f"on_owner_died must be 'warn' or 'raise': {on_owner_died!r}")
    return MANNERS.index(on_owner_died)


def make(place, str name, uint32_t seats, uint32_t flags, uint32_t kind, uint64_t strict):
    """Make a segment with a mutex, which is free."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = kind
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_mutex_len(seats)
    plan.param[0] = strict
    return create_segment(place, name, &plan)


def blueprint(kind, on_owner_died):
    """Return the blueprint of a Lock or an RLock."""
    strict = checked_manner(on_owner_died)
    return segments.Blueprint(
        kind,
        lambda place, name, seats, flags: make(place, name, seats, flags, kind, strict),
        lambda there: unlike("on_owner_died", MANNERS[there.params[0] != 0], on_owner_died),
    )


# --- the lock ---------------------------------------------------------------------------------------------


cdef class Lock(Mutex):
    """Lock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192, mode=None, group=None)\n--\n
    A lock between threads and processes, with the interface of `threading.Lock`; `Array.lock` is one.

    Any thread of any process may release it. The process holds the lock, not the thread. If that process dies, the next
    waiter takes the lock over, finds `owner_died` true and gets an OwnerDiedWarning; a stopped process keeps the lock.
    With `on_owner_died="raise"`, every `acquire` then raises OwnerDiedError instead of taking the lock, until
    `mark_consistent()`. After a fork the parent holds the lock, and the child does not. A waiter that has waited for
    1 ms gets the next chance to take the lock. `acquire` also accepts `block=` for `blocking=` and a timeout of None
    for -1; `owner` and `statistics()` name the holder.
    `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OutOfSharedMemory. Method: a robust futex word (ext/include/structures/sk_mutex.h).
    """

    cdef bint part               # whether it is part of another structure, as its attribute `lock`

    def __init__(
        self, *, name=None,
        exist_ok=False, persist=False, on_owner_died="warn", seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(KIND_LOCK, on_owner_died), name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    @classmethod
    def _in(cls, Segment segment, uint64_t offset):
        """Return the lock whose mutex is `offset` bytes into the body of another structure's segment."""
        cdef Lock self = cls.__new__(cls)
        self._hold(segment, offset)
        self.part = True
        return self

    def _open(self, Segment segment):
        self._hold(segment, 0)
        self.strict = sk_header_of(segment.s).param[0] != 0

    @cython.final
    cdef inline bint take(self) except -1:
        """Take the lock; wait for ever."""
        if self.mutex is NULL:
            closed(self)
        cdef int rc = sk_mutex_try(self.s, self.mutex)
        if rc == SK_OK:
            return True
        if rc == SK_OWNER_DIED:
            self.tell()
            return True
        return self.wait(FOR_EVER)

    @cython.binding(False)
    def acquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """acquire($self, blocking=True, timeout=-1, *, block=None)\n--\n
        Take the lock; with `blocking`, wait up to `timeout` seconds (-1 or None: for ever).

        Returns whether the lock was taken. If the process that held it has died, the lock is taken over: `owner_died`
        becomes true, with an OwnerDiedWarning; with `on_owner_died="raise"`, OwnerDiedError is raised instead and the
        lock is not taken.
        Raises ValueError for another negative timeout, or for any timeout with `blocking=False`; OverflowError for one
        longer than threading.TIMEOUT_MAX.
        """
        if blocking is True and timeout is MINUS_ONE and block is None:
            return self.take()
        cdef cbool willing = blocking if block is None else block
        cdef uint64_t until = until_of(willing, timeout)
        if self.mutex is NULL:
            closed(self)
        return self.wait(until)

    @cython.binding(False)
    def release(self):
        """release($self)\n--\n
        Release the lock, whichever thread or process took it. Raises NotLockedError, which is a RuntimeError and a
        ValueError, if the lock is free.
        """
        if self.mutex is NULL:
            closed(self)
        self.free()

    @cython.final
    cdef inline int free(self) except -1:
        cdef int rc = sk_mutex_give(self.s, self.mutex)
        if rc == SK_EXCESS:
            raise errors.NotLockedError("release unlocked lock")
        if rc != SK_OK:
            refuse(rc, 0, self.segment)
        return 0

    async def aacquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Take the lock as `acquire` does, without blocking the event loop; a coroutine.

        Tasks of one loop get the lock in the order of their arrival. Any task or thread may release it.
        """
        cdef int rc
        cdef uint64_t until = until_of(blocking if block is None else block, timeout)
        if self.mutex is NULL:
            closed(self)
        if no_task_queued():
            rc = sk_mutex_try(self.s, self.mutex)
            if rc == SK_OWNER_DIED:
                self.tell()
            if rc == SK_OK or rc == SK_OWNER_DIED:
                return True
        return await waiting(waiter_of(self, until))

    def locked(self):
        """Whether the lock is held. A dead process does not count: its lock can be taken over.
        """
        if self.mutex is NULL:
            closed(self)
        return bool(sk_mutex_taken(self.s, self.mutex))

    def statistics(self):
        """Return the holder, since when it holds, how many threads wait, whether a holder died: a LockStatistics.
        """
        return self.snapshot("Lock", 1)

    @cython.binding(False)
    def __enter__(self):
        return self.take()

    @cython.binding(False)
    def __exit__(self, kind, error, trace):
        if self.mutex is NULL:
            closed(self)
        self.free()

    def __aenter__(self):
        return self.aacquire()

    async def __aexit__(self, kind, error, trace):
        key = <size_t>self.mutex
        self.release()
        if not no_task_queued():
            coroutines().wake_next(key)

    def __reduce__(self):
        if self.part:
            return lock_of, Handle.__reduce__(self)
        return Handle.__reduce__(self)

    def __repr__(self):
        if self.mutex is NULL:
            return f"<closed sharedkit.Lock object at {id(self):#x}>"
        owner = self.owner
        state = "unlocked" if owner is None else "locked"
        return f"<{state} sharedkit.Lock object owner={owner} name={self.name!r} at {id(self):#x}>"


cdef method_call lock_acquire, lock_release, lock_enter, lock_exit    # as Cython compiled them


cdef object acquire_lock(Lock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    return self.take() if n == 0 and names is NULL else lock_acquire(self, args, n, names)


cdef object release_lock(Lock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    if n != 0 or names is not NULL:
        return lock_release(self, args, n, names)
    if self.mutex is NULL:
        closed(self)
    self.free()


cdef object enter_lock(Lock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    return self.take() if n == 0 and names is NULL else lock_enter(self, args, n, names)


cdef object exit_lock(Lock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    if n != 3 or names is not NULL:
        return lock_exit(self, args, n, names)
    if self.mutex is NULL:
        closed(self)
    self.free()


lock_acquire = install_shortcut(Lock.__dict__["acquire"], <method_call>acquire_lock)
lock_release = install_shortcut(Lock.__dict__["release"], <method_call>release_lock)
lock_enter = install_shortcut(Lock.__dict__["__enter__"], <method_call>enter_lock)
lock_exit = install_shortcut(Lock.__dict__["__exit__"], <method_call>exit_lock)


def lock_of(arrive, arguments):
    """Unpickle the structure and return its lock."""
    return arrive(*arguments).lock


cdef str description(Mutex lock, snapshot):
    """Describe a lock in one line, for listings."""
    held = lock._held_text()
    if snapshot.count > 1:
        held += f" {snapshot.count} times"
    death = ", an owner died" if snapshot.owner_died else ""
    return f"{held}, {snapshot.waiting} waiting{death}"


def state(Segment segment):
    """Describe the state in one line, for listings."""
    lock = Lock._of(segment)
    return description(lock, lock.statistics())


segments.register_kind(segments.Kind(KIND_LOCK, "Lock", Lock._of, state))


# --- the re-entrant lock ----------------------------------------------------------------------------------


cdef int take_times_slice(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil:
    cdef Wanted *wanted = <Wanted *>what
    sk_waits_aside(wait.aside)
    cdef int rc = sk_rlock_take(s, wanted.mutex, wanted.count, until, wait)
    sk_waits_aside(NULL)
    return rc


cdef void cancel_times_wait(const sk_segment *s, void *what, sk_wait_state *wait) noexcept nogil:
    sk_mutex_cancel(s, (<Wanted *>what).mutex, wait)


cdef class RLockWaiter(MutexWaiter):

    cdef object look(self):
        if not sk_rlock_mine(self.segment.s, self.mutex, self.name):
            return MutexWaiter.look(self)
        for _ in range(self.wanted.count):
            sk_rlock_try(self.segment.s, self.mutex, self.name)
        return True


cdef inline uint32_t caller_of(RLock self) except 0:
    """Return the number of the caller: of the running task if that task holds the lock, else of the thread."""
    return task_or_thread(self) if sk_load64_relaxed(&self.mutex.thread) >> 31 & 1 else this_thread()


cdef uint32_t task_or_thread(RLock self) except 0:
    cdef uint32_t holder = <uint32_t>sk_load64_relaxed(&self.mutex.thread)
    if holder >> 31 and sk_lock_owner(&self.mutex.word) == sk_me(self.s):
        if holder == <uint32_t>coroutines().name_of_task():
            return holder
    return this_thread()


cdef class RLock(Mutex):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192, mode=None, group=None)\n--\n
    A re-entrant lock between threads and processes, with the interface of `threading.RLock`.

    The thread that holds the lock may take it again; only that thread may release it, as often as it has taken it. If
    the holder's process dies, the next waiter takes the lock over, finds `owner_died` true and gets an
    OwnerDiedWarning; a stopped process keeps the lock. With `on_owner_died="raise"`, every `acquire` then raises
    OwnerDiedError instead of taking the lock, until `mark_consistent()`. After a fork the parent's thread holds the
    lock, and the child does not. `acquire` also accepts `block=` for `blocking=` and a timeout of None for -1; `owner`
    and `statistics()` name the holder.
    `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OutOfSharedMemory. Method: a robust futex word that names a process, and its thread
    (ext/include/structures/sk_rlock.h).
    """

    def __init__(
        self, *, name=None,
        exist_ok=False, persist=False, on_owner_died="warn", seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(KIND_RLOCK, on_owner_died), name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    @classmethod
    def _in(cls, Segment segment, uint64_t offset):
        """Return the lock whose mutex is `offset` bytes into the body of another structure's segment."""
        cdef RLock self = cls.__new__(cls)
        self._hold(segment, offset)
        self.part = True
        return self

    def _open(self, Segment segment):
        self._hold(segment, 0)
        self.strict = sk_header_of(segment.s).param[0] != 0

    @cython.final
    cdef bint take(self, uint64_t until) except -1:
        """Take the lock once more, waiting no later than `until`; return whether it was taken."""
        cdef uint32_t name = this_thread()
        if self.mutex is NULL:
            closed(self)
        cdef int rc = sk_rlock_try_free(self.s, self.mutex, name)
        if rc == SK_OK:
            return True
        if rc == SK_BUSY:
            name = caller_of(self)
            if self.mutex is NULL:    # while Python found the running task, another thread may have closed it
                closed(self)
            rc = sk_rlock_try(self.s, self.mutex, name)
            if rc == SK_OK:
                return True
        if rc == SK_OWNER_DIED:
            self.tell()
            return True
        return self.take_times(until, 1)

    cdef bint take_times(self, uint64_t until, uint64_t count) except -1:
        """Take the lock, which this thread does not hold, `count` times."""
        cdef Segment segment = self.segment
        cdef sk_wait_state wait
        cdef Wanted wanted
        cdef int rc
        wanted.mutex = self.mutex
        wanted.count = count
        if until == 0:
            memset(&wait, 0, sizeof(wait))
            wait.thread = this_thread()
            rc = sk_rlock_take(segment.s, wanted.mutex, count, 0, &wait)
            if rc != SK_OK and rc != SK_OWNER_DIED and rc != SK_BUSY:
                refuse(rc, 0, segment)
        else:
            rc = wait_in(segment, take_times_slice, cancel_times_wait, &wanted, until)
        if rc == SK_OWNER_DIED:
            self.tell()
        return rc == SK_OK or rc == SK_OWNER_DIED

    @cython.binding(False)
    def acquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """acquire($self, blocking=True, timeout=-1, *, block=None)\n--\n
        Take the lock once more; with `blocking`, wait up to `timeout` seconds (-1 or None: for ever).

        Returns whether the lock was taken. If the process that held it has died, the lock is taken over: `owner_died`
        becomes true, with an OwnerDiedWarning; with `on_owner_died="raise"`, OwnerDiedError is raised instead and the
        lock is not taken.
        Raises ValueError for another negative timeout, or for any timeout with `blocking=False`; OverflowError for one
        longer than threading.TIMEOUT_MAX.
        """
        if blocking is True and timeout is MINUS_ONE and block is None:
            return self.take(FOR_EVER)
        cdef cbool willing = blocking if block is None else block
        return self.take(until_of(willing, timeout))

    cdef RLockWaiter waiter(self, uint64_t until, uint64_t count, uint32_t name):
        """Return a task's wait to take the lock `count` times. A task that holds the lock waits in no queue."""
        cdef RLockWaiter waiter = RLockWaiter.__new__(RLockWaiter)
        if self.mutex is NULL:
            closed(self)
        waiter.set_mutex(self, until)
        waiter.name = name
        if name == 0:
            raise RuntimeError("only a task can await an RLock, because the task itself will hold it")
        if sk_rlock_mine(self.s, self.mutex, waiter.name):
            waiter.key = None
        waiter.wanted.mutex = self.mutex
        waiter.wanted.count = count
        waiter.set_slices(take_times_slice, cancel_times_wait, &waiter.wanted, waiter.name)
        return waiter

    def aacquire(self, blocking=True, timeout=MINUS_ONE, *, block=None):
        """Take the lock once more as `acquire` does, without blocking the event loop; a coroutine.

        The calling task holds the lock; only that task may release it, or take it again by `aacquire` or `acquire`.
        Tasks of one loop get the lock in the order of their arrival. Raises RuntimeError if no task runs.
        """
        until = until_of(blocking if block is None else block, timeout)
        return waiting(self.waiter(until, 1, coroutines().name_of_task()))

    @cython.binding(False)
    def release(self):
        """release($self)\n--\n
        Undo one `acquire` of this thread. Raises NotLockedError, which is a RuntimeError and a ValueError, if the
        thread does not hold the lock.
        """
        self.free()

    @cython.final
    cdef int free(self) except -1:
        cdef uint32_t name = this_thread()
        if self.mutex is NULL:
            closed(self)
        cdef int rc = sk_rlock_give(self.s, self.mutex, name)
        if rc == SK_EXCESS:    # the thread does not hold it, but the running task may
            name = caller_of(self)
            if self.mutex is NULL:    # for the reason given in `take`
                closed(self)
            rc = sk_rlock_give(self.s, self.mutex, name)
        if rc == SK_EXCESS:
            raise errors.NotLockedError("cannot release un-acquired lock")
        if rc != SK_OK:
            refuse(rc, 0, self.segment)
        return 0

    def locked(self):
        """Whether the lock is held. A dead process does not count: its lock can be taken over.
        """
        if self.mutex is NULL:
            closed(self)
        return bool(sk_mutex_taken(self.s, self.mutex))

    def statistics(self):
        """Return the holder, how often and since when it holds, how many threads wait, whether a holder died.

        The result is a LockStatistics.
        """
        return self.snapshot("RLock", self.mutex.count if self.mutex is not NULL else 0)

    # --- the methods that threading.Condition calls on its lock ---------------------------------------

    def _is_owned(self):
        if self.mutex is NULL:
            closed(self)
        return self.held_by(caller_of(self))

    cdef bint held_by(self, uint32_t name) except -1:
        if self.mutex is NULL:
            closed(self)
        return sk_rlock_mine(self.s, self.mutex, name)

    def _recursion_count(self):
        if self.mutex is NULL:
            closed(self)
        cdef uint32_t name = caller_of(self)
        return self.mutex.count if self.held_by(name) else 0

    def _release_save(self):
        if self.mutex is NULL:
            closed(self)
        return self.save_as(caller_of(self))

    cdef uint64_t save_as(self, uint32_t name) except 0:
        """Release the lock, which the thread or task of this number holds, in full; return how often it was taken."""
        if self.mutex is NULL:
            closed(self)
        if not sk_rlock_mine(self.s, self.mutex, name):
            raise errors.NotLockedError("cannot release un-acquired lock")
        cdef uint64_t count = self.mutex.count
        cdef int rc = sk_rlock_free(self.s, self.mutex)
        if rc != SK_OK:
            refuse(rc, 0, self.segment)
        return count

    def _acquire_restore(self, saved):
        """Take the lock as often as it was taken before `_release_save()`.

        The caller is usually inside a `with` block that will release the lock. So if a signal handler raises, its
        exception is raised only after the lock is taken. A second exception is raised at once, without the lock.
        """
        if self.mutex is NULL:
            closed(self)
        try:
            self.take_times(FOR_EVER, saved)
        except errors.OwnerDiedError:
            raise
        except BaseException:
            if self.mutex is NULL or self._is_owned():
                raise
            self.take_times(FOR_EVER, saved)
            raise

    @cython.binding(False)
    def __enter__(self):
        return self.take(FOR_EVER)

    @cython.binding(False)
    def __exit__(self, kind, error, trace):
        self.free()

    def __aenter__(self):
        return self.aacquire()

    def __aexit__(self, kind, error, trace):
        return leaving(self.release, <size_t>self.mutex)

    def __reduce__(self):
        if self.part:
            raise TypeError("this RLock is a part of another structure: pickle that one")
        return Handle.__reduce__(self)

    def __repr__(self):
        if self.mutex is NULL:
            return f"<closed sharedkit.RLock object at {id(self):#x}>"
        cdef uint64_t times = self.mutex.count    # read first: while other code runs, a thread may close the handle
        owner = self.owner
        state = "unlocked" if owner is None else "locked"
        count = 0 if owner is None else times
        return f"<{state} sharedkit.RLock object owner={owner} count={count} name={self.name!r} at {id(self):#x}>"


cdef method_call rlock_acquire, rlock_release, rlock_enter, rlock_exit    # as Cython compiled them


cdef object acquire_rlock(RLock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    return self.take(FOR_EVER) if n == 0 and names is NULL else rlock_acquire(self, args, n, names)


cdef object release_rlock(RLock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    if n != 0 or names is not NULL:
        return rlock_release(self, args, n, names)
    self.free()


cdef object enter_rlock(RLock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    return self.take(FOR_EVER) if n == 0 and names is NULL else rlock_enter(self, args, n, names)


cdef object exit_rlock(RLock self, PyObject *const *args, Py_ssize_t n, PyObject *names):
    if n != 3 or names is not NULL:
        return rlock_exit(self, args, n, names)
    self.free()


rlock_acquire = install_shortcut(RLock.__dict__["acquire"], <method_call>acquire_rlock)
rlock_release = install_shortcut(RLock.__dict__["release"], <method_call>release_rlock)
rlock_enter = install_shortcut(RLock.__dict__["__enter__"], <method_call>enter_rlock)
rlock_exit = install_shortcut(RLock.__dict__["__exit__"], <method_call>exit_rlock)


cdef uint32_t asker_of(object lock) except? 0:
    """Return the number of the caller for a lock that knows its owner; 0 for another lock."""
    if not isinstance(lock, RLock):
        return 0
    if (<RLock>lock).mutex is NULL:
        closed(<RLock>lock)
    return caller_of(<RLock>lock)


def state_of_rlock(Segment segment):
    """Describe the state in one line, for listings."""
    lock = RLock._of(segment)
    return description(lock, lock.statistics())


readiness.register(Mutex, {"": ready_to_acquire, "acquire": ready_to_acquire, "aacquire": ready_to_acquire})
segments.register_kind(segments.Kind(KIND_RLOCK, "RLock", RLock._of, state_of_rlock))
