# cython: language_level=3
"""The actions of a wait between two slices (bounded sleeps): run signal handlers and, under gevent, other greenlets."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint32_t
from libcpp cimport bool as cbool

from sharedkit._core import gevent_support
from sharedkit._core.segment cimport SK_BUSY, SK_INTERRUPTED, Segment

cdef cbool greenlets = gevent_support.patched()


cdef const cbool *has_greenlets() noexcept:
    """Return the address of a flag: 1 if greenlets are this program's threads, as far as known; a wait finds that out.
    """
    return &greenlets


cdef int attend(Segment segment) except -1:
    """Let signal handlers and other greenlets run. Raises what handlers raise and what is thrown into this greenlet."""
    global greenlets
    PyErr_CheckSignals()
    if not greenlets and gevent_support.patched():    # written only once, because other threads read it
        greenlets = True
    if greenlets:
        segment.s.waiter.hasty = 1    # from now on no wait in this segment sleeps
        gevent_support.let_others_run()
    return 0


cdef bint unanswered(Segment segment, int rc) except -1:
    """Return whether to call the C function, or call it again: it could not answer without waiting (SK_BUSY; also the
    value before the first call), or its wait was interrupted and the handlers have run now. The loop around every wait
    that does nothing else:

        while unanswered(segment, rc):
            with nogil:
                rc = ...

    Raises what handlers raise, and what is thrown into this greenlet.
    """
    if rc == SK_INTERRUPTED:
        attend(segment)
        return True
    return rc == SK_BUSY


cdef uint32_t greenlet_number(uint32_t (*fresh)() noexcept) noexcept:
    """Return a number for this greenlet that no other greenlet of the process has or had. The first call chooses it."""
    cdef uint32_t number = gevent_support.known()
    if number == 0:
        number = fresh()
        gevent_support.remember(number)
    return number
