"""The re-entrant lock, for a Condition."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._core.segment cimport Segment
from sharedkit.shm._sync cimport Mutex, MutexWaiter, sk_mutex


cdef struct Wanted:
    sk_mutex *mutex
    uint64_t count           # how often to take it


cdef class RLockWaiter(MutexWaiter):
    """A task's wait for a re-entrant mutex, which the task will hold in its own name."""

    cdef Wanted wanted
    cdef uint32_t name


cdef class RLock(Mutex):
    cdef bint part               # whether it is part of another structure

    cdef uint32_t asker(self) except 0
    cdef bint held_by(self, uint32_t name) except -1
    cdef RLockWaiter waiter(self, uint64_t until, uint64_t count, uint32_t name)
    cdef uint64_t save_as(self, uint32_t name) except 0
    cdef bint take(self, uint64_t until) except -1
    cdef bint take_times(self, uint64_t until, uint64_t count) except -1
    cdef int free(self) except -1


cdef uint32_t asker_of(object lock) except? 0
