"""How Python objects are stored in a record: kinds, encoding, decoding."""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "core/sk_part.h" nogil:
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


cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) noexcept
    const char *PyBytes_AS_STRING(object o) noexcept
    Py_ssize_t PyBytes_GET_SIZE(object o) noexcept
    double PyFloat_AS_DOUBLE(object o) noexcept
    long long PyLong_AsLongLongAndOverflow(object o, int *overflow) noexcept
    bint PyBytes_CheckExact(object o) noexcept
    bint PyUnicode_CheckExact(object o) noexcept
    bint PyLong_CheckExact(object o) noexcept
    bint PyFloat_CheckExact(object o) noexcept
    void PyErr_Clear() noexcept


cdef struct Plain:
    sk_part part
    uint32_t n               # parts: 0 or 1
    uint32_t kind
    uint64_t word            # the bytes of an int or a float


cdef inline bint plain(object item, Plain *to) noexcept:
    """Return whether the item's type needs no encoding; `to` then borrows the item's bytes."""
    cdef Py_ssize_t size = 0
    cdef int overflow = 0
    to.n = 1
    if PyBytes_CheckExact(item):
        to.kind = KIND_BYTES
        to.part.at = PyBytes_AS_STRING(item)
        to.part.len = PyBytes_GET_SIZE(item)
        return True
    if PyUnicode_CheckExact(item):
        to.kind = KIND_STR
        to.part.at = PyUnicode_AsUTF8AndSize(item, &size)
        to.part.len = size
        if to.part.at is NULL:    # lone surrogates have no UTF-8: pickled
            PyErr_Clear()
            return False
        return True
    to.part.at = &to.word
    to.part.len = 8
    if PyLong_CheckExact(item):
        to.kind = KIND_INT
        to.word = <uint64_t>PyLong_AsLongLongAndOverflow(item, &overflow)
        return overflow == 0
    if PyFloat_CheckExact(item):
        to.kind = KIND_FLOAT
        (<double *>&to.word)[0] = PyFloat_AS_DOUBLE(item)
        return True
    to.n = 0
    to.kind = KIND_NONE if item is None else KIND_TRUE if item is True else KIND_FALSE
    return item is None or item is True or item is False


cdef class Parcel:
    """An item that needed encoding: its parts, in order, and the objects that keep their memory alive."""

    cdef sk_part few[2]
    cdef sk_part *parts      # `few`, or more from the heap
    cdef uint32_t n
    cdef uint32_t kind
    cdef list kept           # objects that own the memory
    cdef int put_array(self, object item) except -1
    cdef int put_pickle(self, object item) except -1
    cdef int part(self, object owner) except -1


cdef Parcel encode(object item)
cdef object decode(uint32_t kind, const char *at, uint64_t size, object whose)
cdef tuple form_of(const char *head, uint64_t have, uint64_t payload, uint64_t *skip, object whose)
cdef object array_for(const char *head, uint64_t have, uint64_t payload, uint64_t *skip, object whose)
cdef object unpickle_oob(object raw, object whose)
cdef int corrupt(object whose) except -1
