"""The C part of conditions, and a task's wait for one."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment, sk_segment
from sharedkit._core.watcher cimport Waiter


cdef extern from "structures/sk_condition.h" nogil:
    enum: SK_CONDITION_WAITERS, SK_CONDITION_WAITERS_PRIVATE, SK_CONDITION_WAITERS_DOUBLED, SK_CONDITION_SLOTS
    ctypedef struct sk_condition_waiter:
        uint32_t word
    ctypedef struct sk_condition:
        uint64_t next            # how many waiters have begun to wait so far
        uint32_t grown           # how often the slots of a private condition were doubled

    uint64_t sk_condition_body_len(uint32_t seats, uint32_t slots) noexcept
    uint32_t sk_condition_slots(const sk_segment *s, const sk_condition *c) noexcept
    cbool sk_condition_grow(const sk_segment *s, sk_condition *c, void *memory) noexcept
    sk_condition *sk_condition_of(const sk_segment *s) noexcept
    int sk_condition_refuse(const sk_segment *s) noexcept
    int sk_condition_enter(const sk_segment *s, sk_condition *c, sk_condition_waiter **mine) noexcept
    int sk_condition_wait(sk_segment *s, sk_condition *c, sk_condition_waiter *z, uint32_t me, uint64_t until) noexcept
    cbool sk_condition_cancel(sk_condition_waiter *z, uint32_t me) noexcept
    void sk_condition_detach(sk_condition_waiter *z) noexcept
    void sk_condition_abandon(const sk_segment *s, sk_condition *c, sk_condition_waiter *z, uint32_t me) noexcept
    void sk_condition_notify(const sk_segment *s, sk_condition *c, uint64_t n) noexcept
    void sk_condition_count(const sk_segment *s, const sk_condition *c, uint32_t *waiting, uint32_t *notified) noexcept


cdef sk_condition_waiter *enter(Segment segment, sk_condition *table) except NULL


cdef class SleepWaiter(Waiter):
    """A task's wait to be notified; its first step takes a slot and releases the lock."""

    cdef sk_condition *table
    cdef sk_condition_waiter *slot        # NULL before and after the sleep
    cdef object lock             # a Mutex
    cdef public object loop      # the event loop of the task
    cdef Waiter taking             # the wait for the lock; None before that wait
    cdef uint32_t name           # the number of the task that holds the lock, if the lock is re-entrant
    cdef uint64_t saved          # how often the lock was held; 0 before it is released
    cdef bint notified
    cdef bint gone               # whether the wait was given up because the loop did not run

    cdef int lie_down(self) except -1
    cdef int pass_on(self) except -1
