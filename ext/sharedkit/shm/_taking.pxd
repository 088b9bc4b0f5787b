"""What all calls share that take an item from a queue, or wait at one."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment
from sharedkit._core.watcher cimport Waiter
from sharedkit.shm._queue_kernel cimport sk_call, sk_found, sk_lease
from sharedkit.shm._waiting cimport sk_wait_state


cdef class QueueWaiter(Waiter):
    """A task's wait at a queue."""

    cdef sk_call call
    cdef sk_wait_state wait

    cdef set_queue(self, Segment segment, str side, cbool willing, object timeout)
    cdef object unless_stalled(self, int rc, object kind)
    cdef object empty(self, int rc)
    cdef object full(self, int rc, uint64_t asked)


cdef object too_many(Segment segment)
cdef int attend_getting(Segment segment) except -1
cdef int refuse_put(Segment segment, int rc, uint64_t payload) except -1
cdef tuple take_large(
    Segment segment, char *start, uint64_t have, sk_found *found, sk_lease *lease, sk_call call
)
