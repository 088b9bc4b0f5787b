"""The readers of a stream."""

from libc.stdint cimport uint32_t, uint64_t

from sharedkit._core.segment cimport Dropped, Handle, Segment
from sharedkit.shm._stream_kernel cimport sk_stream_begin_at, sk_stream_claim, sk_stream_message, sk_stream_reader


cdef class Form:
    """What the messages of a stream are: arrays of one shape and dtype, or any objects."""

    cdef readonly tuple shape        # None: any objects
    cdef readonly object dtype       # None: any objects
    cdef readonly uint64_t nbytes    # of an array


cdef class Registration:
    """A row of the stream that names this process as a reader; it ends with the last reference."""

    cdef Segment segment
    cdef sk_stream_reader reader

    cdef int enrol(self, sk_stream_begin_at at, uint64_t lost) except -1
    cdef void end(self) noexcept


cdef class Slot:
    """The memory of one slot, for arrays over it. A reader's slot stays pinned, and a writer's claimed, until the last
    reference ends."""

    cdef Segment segment
    cdef Registration registration   # of a reader; None: a writer's
    cdef uint32_t pin
    cdef sk_stream_claim claim
    cdef unsigned char *data
    cdef uint64_t size


cdef class StreamReader(Handle):
    cdef Form form
    cdef Registration registration

    cdef open(self, Segment segment, Form form, sk_stream_begin_at at, uint64_t position, uint64_t lost)
    cdef Registration mine(self)
    cdef int wait(self, Segment segment, uint64_t until) except? -99
    cdef int find(self, bint latest, object willing, object timeout, sk_stream_message *found) except -1
    cdef object item(self, Registration registration, sk_stream_message *found, object out)
    cdef object later(self, int what, object willing, object timeout, object out)
    cdef object view(self, Registration registration, sk_stream_message *found)


cdef object frame_over(Slot slot, Form form)
cdef StreamReader reader_of(Segment segment, Form form, sk_stream_begin_at at, uint64_t position, uint64_t lost)
