"""Many items in one commit, and items too large for the stack."""

from libc.stdint cimport uint64_t

from sharedkit._segment cimport Segment
from sharedkit.shm._queue cimport sk_call, sk_found


cdef int put_batch(Segment segment, object items, sk_call call) except -1
cdef list get_batch(Segment segment, object max_items, sk_call call)
cdef tuple take_large(Segment segment, char *start, uint64_t have, sk_found *found, uint64_t until)
