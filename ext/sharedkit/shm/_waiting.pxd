"""Waiting in slices for the synchronization primitives: bounded sleeps, between which signal handlers run."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.interrupts cimport has_greenlets
from sharedkit._core.segment cimport Segment, sk_segment
from sharedkit._core.watcher cimport Waiter, sk_aside
from sharedkit.shm._stalls cimport sk_stall


cdef extern from *:
    """
    static const bool *sk_greenlets; /* points to a flag: greenlets may run; fetched once for each module */
    static inline uint32_t sk_thread_number(void) { return (uint32_t)PyThreadState_Get()->id; }
    #ifdef Py_GIL_DISABLED
    #define SK_HAS_GIL false
    #else
    #define SK_HAS_GIL true
    #endif
    """
    const cbool SK_HAS_GIL
    const cbool *sk_greenlets
    uint32_t sk_thread_number() noexcept

cdef extern from "core/sk_wait_state.h" nogil:
    ctypedef struct sk_wait_state:
        uint32_t thread      # distinguishes the wait from other waits of its process
        cbool enrolled
        cbool look           # do not take what is free, but return SK_FREE
        sk_aside *aside      # of a wait that must not sleep: receives the word to watch; otherwise NULL
        sk_stall stall       # detects that the holder of an inner lock makes no progress


# Wait one slice for the object at `what`; SK_INTERRUPTED: call again with the same wait state.
ctypedef int (*slice_of)(sk_segment *s, void *what, uint64_t until, sk_wait_state *wait) noexcept nogil
# End a wait between two slices, without a result.
ctypedef void (*end_of)(const sk_segment *s, void *what, sk_wait_state *wait) noexcept nogil


cdef class SliceWaiter(Waiter):
    """A task's wait in slices, each of which polls once instead of sleeping."""

    cdef slice_of slice
    cdef end_of quits
    cdef void *what
    cdef sk_wait_state wait

    cdef set_slices(self, slice_of step, end_of end, void *what, uint32_t thread)
    cdef object answer(self, int rc)


cdef class ReadyWaiter(SliceWaiter):
    """A wait until a method of a structure would not have to wait. It takes nothing."""


cdef ReadyWaiter ready(ReadyWaiter waiter, Segment segment, slice_of step, end_of passes, void *what)
cdef uint64_t until_of(cbool willing, object timeout) except? 0
cdef uint64_t until_of_span(object timeout) except? 1
cdef uint64_t until_of_wait(object timeout) except? 1
cdef uint32_t this_greenlet() noexcept
cdef uint32_t next_thread() noexcept
cdef int wait_in(Segment segment, slice_of step, end_of end, void *what, uint64_t until) except? -99


cdef inline uint32_t this_thread() noexcept:
    """Return a number that no other thread of the process has or had; unlike thread idents, it is never reused."""
    global sk_greenlets
    if sk_greenlets is NULL:
        sk_greenlets = has_greenlets()
    return this_greenlet() if sk_greenlets[0] else sk_thread_number()
