# cython: language_level=3
"""The slots of a condition, and a task's sleep in one of them."""

cimport cython
from libc.stdint cimport uint64_t

from sharedkit._core.segment cimport SK_BUSY, SK_FULL, SK_INTERRUPTED, SK_OK, PrivateSegment, Segment, refuse, sk_me
from sharedkit._core.watcher cimport Waiter, add_undelivered, pending, sk_waits_aside, discard_undelivered
from sharedkit.aio._lazy cimport waiting
from sharedkit.shm._lock cimport RLock, waiter_of

cdef uint64_t FOR_EVER = <uint64_t>-1


cdef sk_condition_waiter *enter(Segment segment, sk_condition *table) except NULL:
    """Return a slot to sleep in. Raises RuntimeError if all are taken."""
    cdef sk_condition_waiter *slot = NULL
    cdef uint64_t size
    cdef int rc = sk_condition_enter(segment.s, table, &slot)
    if rc == SK_FULL and isinstance(segment, PrivateSegment) and table.grown < SK_CONDITION_WAITERS_DOUBLED:
        size = sk_condition_slots(segment.s, table) * sizeof(sk_condition_waiter)
        sk_condition_grow(segment.s, table, (<PrivateSegment>segment).more(size))
        rc = sk_condition_enter(segment.s, table, &slot)
    if rc == SK_FULL:
        most = sk_condition_slots(segment.s, table)
        raise RuntimeError(f"{most:,} threads wait for the condition {segment.name!r} already")
    if rc != SK_OK:
        refuse(rc, 0, segment)
    return slot


cdef class SleepWaiter(Waiter):

    cdef object look(self):
        discard_undelivered(self)
        if self.gone:
            return True              # as if notified: the caller checks its condition again in any case
        if self.slot is NULL:
            self.lie_down()
        sk_waits_aside(&self.aside)
        cdef int rc = sk_condition_wait(self.segment.s, self.table, self.slot, self.me, self.until)
        sk_waits_aside(NULL)
        if rc == SK_INTERRUPTED:
            return pending()
        if rc == SK_BUSY:
            raise RuntimeError("this process was forked while its parent waited; a wait does not continue in the child")
        self.notified = rc == SK_OK or not sk_condition_cancel(self.slot, self.me)
        return self.notified

    cdef int lie_down(self) except -1:
        self.slot = enter(self.segment, self.table)
        try:
            if isinstance(self.lock, RLock):
                self.saved = (<RLock>self.lock).save_as(self.name)
            else:
                self.lock.release()
                self.saved = 1
        except BaseException:
            sk_condition_abandon(self.segment.s, self.table, self.slot, self.me)
            raise
        return 0

    cdef int drop(self) except -1:
        """Do nothing: `done` drops the references of this wait."""
        return 0

    cdef int end(self) except -1:
        self.gone = True
        sk_condition_abandon(self.segment.s, self.table, self.slot, self.me)
        return 0

    def left(self):
        return self.saved != 0

    def back(self):
        with cython.critical_section(self):
            if isinstance(self.lock, RLock):
                self.taking = (<RLock>self.lock).waiter(FOR_EVER, self.saved, self.name)
            else:
                self.taking = waiter_of(self.lock, FOR_EVER)
            taking = self.taking
        add_undelivered(self)
        return waiting(taking)

    cdef int called(self) except -1:
        return add_undelivered(self)

    cdef int reclaim(self) except -1:
        """Abandon the wait if its loop does not run: such a task must not keep a notification, whether it has not
        polled yet or waits for the lock. If a loop is closed, nothing else cleans up after its task."""
        if not self.loop.is_running():
            self.abandon()
        return 0

    cdef int abandon(self) except -1:
        Waiter.abandon(self)
        self.pass_on()
        if self.loop.is_closed():
            if self.taking is not None:
                self.taking.cancel()
            self.done(False)
        return 0

    cdef int pass_on(self) except -1:
        """Pass a notification that this task has taken on to another waiter. The result of the wait stays the same."""
        if self.notified and sk_me(self.segment.s) == self.me:
            sk_condition_abandon(self.segment.s, self.table, self.slot, self.me)
        self.notified = False
        return 0

    def done(self, well):
        with cython.critical_section(self):
            discard_undelivered(self)
            if well and self.notified and sk_me(self.segment.s) == self.me:
                self.notified = False
                sk_condition_detach(self.slot)
            self.pass_on()
            self.lock = self.taking = None
            Waiter.drop(self)
