# cython: language_level=3
"""Slots to sleep in, and a task's sleep in one."""

from libc.stdint cimport uint64_t

from sharedkit._segment cimport SK_BUSY, SK_FULL, SK_INTERRUPTED, SK_OK, Segment, refuse
from sharedkit._watch cimport Turn, pending, sk_waits_aside, waiting
from sharedkit.shm._rlock cimport RLock
from sharedkit.shm._sync cimport Mutex

cdef uint64_t FOR_EVER = <uint64_t>-1


cdef sk_sleeper *enter(Segment segment, sk_condition *table) except NULL:
    """A slot to sleep in."""
    cdef sk_sleeper *slot = NULL
    cdef int rc = sk_condition_enter(segment.s, table, &slot)
    if rc == SK_FULL:
        raise RuntimeError(f"{SK_SLEEPERS} threads wait for the condition {segment.name!r} already")
    if rc != SK_OK:
        refuse(rc, 0)
    return slot


cdef class SleepTurn(Turn):

    cdef object look(self):
        if self.gone:
            return True              # as if notified: who waits for a condition looks again in any case
        if self.slot is NULL:
            self.lie_down()
        sk_waits_aside(&self.aside)
        cdef int rc = sk_condition_wait(self.segment.s, self.table, self.slot, self.me, self.until)
        sk_waits_aside(NULL)
        if rc == SK_INTERRUPTED:
            return pending()
        if rc == SK_BUSY:
            raise RuntimeError("this process was forked off by one that waits, and does not wait itself")
        self.told = rc == SK_OK or not sk_condition_quit(self.slot, self.me)
        return self.told

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
        """Not before `done`."""
        return 0

    cdef int end(self) except -1:
        self.gone = True
        sk_condition_abandon(self.segment.s, self.table, self.slot, self.me)
        return 0

    def left(self):
        return self.saved != 0

    def back(self):
        if isinstance(self.lock, RLock):
            return waiting((<RLock>self.lock).turn(FOR_EVER, self.saved, self.name))
        return self.lock.aacquire()

    def lose(self):
        if self.saved != 0:
            (<Mutex>self.lock).lost += 1

    def done(self, well):
        if self.told and self.segment.s.seats.me == self.me:
            self.told = False
            if well:
                sk_condition_leave(self.slot)
            else:
                sk_condition_abandon(self.segment.s, self.table, self.slot, self.me)
        self.lock = None
        Turn.drop(self)
