"""The stream, for the stream of the threads of one process."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._core.segment cimport Handle, Segment
from sharedkit._core.watcher cimport Waiter
from sharedkit.shm._codec cimport sk_part
from sharedkit.shm._stream_kernel cimport sk_call, sk_stream_begin_at
from sharedkit.shm._stream_reader cimport Form, Slot, StreamReader
from sharedkit.shm._waiting cimport sk_wait_state


cdef class Stream(Handle):
    cdef Form form

    cdef Slot claim(self, uint64_t payload, uint32_t kind)
    cdef object put_later(self, object item, bint willing, object timeout)
    cdef Slot filled(self, const sk_part *parts, uint32_t n, uint32_t kind)
    cdef StreamReader new_reader(self, sk_stream_begin_at at, uint64_t position, uint64_t lost)


cdef class RoomWaiter(Waiter):
    """A task's wait for room in a stream."""

    cdef sk_call call
    cdef sk_wait_state wait

    cdef set_room(self, Segment segment, bint willing, object timeout)


cdef object fitting(Form form, object item)
cdef int refuse_put(Segment segment, int rc, uint64_t payload, const sk_wait_state *wait) except -1
