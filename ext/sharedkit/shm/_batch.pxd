"""Many items in one commit, and items too large for the stack."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._segment cimport Segment
from sharedkit.shm._codec cimport sk_part
from sharedkit.shm._queue cimport sk_call, sk_found


cdef class Batch:
    """Encoded items as whole records, one after the other."""

    cdef unsigned char *at
    cdef uint64_t used       # units
    cdef uint64_t room
    cdef uint64_t items

    cdef int add(self, object item) except -1
    cdef uint64_t payload_at(self, uint64_t at) noexcept


cdef Batch batch_of(object items)
cdef int refuse_put(Segment segment, int rc, uint64_t payload) except -1
cdef int put_batch(Segment segment, object items, sk_call call) except -1
cdef int put_waiting(
    Segment segment, const sk_part *parts, uint32_t n, uint32_t kind, uint64_t payload, sk_call call
) except -1
cdef list get_batch(Segment segment, object max_items, sk_call call)
cdef int attend_getting(Segment segment) except -1
cdef tuple take_large(Segment segment, char *start, uint64_t have, sk_found *found, sk_call call)
