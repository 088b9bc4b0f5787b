# cython: language_level=3
"""Waits in slices: a thread waits without the GIL, so that signals are handled; a task's wait never sleeps in here."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit._core import timeouts
from sharedkit._core.interrupts cimport attend, greenlet_number
from sharedkit._core.segment cimport (
    SK_BUSY, SK_FREE, SK_INTERRUPTED, SK_OK, SK_OWNER_DIED, SK_TIMEOUT, Segment, deadline_of, is_too_long, refuse,
)
from sharedkit._core.watcher cimport pending
from sharedkit.shm._stalls cimport SK_STALLED, goes_on


cdef extern from "platform/sk_atomic.h" nogil:
    uint32_t sk_add32_relaxed(uint32_t *word, uint32_t n) noexcept    # returns the old value

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef double SOON = 1e9      # a timeout of fewer seconds cannot be too long
cdef object MINUS_ONE = -1


cdef uint64_t until_of(cbool willing, object timeout) except? 0:
    """Return the deadline, monotonic time in nanoseconds; 0: do not wait. By the rules of a Lock.

    Raises as `check_wait` does."""
    cdef double seconds
    if timeout is None or timeout is MINUS_ONE:
        return FOR_EVER if willing else 0
    if willing and type(timeout) is float and 0 < <double>timeout < SOON:
        return deadline_of(timeout)
    seconds = timeouts.check_wait(willing, timeout)
    if not willing:
        return 0
    if seconds == -1:
        return FOR_EVER
    return 0 if seconds == 0 else deadline_of(seconds)


cdef uint64_t until_of_span(object timeout) except? 1:
    """Return the deadline by the rules of a Semaphore, a Condition or an Event: None: no limit; negative: do not wait.

    Raises TypeError, ValueError, OverflowError.
    """
    cdef uint64_t until = until_of_wait(timeout)
    if is_too_long(until):
        raise timeouts.too_long()
    return until


cdef uint64_t until_of_wait(object timeout) except? 1:
    """Do as `until_of_span`, but return a time that `is_too_long` where that raises OverflowError, for calls that may
    not have to wait."""
    if timeout is None:
        return FOR_EVER
    cdef double seconds = timeout if type(timeout) is float else timeouts.seconds(timeout)
    if seconds != seconds:
        timeouts.seconds(timeout)    # refuses NaN
    return deadline_of(seconds) if seconds > 0 else 0


cdef uint32_t this_greenlet() noexcept:
    """Return a number for a greenlet, as `this_thread` does for a thread."""
    return greenlet_number(next_thread)


cdef int wait_in(Segment segment, slice_of step, end_of end, void *what, uint64_t until) except? -99:
    """Wait in slices without the GIL, and run signal handlers; return SK_OK, SK_OWNER_DIED, SK_TIMEOUT or SK_BUSY.

    Raises what signal handlers raise, after a call of `end`, and what `refuse` raises for other statuses.
    """
    cdef sk_wait_state wait
    cdef sk_aside aside
    cdef int rc
    memset(&wait, 0, sizeof(wait))
    wait.thread = this_thread()
    while True:
        wait.look = SK_HAS_GIL
        with nogil:
            rc = step(segment.s, what, until, &wait)
        if rc == SK_FREE:    # take it with the GIL, and do not sleep if another thread has been faster
            wait.look = False
            wait.aside = &aside
            rc = step(segment.s, what, until, &wait)
            wait.aside = NULL
        if rc == SK_STALLED and not goes_on(segment, &wait.stall):
            end(segment.s, what, &wait)
            return SK_BUSY
        if rc == SK_INTERRUPTED or rc == SK_STALLED:
            try:
                attend(segment)
            except BaseException:
                end(segment.s, what, &wait)
                raise
        elif rc == SK_OK or rc == SK_OWNER_DIED or rc == SK_TIMEOUT or rc == SK_BUSY:
            return rc
        else:
            refuse(rc, 0, segment)


cdef uint32_t turns = 0


cdef uint32_t next_thread() noexcept:
    """Return a number that identifies the wait of a task or a greenlet."""
    return sk_add32_relaxed(&turns, 1) + 1 | <uint32_t>1 << 31


cdef class SliceWaiter(Waiter):

    cdef set_slices(self, slice_of step, end_of end, void *what, uint32_t thread):
        memset(&self.wait, 0, sizeof(self.wait))
        self.wait.thread = thread
        self.wait.aside = &self.aside
        self.slice = step
        self.quits = end
        self.what = what

    cdef object look(self):
        cdef int rc = self.slice(self.segment.s, self.what, self.until, &self.wait)
        if rc == SK_STALLED:
            rc = SK_INTERRUPTED if goes_on(self.segment, &self.wait.stall) else SK_BUSY
        return pending() if rc == SK_INTERRUPTED else self.answer(rc)

    cdef object answer(self, int rc):
        """Return the method's result; raises OwnerDiedWarning and other exceptions."""
        if rc == SK_OK:
            return True
        if rc == SK_TIMEOUT or rc == SK_BUSY:
            return False
        return refuse(rc, 0, self.segment)

    cdef int end(self) except -1:
        self.quits(self.segment.s, self.what, &self.wait)
        return 0
