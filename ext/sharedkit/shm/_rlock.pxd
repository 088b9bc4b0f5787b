"""The re-entrant lock, for a Condition."""

from libc.stdint cimport uint64_t

from sharedkit._segment cimport Segment
from sharedkit.shm._sync cimport Mutex


cdef class RLock(Mutex):
    cdef bint part               # of a structure

    cdef _open(self, Segment segment)
    cdef bint take(self, uint64_t until) except -1
    cdef bint take_times(self, uint64_t until, uint64_t count) except -1
    cdef int free(self) except -1
