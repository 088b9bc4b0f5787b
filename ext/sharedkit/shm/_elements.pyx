# cython: language_level=3
"""The elements of an array: atomic steps on them by flat position, and the memory that views use."""

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLong
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport (
    HAS_GIL, SK_CORRUPT, SK_OK, PrivateSegment, Segment, ends_anywhere, refuse, sk_header_of, sk_segment,
)

import operator

import numpy as np


cdef extern from "structures/sk_array.h" nogil:
    enum: SK_ARRAY_ITEMSIZE, SK_ARRAY_COUNT

    unsigned char *sk_array_data(const sk_segment *s) noexcept
    int sk_array_refuse(const sk_segment *s) noexcept
    uint8_t sk_array_add_i8(uint8_t *at, uint8_t n) noexcept
    uint16_t sk_array_add_i16(uint16_t *at, uint16_t n) noexcept
    uint32_t sk_array_add_i32(uint32_t *at, uint32_t n) noexcept
    uint64_t sk_array_add_i64(uint64_t *at, uint64_t n) noexcept
    float sk_array_add_f32(uint32_t *at, float n) noexcept
    double sk_array_add_f64(uint64_t *at, double n) noexcept
    cbool sk_array_exchange_if(void *at, uint32_t width, const void *expected, const void *desired) noexcept
    uint64_t sk_array_check(const int64_t *indices, uint64_t n, uint64_t count) noexcept
    uint64_t sk_array_fold(int64_t *positions, const int64_t *indices, uint64_t n, uint64_t length) noexcept
    uint64_t sk_array_add_many_i8(void *, uint64_t, const int64_t *, uint64_t, const void *, uint64_t, void *) noexcept
    uint64_t sk_array_add_many_i16(void *, uint64_t, const int64_t *, uint64_t, const void *, uint64_t, void *) noexcept
    uint64_t sk_array_add_many_i32(void *, uint64_t, const int64_t *, uint64_t, const void *, uint64_t, void *) noexcept
    uint64_t sk_array_add_many_i64(void *, uint64_t, const int64_t *, uint64_t, const void *, uint64_t, void *) noexcept
    uint64_t sk_array_add_many_f32(void *, uint64_t, const int64_t *, uint64_t, const void *, uint64_t, void *) noexcept
    uint64_t sk_array_add_many_f64(void *, uint64_t, const int64_t *, uint64_t, const void *, uint64_t, void *) noexcept

cdef enum:
    QUICK = 256         # for up to this many additions, releasing the GIL does not pay
    PLAIN = 16384       # up to this many additions are not atomic if the GIL excludes other threads: 20 us at most
    DENSE = 4           # with at least this many additions per element, they are summed first: see sk_array.h
    OWN = 4 << 20       # the most bytes of sums, so that they stay in the cache

cdef dict NUMBERS = {
    ("i", 1): INT8, ("i", 2): INT16, ("i", 4): INT32, ("i", 8): INT64,
    ("u", 1): UINT8, ("u", 2): UINT16, ("u", 4): UINT32, ("u", 8): UINT64,
    ("f", 4): FLOAT32, ("f", 8): FLOAT64,
}


cdef Elements elements_of(Segment segment, object dtype):
    """Return the elements of an array's segment. Raises CorruptSegmentError if its numbers contradict each other or the
    dtype.
    """
    if sk_array_refuse(segment.s) != SK_OK or dtype.itemsize != sk_header_of(segment.s).param[SK_ARRAY_ITEMSIZE]:
        refuse(SK_CORRUPT, 0, segment)
    cdef Elements self = Elements.__new__(Elements)
    self.segment = segment
    self.private = segment if isinstance(segment, PrivateSegment) else None
    self.dtype = dtype
    self.data = sk_array_data(segment.s)
    self.count = sk_header_of(segment.s).param[SK_ARRAY_COUNT]
    self.itemsize = dtype.itemsize
    self.number = NUMBERS.get((dtype.kind, dtype.itemsize), OTHER) if dtype.isnative else OTHER
    return ends_anywhere(self)


