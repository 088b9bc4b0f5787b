# cython: language_level=3
"""The condition: `notify` is one pass over a table with the GIL held; `wait` waits without the GIL, in slices."""

import os
import time
import warnings

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from sharedkit import errors, segments
from sharedkit._core import readiness, timeouts
from sharedkit._core.interrupts cimport attend
from sharedkit._core.counts import how_many_to_notify, perhaps_a_name
from sharedkit._core.segment cimport (
    SK_BUSY, SK_INTERRUPTED, SK_OK, SK_TIMEOUT,
    Dropped, Handle, PrivateSegment, Segment, closed, ends_anywhere, create_segment, keep, refuse, sk_me, sk_plan,
)
from sharedkit._core.segment import PrivatePlace
from sharedkit.aio._lazy cimport coroutines
from sharedkit.shm._sleeping cimport (
    SK_CONDITION_SLOTS, SK_CONDITION_WAITERS, SK_CONDITION_WAITERS_PRIVATE,
    SleepWaiter, enter, sk_condition, sk_condition_abandon, sk_condition_body_len, sk_condition_cancel,
    sk_condition_count, sk_condition_detach, sk_condition_notify, sk_condition_of, sk_condition_refuse,
    sk_condition_wait, sk_condition_waiter,
)
from sharedkit.shm._lock cimport Mutex, RLock, asker_of, sk_lock_owner
from sharedkit.shm._waiting cimport until_of_span


KIND_CONDITION = 12
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef int OWN = 0, GIVEN = 1, FOREIGN = 2      # whose lock it is: sk_plan.param[0]


def make(place, str name, uint32_t seats, uint32_t flags, int whose, bytes meta):
    """Make a condition segment; `meta` identifies its lock, if that is a lock of this package."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_CONDITION
    plan.flags = flags
    plan.seats = seats
    slots = SK_CONDITION_WAITERS_PRIVATE if type(place) is PrivatePlace else SK_CONDITION_WAITERS
    plan.param[SK_CONDITION_SLOTS] = slots
    plan.body_len = sk_condition_body_len(seats, plan.param[SK_CONDITION_SLOTS])
    plan.param[0] = whose
    plan.meta = <const char *>meta
    plan.meta_len = len(meta)
    return create_segment(place, name, &plan)


cdef bytes meta_of(Segment segment):
    """Return the bytes that identify a lock's segment: kind, creation time and name."""
    kind, born = segment.identity
    return f"{kind} {born} {segment.name}".encode()


def blueprint(lock):
    """Return the blueprint of a condition over the lock, or over a lock of its own. Raises TypeError."""
    whose = OWN if lock is None else GIVEN if isinstance(lock, Mutex) else FOREIGN
    if whose == FOREIGN and not (hasattr(lock, "acquire") and hasattr(lock, "release")):
        raise TypeError(f"lock must be a Lock, an RLock or None, not {type(lock).__name__}{perhaps_a_name(lock)}")

    def made(place, name, seats, flags):
        if type(place) is not PrivatePlace:
            return make(place, name, seats, flags, *found_by(whose, lock))
        segment = make(place, name, seats, flags, whose, b"")
        segment.partner = lock
        return segment

    return segments.Blueprint(KIND_CONDITION, made, lambda there: differs(there, whose, lock))


cdef tuple found_by(int whose, object lock):
    """Return how other processes see the lock (OWN, GIVEN or FOREIGN), and the bytes by which they find it. For them, a
    lock in memory of this process is FOREIGN."""
    if whose != GIVEN:
        return whose, b""
    segment = lock._segment()
    return (FOREIGN, b"") if isinstance(segment, PrivateSegment) else (GIVEN, meta_of(segment))


cdef str words_for_lock(int whose, bytes meta):
    if whose == GIVEN:
        return f"the lock {meta.decode().split(' ', 2)[2]!r}"
    return "a lock of its own" if whose == OWN else "a lock that only its maker can use"


cdef object differs(Segment there, int whose, object lock):
    """Return how the lock of the existing condition differs from the requested one, or None."""
    if isinstance(there, PrivateSegment):
        return differs_in_process(there.partner, lock)
    whose, meta = found_by(whose, lock)
    if there.params[0] == whose and there.meta == meta:
        return None
    was, wanted = words_for_lock(there.params[0], there.meta), words_for_lock(whose, meta)
    return f"{was}, not {wanted}" if was != wanted else f"an earlier {was[4:]}, not the present lock of that name"


cdef object differs_in_process(object was, object lock):
    """Compare as `differs` does, for locks of this process; two handles on one lock are equal."""
    if was is lock or isinstance(was, Mutex) and isinstance(lock, Mutex) and was._segment() is lock._segment():
        return None
    return "a lock of its own, not the one given" if was is None else "another lock"


