"""The semaphores."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._core.segment cimport Handle, Segment
from sharedkit.shm._waiting cimport SliceWaiter


cdef class Semaphore(Handle):
    cdef bint take_now(self) except -1
    cdef bint look(self, uint64_t until) except -1
    cdef SliceWaiter waiter(self, uint64_t until)
    cdef int give(self, uint32_t n) except -1