cdef class Elements:

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.count * self.itemsize, 0, flags)

    cdef int require_number(self) except -1:
        if self.number == OTHER:
            raise TypeError(
                f"atomic addition needs integers or floats of 32 or 64 bits, in the machine's order: {self.dtype}"
            )
        return 0

    cdef int bits_of(self, object value, void *bits) except -1:
        """Store the bytes of one element of that value in `bits`. Raises OverflowError if it does not fit,
        TypeError."""
        cdef bytes raw
        if self.number == INT64:
            (<int64_t *>bits)[0] = to_signed(value, -<int64_t>0x7fffffffffffffff - 1, 0x7fffffffffffffff)
        elif self.number == FLOAT64:
            (<double *>bits)[0] = value
        elif self.number == FLOAT32:
            (<float *>bits)[0] = <float><double>value
        elif self.number == INT32:
            (<int32_t *>bits)[0] = <int32_t>to_signed(value, -<int64_t>0x80000000, 0x7fffffff)
        elif self.number == INT16:
            (<int16_t *>bits)[0] = <int16_t>to_signed(value, -0x8000, 0x7fff)
        elif self.number == INT8:
            (<int8_t *>bits)[0] = <int8_t>to_signed(value, -0x80, 0x7f)
        elif self.number == UINT64:
            (<uint64_t *>bits)[0] = PyLong_AsUnsignedLongLong(operator.index(value))
        elif self.number == UINT32:
            (<uint32_t *>bits)[0] = <uint32_t>to_signed(value, 0, 0xffffffff)
        elif self.number == UINT16:
            (<uint16_t *>bits)[0] = <uint16_t>to_signed(value, 0, 0xffff)
        elif self.number == UINT8:
            (<uint8_t *>bits)[0] = <uint8_t>to_signed(value, 0, 0xff)
        else:
            cell = np.zeros((), self.dtype)
            cell[()] = value
            raw = cell.tobytes()
            memcpy(bits, <const char *>raw, self.itemsize)
        return 0

    cdef object add(self, Py_ssize_t place, object n):
        """Add to one element; return the value from before."""
        cdef uint64_t n_bits = 0
        cdef void *bits = &n_bits
        cdef void *at = self.data + place * <Py_ssize_t>self.itemsize
        self.bits_of(n, bits)
        if self.number == INT64:
            return <int64_t>sk_array_add_i64(<uint64_t *>at, n_bits)
        if self.number == FLOAT64:
            return sk_array_add_f64(<uint64_t *>at, (<double *>bits)[0])
        if self.number == FLOAT32:
            return <double>sk_array_add_f32(<uint32_t *>at, (<float *>bits)[0])
        if self.number == INT32:
            return <int32_t>sk_array_add_i32(<uint32_t *>at, (<uint32_t *>bits)[0])
        if self.number == INT16:
            return <int16_t>sk_array_add_i16(<uint16_t *>at, (<uint16_t *>bits)[0])
        if self.number == INT8:
            return <int8_t>sk_array_add_i8(<uint8_t *>at, (<uint8_t *>bits)[0])
        if self.number == UINT64:
            return sk_array_add_i64(<uint64_t *>at, n_bits)
        if self.number == UINT32:
            return sk_array_add_i32(<uint32_t *>at, (<uint32_t *>bits)[0])
        if self.number == UINT16:
            return sk_array_add_i16(<uint16_t *>at, (<uint16_t *>bits)[0])
        return sk_array_add_i8(<uint8_t *>at, (<uint8_t *>bits)[0])

    cdef bint exchange_if(self, Py_ssize_t place, object expected, object desired) except -1:
        """Set one element if its bytes are as expected; return whether they were."""
        cdef uint64_t seen = 0, wanted = 0
        self.bits_of(expected, &seen)
        self.bits_of(desired, &wanted)
        return sk_array_exchange_if(self.data + place * <Py_ssize_t>self.itemsize, self.itemsize, &seen, &wanted)

    cdef int add_many(self, object positions, object values) except -1:
        """Add `values` to the elements at flat `positions` (int64, contiguous). `values` is an int or a float, or an
        array of the dtype with one value or one for each position. Raises OverflowError, TypeError."""
        cdef Py_buffer where
        cdef uint64_t one = 0
        if type(values) is int or type(values) is float:
            self.bits_of(values, &one)
            values = None
        PyObject_GetBuffer(positions, &where, PyBUF_SIMPLE)
        try:
            if values is None:
                self.add_to(&where, &one, 0)
            else:
                self.add_values(&where, values)
        finally:
            PyBuffer_Release(&where)
        return 0

    cdef bint add_one_many(self, object indices, object value) except -1:
        """Do the same for an array of int64 that needs no conversion, and an int or a float; otherwise do nothing.
        Return whether it was done. This takes a fifth of the time that NumPy needs to check such an array."""
        cdef Py_buffer where
        cdef uint64_t one = 0
        cdef bint ready
        PyObject_GetBuffer(indices, &where, PyBUF_RECORDS_RO)
        try:
            ready = where.ndim == 1 and where.itemsize == sizeof(int64_t) and where.strides[0] == sizeof(int64_t)
            ready = ready and (where.format[0] == c"l" or where.format[0] == c"q") and where.format[1] == 0
            if ready and <size_t>where.buf % sizeof(int64_t) == 0:
                self.bits_of(value, &one)
                self.add_to(&where, &one, 0)
                return True
        finally:
            PyBuffer_Release(&where)
        return False

    cdef int add_values(self, Py_buffer *where, object values) except -1:
        cdef Py_buffer what
        cdef uint64_t n = where.len // sizeof(int64_t), step
        PyObject_GetBuffer(values, &what, PyBUF_SIMPLE)
        try:
            step = 0 if what.len == self.itemsize else 1
            if step == 1 and <uint64_t>what.len != n * self.itemsize:
                raise ValueError(f"{what.len} bytes of values for {n} positions")
            self.add_to(where, what.buf, step)
        finally:
            PyBuffer_Release(&what)
        return 0

    cdef int add_to(self, Py_buffer *where, const void *values, uint64_t step) except -1:
        cdef uint64_t n = where.len // sizeof(int64_t)
        cdef uint64_t good = self.add_each(<const int64_t *>where.buf, n, values, step)
        if good < n:
            place = (<const int64_t *>where.buf)[good]
            raise IndexError(f"index {place} is out of bounds for axis 0 with size {self.count}")
        return 0

    cdef uint64_t add_each(self, const int64_t *indices, uint64_t n, const void *values, uint64_t step) except? 0:
        cdef Segment _mapped = self.segment    # kept in a local variable: another thread may close the array
        cdef sk_array_add_many add = self.adder()
        cdef uint64_t count = self.count, good
        cdef uint32_t itemsize = self.itemsize
        cdef void *data = self.data
        cdef void *sums = NULL
        cdef PrivateSegment private = self.private
        if private is not None and HAS_GIL and n <= PLAIN and private.atomic == 0:
            good = sk_array_check(indices, n, count)
            return add(data, count, indices, n, values, step, data) if good == n else good
        if n < QUICK:
            good = sk_array_check(indices, n, count)
            return add(data, count, indices, n, values, step, NULL) if good == n else good
        if HAS_GIL and private is not None:
            private.atomic += 1
        with nogil:
            good = sk_array_check(indices, n, count)
            if good == n:
                if n // DENSE >= count and count * itemsize <= OWN:
                    sums = PyMem_RawCalloc(count, itemsize)
                good = add(data, count, indices, n, values, step, sums)
                PyMem_RawFree(sums)
        if HAS_GIL and private is not None:
            private.atomic -= 1
        return good

    cdef sk_array_add_many adder(self) noexcept:
        if self.number == INT64 or self.number == UINT64:
            return sk_array_add_many_i64
        if self.number == FLOAT64:
            return sk_array_add_many_f64
        if self.number == FLOAT32:
            return sk_array_add_many_f32
        if self.number == INT32 or self.number == UINT32:
            return sk_array_add_many_i32
        if self.number == INT16 or self.number == UINT16:
            return sk_array_add_many_i16
        return sk_array_add_many_i8


