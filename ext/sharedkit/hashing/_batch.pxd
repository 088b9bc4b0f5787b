"""The objects and memory that a batch of messages holds while it is hashed; see _batch.pyx."""

from cpython.ref cimport PyObject
from libc.stdint cimport uint8_t

from sharedkit.hashing._kernels cimport ArrowArray, sk_source, sk_span, sk_view_block


cdef class Held:
    """The fields of a batch; one thread fills it, and it is only read while it is hashed."""

    cdef sk_source *parts
    cdef size_t part_count
    cdef readonly size_t count
    cdef PyObject **held
    cdef Py_ssize_t held_count
    cdef sk_view_block *views
    cdef void **blocks          # malloc'ed pieces: spans, encoded text, copies of Arrow arrays
    cdef size_t block_count
    cdef uint8_t *text_at       # free room of the newest text piece
    cdef size_t text_room
    cdef list kept              # the objects that own the memory of the sources
    cdef ArrowArray **arrays    # chunks of an Arrow stream
    cdef size_t array_count

    cdef void *allocate(self, size_t size) except NULL
    cdef uint8_t *text(self, size_t size) except NULL
    cdef Py_buffer *view(self, object item, int flags) except NULL
    cdef sk_source *part(self) except NULL
    cdef void add(self) noexcept
    cdef int refuse_text(self, object text, size_t index) except -1
    cdef int take(self, object item, Py_ssize_t index, sk_span *span) except -1
