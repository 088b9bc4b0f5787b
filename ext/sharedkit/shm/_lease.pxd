"""Leases of the items of a queue."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._core.segment cimport Handle, Segment
from sharedkit.shm._queue_kernel cimport sk_call, sk_found, sk_lease


cdef class Lease:
    cdef Handle handle           # of the queue
    cdef Segment segment         # None while the lease has no item
    cdef sk_lease lease
    cdef object timeout
    cdef uint32_t most           # how often an item is delivered; 0: any number of times
    cdef object dead_letter
    cdef int begin(self) except -1
    cdef object took(self, uint32_t kind, const char *at, uint64_t size)
    cdef object enter_waiting(self, uint64_t until, bint willing)
    cdef tuple take_larger(self, char *small, sk_found *found, sk_call call)
    cdef int settle(self) except -1
    cdef int give_back(self) except -1
    cdef int send_to_dead_letter(self, uint32_t kind, uint64_t size) except -1


cdef Lease new_lease(Handle handle, object timeout, object max_deliveries, object dead_letter)
cdef object get_into(Handle handle, object out, bint willing, object timeout)
cdef object get_into_later(Handle handle, object out, bint willing, object timeout)
