"""The elements of an array, for the class Array."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from sharedkit._core.segment cimport PrivateSegment, Segment


cdef extern from "structures/sk_array.h" nogil:
    ctypedef uint64_t (*sk_array_add_many)(void *data, uint64_t count, const int64_t *indices, uint64_t n,
                                           const void *values, uint64_t step, void *sums) noexcept


# The element types that atomic addition supports. Other types can be exchanged if they are 1, 2, 4 or 8 bytes wide.
cdef enum Number:
    OTHER, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT32, FLOAT64


cdef class Elements:
    """The memory of an array's elements. Views keep it alive, and it keeps the mapping alive."""

    cdef Segment segment
    cdef PrivateSegment private      # the same segment if it is a private one; else None
    cdef object dtype
    cdef unsigned char *data
    cdef uint64_t count
    cdef uint32_t itemsize
    cdef Number number

    cdef int require_number(self) except -1
    cdef int bits_of(self, object value, void *bits) except -1
    cdef object add(self, Py_ssize_t place, object n)
    cdef bint exchange_if(self, Py_ssize_t place, object expected, object desired) except -1
    cdef int add_many(self, object positions, object values) except -1
    cdef bint add_one_many(self, object indices, object value) except -1
    cdef int add_values(self, Py_buffer *where, object values) except -1
    cdef int add_to(self, Py_buffer *where, const void *values, uint64_t step) except -1
    cdef uint64_t add_each(self, const int64_t *indices, uint64_t n, const void *values, uint64_t step) except? 0
    cdef sk_array_add_many adder(self) noexcept


cdef Elements elements_of(Segment segment, object dtype)