cdef int64_t to_signed(object value, int64_t lowest, int64_t highest) except? -1:
    """Return the value as an integer within bounds. Raises TypeError, OverflowError."""
    cdef int overflow = 0
    cdef int64_t word
    if type(value) is not int:
        value = operator.index(value)
    word = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or not lowest <= word <= highest:
        raise OverflowError(f"not from {lowest} to {highest}: {value}")
    return word


def fold(positions, indices, length, axis):
    """Extend flat `positions` by the indices of one axis; both are int64 and contiguous. Raises IndexError, after which
    only some of the positions are extended."""
    cdef Py_buffer there, here
    cdef uint64_t n, good, along = length
    PyObject_GetBuffer(positions, &there, PyBUF_SIMPLE)
    try:
        PyObject_GetBuffer(indices, &here, PyBUF_SIMPLE)
        try:
            n = min(there.len, here.len) // sizeof(int64_t)
            with nogil:
                good = sk_array_fold(<int64_t *>there.buf, <const int64_t *>here.buf, n, along)
            if good < n:
                place = (<const int64_t *>here.buf)[good]
                raise IndexError(f"index {place} is out of bounds for axis {axis} with size {length}")
        finally:
            PyBuffer_Release(&here)
    finally:
        PyBuffer_Release(&there)
