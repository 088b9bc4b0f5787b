"""How Python objects lie in a record: kinds, encoding, decoding."""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "sk_ring.h" nogil:
    ctypedef struct sk_part:
        const void *at
        uint64_t len


cdef enum Kind:
    KIND_NONE = 0
    KIND_TRUE = 1
    KIND_FALSE = 2
    KIND_INT = 3          # 8 bytes, little-endian
    KIND_FLOAT = 4        # 8 bytes
    KIND_BYTES = 5
    KIND_STR = 6          # UTF-8
    KIND_ARRAY = 7        # array head, data
    KIND_PICKLE = 8       # protocol 5
    KIND_PICKLE_OOB = 9   # buffer table, pickle, buffers


cdef class Parcel:
    """An encoded item: parts to be gathered, and whatever keeps their memory alive."""

    cdef sk_part one[2]
    cdef sk_part *parts      # `one`, or more from the heap
    cdef uint32_t n
    cdef uint32_t kind
    cdef uint64_t word       # the bytes of an int or a float
    cdef list kept           # objects that own the memory
    cdef int put_simple(self, object item) except -1
    cdef int put_array(self, object item) except -1
    cdef int put_pickle(self, object item) except -1
    cdef int part(self, object owner) except -1


cdef Parcel encode(object item)
cdef object decode(uint32_t kind, const char *at, uint64_t size)
cdef object array_for(const char *head, uint64_t have, uint64_t payload, uint64_t *skip)
cdef object unpickle_oob(object raw)
cdef int corrupt() except -1
