# cython: language_level=3
"""Waits in slices: a thread waits without the GIL, so that signals are handled; a task's wait never sleeps in here."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit._core import gevent_support, timeouts
from sharedkit._core.interrupts cimport attend, greenlet_number
from sharedkit._core.segment cimport (
    SK_BUSY, SK_FREE, SK_INTERRUPTED, SK_OK, SK_OWNER_DIED, SK_TIMEOUT, Segment, deadline_of, is_too_long, refuse,
    sk_now_ns,
)
from sharedkit._core.watcher cimport Waiter, pending, sk_aside_changed, sk_waits_aside
from sharedkit.shm._stalls cimport SK_STALLED, goes_on


cdef extern from "platform/sk_atomic.h" nogil:
    uint32_t sk_add32_relaxed(uint32_t *word, uint32_t n) noexcept    # returns the old value

cdef extern from "platform/sk_platform.h" nogil:
    enum: SK_WORDS_MAX

    ctypedef struct sk_words:
        uint32_t count

    void sk_words_clear(sk_words *words) noexcept
    void sk_words_add(sk_words *words, uint32_t *word, uint32_t seen) noexcept
    int sk_sleep_on_any(sk_words *words, uint64_t until) noexcept

cdef extern from *:
    """
    #include <errno.h>
    static inline int sk_nap_once(void) { sk_nap(1000000); return -EINTR; }
    static inline int sk_cannot_sleep_on_any(int rc) { return rc == -ENOSYS || rc == -EPERM; }
    """
    int sk_nap_once() noexcept nogil    # no word was woken
    bint sk_cannot_sleep_on_any(int rc) noexcept nogil

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


cdef class ReadyWaiter(SliceWaiter):

    cdef object look(self):
        sk_waits_aside(&self.aside)
        cdef int rc = self.slice(self.segment.s, self.what, self.until, &self.wait)
        sk_waits_aside(NULL)
        if rc == SK_INTERRUPTED:
            return pending()
        if rc != SK_OK:
            return refuse(rc, 0, self.segment)
        if self.begun:
            self.end()
        return True

    cdef int end(self) except -1:
        """Pass on the wake-up that this wait may have used up: another waiter needs it."""
        if self.quits is not NULL:
            self.quits(self.segment.s, self.what, &self.wait)
        return 0


cdef ReadyWaiter ready(ReadyWaiter waiter, Segment segment, slice_of step, end_of passes, void *what):
    """Set up a wait that has no key: nothing is handed from task to task, so no task waits for another."""
    waiter.set(segment, None, FOR_EVER)
    waiter.set_slices(step, passes, what, next_thread())
    return waiter


# --- waiting for the first of several --------------------------------------------------------------------


def wait_for_any(list waiters, object deadline):
    """Wait until one of the waits has its answer, or until the deadline on the clock of `time.monotonic()`; None: for
    ever; 0 or less: do not wait. Return the indexes of those that have it.

    This thread sleeps on all words at once. If there are too many for one call of the system, it leaves them to the
    watcher's thread.
    """
    if len(waiters) > SK_WORDS_MAX:
        from sharedkit.aio import several
        return several.wait_for_any(waiters, deadline)
    cdef uint64_t until = FOR_EVER if deadline is None else <uint64_t>(max(0.0, deadline) * 1e9)
    cdef uint64_t end
    cdef sk_words words
    cdef Waiter waiter
    cdef int rc = -1
    cdef uint64_t now
    cdef uint32_t[SK_WORDS_MAX] whose    # the index of the wait to which each word belongs
    cdef bint again, polls = False
    cdef Py_ssize_t i, woken
    ready_now = []
    try:
        while True:
            woken = whose[rc] if rc >= 0 else -1
            sk_words_clear(&words)
            end = until
            again = False
            now = sk_now_ns()
            for i in range(len(waiters)):
                waiter = waiters[i]
                if (i == woken or not rests(waiter, now)) and look_at(waiter):
                    ready_now.append(i)
                elif waiter.aside.word is NULL:
                    again = True
                else:
                    whose[words.count] = <uint32_t>i
                    sk_words_add(&words, waiter.aside.word, waiter.aside.seen)
                    end = min(end, waiter.aside.until)
            if ready_now or not waiters or now >= until:
                return ready_now
            if gevent_support.patched():
                gevent_support.let_others_run()
                continue
            if not again:
                with nogil:
                    rc = sk_nap_once() if polls else sk_sleep_on_any(&words, end)
                polls = polls or sk_cannot_sleep_on_any(rc)
            PyErr_CheckSignals()
    finally:
        for waiter in waiters:
            waiter.cancel()


cdef bint rests(Waiter waiter, uint64_t now) noexcept:
    """Return whether a look is needless: the wait is put aside, its words are unchanged, and its slice is not over."""
    return waiter.begun and waiter.aside.word is not NULL and now < waiter.aside.until and not sk_aside_changed(
        &waiter.aside)


cdef bint look_at(Waiter waiter) except -1:
    """Poll once; return whether the wait has its answer."""
    with cython.critical_section(waiter):
        waiter.aside.word = NULL
        waiter.begun = waiter.look() is pending()
    return not waiter.begun
