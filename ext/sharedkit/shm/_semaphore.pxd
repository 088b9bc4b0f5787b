"""The semaphore, for the bounded one."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._segment cimport Handle, Segment


cdef uint64_t until_of_permit(object blocking, object timeout, object block) except? 1
cdef object number_of_permits(object n)


cdef class Semaphore(Handle):
    cdef _open(self, Segment segment)
    cdef bint look(self, uint64_t until) except -1
    cdef int give(self, uint32_t n) except -1
