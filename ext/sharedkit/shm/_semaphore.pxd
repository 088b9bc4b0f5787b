"""The semaphore, for the bounded one."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._segment cimport Handle, Segment


cdef class Semaphore(Handle):
    cdef _open(self, Segment segment)
    cdef bint look(self, uint64_t until) except -1
    cdef int give(self, uint32_t n) except -1
