"""The locks, and the mutex for the structures that contain one."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Handle, Segment, sk_segment
from sharedkit.shm._waiting cimport SliceWaiter, sk_wait_state


cdef extern from "structures/sk_mutex.h" nogil:
    ctypedef struct sk_mutex:
        uint32_t word
        uint32_t poisoned        # how many owners died; a release or mark_consistent sets it to 0
        uint64_t since       # wall-clock time in nanoseconds, or 0
        uint64_t thread      # of a re-entrant mutex: the thread or task that holds it
        uint64_t count       # of a re-entrant mutex: how often it is held
        uint64_t *waiters       # how many threads of each process wait

    uint64_t sk_mutex_len(uint32_t seats) noexcept
    int sk_mutex_try(const sk_segment *s, sk_mutex *m) noexcept
    int sk_mutex_take(sk_segment *s, sk_mutex *m, uint64_t until, sk_wait_state *wait) noexcept
    void sk_mutex_cancel(const sk_segment *s, sk_mutex *m, sk_wait_state *wait) noexcept
    int sk_mutex_give(const sk_segment *s, sk_mutex *m) noexcept
    void sk_mutex_pass_on(sk_mutex *m) noexcept
    int sk_mutex_mark_consistent(const sk_segment *s, sk_mutex *m) noexcept
    cbool sk_mutex_taken(const sk_segment *s, const sk_mutex *m) noexcept
    uint32_t sk_lock_owner(const uint32_t *word) noexcept
    uint64_t sk_seat_counts_sum(const sk_segment *s, const uint64_t *counts) noexcept


cdef class Mutex(Handle):
    cdef sk_mutex *mutex     # NULL once closed
    cdef bint strict         # whether to raise OwnerDiedError instead of giving a warning

    cdef _hold(self, Segment segment, uint64_t offset)
    cdef bint wait(self, uint64_t until) except -1
    cdef int tell(self) except -1
    cpdef str _held_text(self)
    cdef object snapshot(self, str kind, object count)


cdef class MutexWaiter(SliceWaiter):
    """A task's wait for a mutex."""

    cdef sk_mutex *mutex
    cdef bint strict

    cdef set_mutex(self, Mutex handle, uint64_t until)


cdef MutexWaiter waiter_of(Mutex handle, uint64_t until)


cdef struct Wanted:
    sk_mutex *mutex
    uint64_t count           # how often to take it


cdef class RLockWaiter(MutexWaiter):
    """A task's wait for a re-entrant mutex; the task itself, not its thread, will hold it."""

    cdef Wanted wanted
    cdef uint32_t name


cdef class RLock(Mutex):
    cdef bint part               # whether it is part of another structure

    cdef bint held_by(self, uint32_t name) except -1
    cdef RLockWaiter waiter(self, uint64_t until, uint64_t count, uint32_t name)
    cdef uint64_t save_as(self, uint32_t name) except 0

    @cython.final
    cdef bint take(self, uint64_t until) except -1
    cdef bint take_times(self, uint64_t until, uint64_t count) except -1

    @cython.final
    cdef int free(self) except -1


cdef uint32_t asker_of(object lock) except? 0