cdef object lock_named(Segment segment):
    """Return the lock that the condition was made with, if it is not the condition's own. Raises GoneError,
    TypeError."""
    if isinstance(segment, PrivateSegment):
        return segment.partner
    if segment.params[0] == FOREIGN:
        raise TypeError(f"the condition {segment.name!r} was made with a lock that only its maker can use")
    kind, born, name = segment.meta.decode().split(" ", 2)
    try:
        there = segments.copy_segment(name) if segment.s.seats.reads else segments.attach_segment(name)
    except FileNotFoundError:
        there = None
    if there is None or there.identity != (int(kind), int(born)):
        raise errors.GoneError(f"the lock {name!r} of the condition {segment.name!r} is no longer there")
    holder = segments.open_as_kind(there)
    return holder if isinstance(holder, Mutex) else holder.lock


cdef class Condition(Handle):
    """Condition(lock=None, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)\n--\n
    A condition variable between threads and processes, with the interface of `threading.Condition`.

    `lock`: a Lock or RLock of this package, which other conditions may share; None makes an RLock of its own. Any other
    lock serves only the threads of this process; then the condition cannot be pickled or attached. At most 1,024
    threads of all processes wait at once. The thread that has waited longest is notified first. If a notified waiter is
    killed, the next waiter gets the notification. A process that is killed after `wait` has returned dies holding the
    lock: the next holder finds `owner_died`, repairs the data that the lock guards, and should call `notify_all`.
    `with` takes the lock.
    `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OutOfSharedMemory. Method: a table of waiters, each on a futex word of its own
    (ext/include/structures/sk_condition.h).
    """

    cdef sk_condition *table     # NULL once closed
    cdef readonly object lock    # None once closed
    cdef object saves, restores  # these methods of the lock, or None
    cdef bint given
    _own_lock_class = RLock

    def __init__(
        self, lock=None, *, name=None,
        exist_ok=False, persist=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(lock), name, exist_ok, persist, seats, mode, group), lock)

    @classmethod
    def _of(cls, Segment segment):
        self = cls.__new__(cls)
        self._open(segment)
        return self

    def _open(self, Segment segment, lock=None):
        cdef int rc = sk_condition_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.lock = self.lock_of(segment) if lock is None else lock
        self.saves = ends_anywhere(getattr(self.lock, "_release_save", None))
        self.restores = ends_anywhere(getattr(self.lock, "_acquire_restore", None))
        self.given = segment.params[0] != OWN
        self.bind(segment)
        self.table = sk_condition_of(self.s)

    cdef object lock_of(self, Segment segment):
        return self._own_lock_class._in(segment, 0) if segment.params[0] == OWN else lock_named(segment)

    def close(self):
        """Detach from the segment; a held lock stays held. Using the handle afterwards raises ClosedError.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        self.table = NULL
        keep(dropped, self.lock)
        keep(dropped, self.saves)
        keep(dropped, self.restores)
        self.lock = self.saves = self.restores = None
        Handle.drop(self, dropped)

    # --- the lock ------------------------------------------------------------------------------

    def acquire(self, blocking=True, timeout=-1, *, block=None):
        """Take the lock, as its own `acquire` does.
        """
        if self.table is NULL:
            closed(self)
        return self.lock.acquire(blocking if block is None else block, timeout)

    def release(self):
        """Release the lock.
        """
        if self.table is NULL:
            closed(self)
        self.lock.release()

    def locked(self):
        """Whether the lock is held now.
        """
        if self.table is NULL:
            closed(self)
        return self.lock.locked()

    def __enter__(self):
        if self.table is NULL:
            closed(self)
        return self.lock.__enter__()

    def __exit__(self, kind, error, trace):
        if self.table is NULL:
            closed(self)
        return self.lock.__exit__(kind, error, trace)

    cdef bint owned(self) except -1:
        """Return whether this thread may wait and notify: whether it holds the lock. If the lock does not know threads:
        whether its process holds the lock."""
        if self.table is NULL:
            closed(self)
        cdef object lock = self.lock
        if hasattr(lock, "_is_owned"):
            return lock._is_owned()
        if isinstance(lock, Mutex):
            if (<Mutex>lock).mutex is NULL:
                closed(<Mutex>lock)
            return sk_lock_owner(&(<Mutex>lock).mutex.word) == sk_me((<Mutex>lock).s)
        if lock.acquire(False):
            lock.release()
            return False
        return True

    # --- waiting -------------------------------------------------------------------------------

    def wait(self, timeout=None):
        """Release the lock, wait up to `timeout` seconds (None: for ever) to be notified, and take the lock again.

        Returns whether it was notified. Raises RuntimeError if the caller does not hold the lock, or if 1,024 threads
        wait already; OverflowError for a timeout past threading.TIMEOUT_MAX. If a signal handler raises after a
        notification has come, the next waiter gets the notification.
        """
        # References are taken first, because calls on the lock and on the timeout may close the handle.
        cdef Segment segment = self.segment
        cdef sk_condition *table = self.table
        cdef object lock = self.lock, saves = self.saves, restores = self.restores, saved = None
        if not self.owned():
            raise errors.NotLockedError("cannot wait on un-acquired lock")
        cdef uint64_t until = until_of_span(timeout)
        cdef sk_condition_waiter *slot = enter(segment, table)
        cdef uint32_t me = sk_me(segment.s)    # `enter` has made sure that this process has a seat
        cdef bint notified = False
        try:
            if saves is None:
                lock.release()
            else:
                saved = saves()
        except BaseException:
            sk_condition_abandon(segment.s, table, slot, me)
            raise
        try:
            notified = sleep(segment, table, slot, me, until)
        except BaseException:
            sk_condition_abandon(segment.s, table, slot, me)
            take_back(lock, restores, saved)
            raise
        try:
            take_back(lock, restores, saved)
        except BaseException:
            if notified:
                sk_condition_abandon(segment.s, table, slot, me)
            raise
        if notified:
            sk_condition_detach(slot)
        return notified

    def wait_for(self, predicate, timeout=None):
        """Wait until `predicate()` is true, up to `timeout` seconds (None: for ever); return its last result.
        """
        left = timeouts.span(timeout)
        end = None if left is None else time.monotonic() + left
        result = predicate()
        if result:
            return result
        while not result:
            self.wait(left)
            result = predicate()
            if end is not None:
                left = end - time.monotonic()
                if left <= 0:
                    break
        return result

    # --- from an event loop ----------------------------------------------------------------------

    def aacquire(self, blocking=True, timeout=-1, *, block=None):
        """Take the lock, as its own `aacquire` does; a coroutine.
        """
        return self.awaitable().aacquire(blocking if block is None else block, timeout)

    def __aenter__(self):
        return self.awaitable().aacquire()

    def __aexit__(self, kind, error, trace):
        return self.awaitable().__aexit__(kind, error, trace)

    cdef object awaitable(self):
        """Return the lock if a task can wait for it. Raises TypeError."""
        if self.table is NULL:
            closed(self)
        if not isinstance(self.lock, Mutex):
            kind = type(self.lock).__name__
            raise TypeError(f"a task cannot wait for a {kind}: make the condition with a Lock or RLock of this package")
        return self.lock

    def await_(self, timeout=None):
        """Wait as `wait` does, without blocking the event loop; a coroutine. (`await` is a Python keyword.)

        The calling task must hold the lock, by `aacquire` or `async with`. It holds the lock again afterwards, even
        when it is cancelled. If a notification has already come to a cancelled task, it goes to the next waiter.
        """
        return self.wait_for_task(asker_of(self.awaitable()), timeout)

    cdef object wait_for_task(self, uint32_t name, object timeout):
        """Return a coroutine that waits for the task whose number is `name`; that task must hold the lock. Another task
        may run the coroutine."""
        cdef SleepWaiter waiter = SleepWaiter.__new__(SleepWaiter)
        cdef Segment segment = self.segment    # all are read first: evaluating the timeout may close the handle
        lock = self.awaitable()
        waiter.table = self.table
        if not (<RLock>lock).held_by(name) if isinstance(lock, RLock) else not self.owned():
            raise errors.NotLockedError("cannot wait on un-acquired lock")
        waiter.set(segment, None, until_of_span(timeout))
        waiter.lock = lock
        waiter.name = name
        return coroutines().sleep(waiter)

    def await_for(self, predicate, timeout=None):
        """Wait as `wait_for` does, without blocking the event loop; a coroutine.
        """
        if self.table is NULL:
            closed(self)
        cdef uint32_t name = asker_of(self.lock)
        return coroutines().wait_for(lambda left: self.wait_for_task(name, left), predicate, timeout)

    # --- notifying -----------------------------------------------------------------------------

    def notify(self, n=1):
        """Wake the `n` waiters that have waited longest, or all if there are fewer.

        Raises RuntimeError if the caller does not hold the lock.
        """
        cdef Segment segment = self.segment    # kept in a local variable: the lock or `n` may close the handle
        cdef sk_condition *table = self.table
        if not self.owned():
            raise errors.NotLockedError("cannot notify on un-acquired lock")
        cdef uint64_t most = how_many_to_notify(n)
        if most > 0:
            sk_condition_notify(segment.s, table, most)

    def notify_all(self):
        """Wake all waiters. Raises RuntimeError if the caller does not hold the lock.
        """
        cdef Segment segment = self.segment    # kept in a local variable: the lock may close the handle
        cdef sk_condition *table = self.table
        if not self.owned():
            raise errors.NotLockedError("cannot notify on un-acquired lock")
        sk_condition_notify(segment.s, table, FOR_EVER)

    def notifyAll(self):
        """Deprecated name of `notify_all`; gives a DeprecationWarning.
        """
        warnings.warn("notifyAll() is deprecated, use notify_all() instead", DeprecationWarning, stacklevel=1)
        self.notify_all()

    # --- what it shows -------------------------------------------------------------------------

    def statistics(self):
        """Return the state of the lock, how many threads of all processes wait, and which processes are attached.

        The result is a ConditionStatistics.
        """
        if self.table is NULL:
            closed(self)
        cdef Segment segment = self.segment    # kept in a local variable: another thread may close the handle
        cdef object lock = self.lock
        cdef uint32_t asleep, notified
        sk_condition_count(segment.s, self.table, &asleep, &notified)
        from sharedkit.statistics import ConditionStatistics
        return ConditionStatistics(
            name=segment.name,
            kind="Condition",
            lock=lock_statistics(lock),
            waiting=asleep,
            notified=notified,
            attached=segment.attached(),
        )

    def __reduce__(self):
        arrive, arguments = Handle.__reduce__(self)
        return (with_lock, (arrive, arguments, self.lock)) if self.given else (arrive, arguments)

    def __repr__(self):
        if self.table is NULL:
            return f"<closed sharedkit.Condition object at {id(self):#x}>"
        return f"<Condition({self.lock!r}, {self.statistics().waiting})>"


cdef bint sleep(Segment segment, sk_condition *table, sk_condition_waiter *slot, uint32_t me, uint64_t until) except -1:
    """Return whether the thread was notified; if not, the slot is free again."""
    cdef int rc = SK_INTERRUPTED
    while True:
        with nogil:
            rc = sk_condition_wait(segment.s, table, slot, me, until)
        if rc == SK_OK:
            return True
        if rc == SK_TIMEOUT:
            return not sk_condition_cancel(slot, me)
        if rc == SK_BUSY:
            raise RuntimeError("this process was forked while its parent waited; a wait does not continue in the child")
        attend(segment)


cdef int take_back(object lock, object restores, object saved) except -1:
    """Take the lock again. The caller is usually inside a `with` block that will release the lock, so if a signal
    handler raises, its exception is raised only after the lock is taken; a second exception is raised at once."""
    if restores is not None:
        restores(saved)
        return 0
    try:
        lock.acquire()
    except errors.OwnerDiedError:
        raise
    except BaseException:
        lock.acquire()
        raise
    return 0


cdef object lock_statistics(object lock):
    """Return the lock's statistics. If the lock has none, only this process can hold it, and the result says whether it
    does."""
    if isinstance(lock, Mutex):
        return lock.statistics()
    held = is_held(lock)
    here = (os.getpid(),)
    from sharedkit.statistics import LockStatistics
    return LockStatistics(
        name="",
        kind=type(lock).__name__,
        owner=here[0] if held else None,
        since=None,
        waiting=0,
        owner_died=False,
        count=int(held),
        attached=here,
    )


cdef bint is_held(object lock) except -1:
    """Return whether a lock of another package is held."""
    if hasattr(lock, "locked"):
        return lock.locked()
    if hasattr(lock, "_is_owned") and lock._is_owned():
        return True
    if not lock.acquire(False):
        return True
    lock.release()
    return False


def with_lock(arrive, arguments, lock):
    """Unpickle the condition; its lock was unpickled first."""
    return arrive(*arguments)


def state(Segment segment):
    """Describe the state in one line, for listings."""
    cdef uint32_t asleep, notified
    cdef int rc = sk_condition_refuse(segment.s)
    if rc != SK_OK:
        refuse(rc, 0, segment)
    sk_condition_count(segment.s, sk_condition_of(segment.s), &asleep, &notified)
    held = RLock._in(segment, 0)._held_text() if segment.params[0] == OWN else "unlocked"
    return f"{'' if held == 'unlocked' else f'{held}, '}{asleep} waiting, {notified} notified"


readiness.refuse(Condition, readiness.CONDITION)
segments.register_kind(segments.Kind(KIND_CONDITION, "Condition", Condition._of, state))
