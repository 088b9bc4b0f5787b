"""Waits of event loops, for the classes of the structures."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment, sk_seats


cdef extern from "core/sk_watch.h" nogil:
    ctypedef struct sk_aside:
        uint32_t *word       # NULL: there was nothing to sleep on
        uint32_t seen
        uint64_t until

    ctypedef struct sk_watched:
        sk_aside what
        void *whose
        const sk_seats *seats    # of the segment; NULL: its memory belongs to this process alone
        int state

    ctypedef struct sk_watch:
        uint32_t count       # how many waits are watched
        cbool ended
        cbool unpatrolled    # no thread looks for deaths on behalf of the waits

    cbool sk_aside_changed(const sk_aside *aside) noexcept

    # Until this is NULL again, functions of the C code return SK_INTERRUPTED where this thread would sleep.
    void sk_waits_aside(sk_aside *aside) noexcept


cdef class Waiter:
    cdef Segment segment     # None after the end
    cdef readonly object key
    cdef readonly object wakes_next
    cdef readonly object deadline
    cdef uint64_t until      # the deadline in nanoseconds; 0: do not wait
    cdef uint32_t me         # the owner word of the waiting process; a wait does not continue in a forked child
    cdef sk_aside aside
    cdef sk_watched node
    cdef object watcher      # the watcher that has the node in its table
    cdef object wake
    cdef bint begun          # whether the C code has begun this wait

    cdef set(self, Segment segment, object key, uint64_t until)
    cdef object look(self)
    cdef int drop(self) except -1
    cdef int abandon(self) except -1
    cdef int end(self) except -1
    cdef int called(self) except -1
    cdef int reclaim(self) except -1
    cdef object take_wake(self)
    cdef int abandon_for_stopped_loop(self) except -1
    cdef object step_once(self, object wake)


cdef int add_undelivered(Waiter waiter) except -1
cdef int discard_undelivered(Waiter waiter) except -1
cdef object pending()
cdef bint no_task_queued() noexcept
