"""Waits of event loops, for the faces of the structures."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment


cdef extern from "core/sk_watch.h" nogil:
    ctypedef struct sk_aside:
        uint32_t *word       # NULL: there was nothing to sleep on
        uint32_t seen
        uint64_t until

    ctypedef struct sk_watched:
        sk_aside what
        void *whose
        int state

    ctypedef struct sk_watch:
        uint32_t count       # waits being watched
        cbool ended

    # Until it is NULL again, this thread is told SK_INTERRUPTED where it would sleep in a kernel of this very module.
    void sk_waits_aside(sk_aside *aside) noexcept


cdef class Waiter:
    cdef Segment segment     # None after the end
    cdef readonly object key
    cdef readonly object wakes_next
    cdef readonly object deadline
    cdef uint64_t until      # the same in nanoseconds; 0: do not wait
    cdef uint32_t me         # who waits: a forked child does not
    cdef sk_aside aside
    cdef sk_watched node
    cdef object watcher      # in whose table the node is
    cdef object wake
    cdef bint begun          # the kernel has begun to wait for it

    cdef set(self, Segment segment, object key, uint64_t until)
    cdef object look(self)
    cdef int drop(self) except -1
    cdef int abandon(self) except -1
    cdef int end(self) except -1
    cdef int called(self) except -1
    cdef int reclaim(self) except -1
    cdef object to_be_called(self)
    cdef int abandon_unheard(self) except -1
    cdef object step_once(self, object wake)


cdef int add_undelivered(Waiter waiter) except -1
cdef int discard_undelivered(Waiter waiter) except -1
cdef object pending()
cdef bint nobody_in_line() noexcept
