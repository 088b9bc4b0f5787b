# cython: language_level=3
"""Encode Python objects as records and decode them.

`None bool int float bytes str` and NumPy arrays of plain dtypes have their own forms. Everything else, including
instances of subclasses, is pickled with protocol 5, and its large buffers are stored beside the pickle, not in it
(PEP 574).
"""

import pickle
import struct

import numpy as np

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from sharedkit._core.segment cimport SK_CORRUPT, Handle, refuse


cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char *at, Py_ssize_t size, const char *errors)

cdef object ndarray = np.ndarray
cdef object empty = np.empty
cdef object loads = pickle.loads
cdef object dumps = pickle.dumps
cdef str PLAIN = "biufcSUmM?"    # dtype kinds that their `str` describes in full
cdef uint64_t ALIGN = 64         # of array data and of buffers within a payload
cdef bytes PADDING = bytes(64)
cdef object ARRAY_HEAD = struct.Struct("<HBB4x")    # bytes of head, ndim, Fortran order; then the shape, then dtype.str
cdef object OOB_COUNT = struct.Struct("<QQ")        # buffers, bytes of pickle; then bytes and read-only flag of each


cdef int corrupt(object whose) except -1:
    """Raise the CorruptSegmentError of a payload that contradicts itself. `whose`: its Segment or Handle."""
    return refuse(SK_CORRUPT, 0, (<Handle>whose).segment if isinstance(whose, Handle) else whose)


cdef Parcel encode(object item):
    """Return the parts of an item that is not `plain`. Raises what pickling raises."""
    cdef Parcel parcel = Parcel.__new__(Parcel)
    parcel.parts = parcel.few
    if type(item) is ndarray and item.dtype.kind in PLAIN and item.dtype.metadata is None:
        parcel.put_array(item)
    else:
        parcel.put_pickle(item)
    return parcel


cdef class Parcel:

    def __dealloc__(self):
        if self.parts is not self.few:
            PyMem_Free(self.parts)

    cdef int part(self, object owner) except -1:
        """Append the contiguous bytes of `owner`, and keep a reference to it."""
        cdef Py_buffer view
        PyObject_GetBuffer(owner, &view, PyBUF_SIMPLE)
        self.parts[self.n].at = view.buf
        self.parts[self.n].len = view.len
        self.n += 1
        PyBuffer_Release(&view)    # `kept` holds an export of it
        self.kept.append(owner)
        return 0

    cdef int put_array(self, object item) except -1:
        if not (item.flags.c_contiguous or item.flags.f_contiguous):
            item = np.ascontiguousarray(item)
        fortran = not item.flags.c_contiguous
        shape = item.shape
        told = item.dtype.str.encode()
        rows = struct.pack(f"<{len(shape)}Q", *shape) + told
        size = (ARRAY_HEAD.size + len(rows) + ALIGN - 1) // ALIGN * ALIGN
        head = (ARRAY_HEAD.pack(size, len(shape), fortran) + rows).ljust(size, b"\0")
        self.kind = KIND_ARRAY
        self.kept = []
        self.part(head)
        if item.nbytes:
            flat = item.reshape(-1, order="F" if fortran else "C")    # no copy: contiguous
            self.part(memoryview(flat.view("u1")))
        return 0

    cdef int put_pickle(self, object item) except -1:
        buffers = []
        cdef bytes body = dumps(item, protocol=5, buffer_callback=buffers.append)
        self.kept = [item]
        if not buffers:
            self.kind = KIND_PICKLE
            self.part(body)
            return 0
        self.kind = KIND_PICKLE_OOB
        views = [each.raw() for each in buffers]
        table = [OOB_COUNT.pack(len(views), len(body))]
        table += [OOB_COUNT.pack(view.nbytes, view.readonly) for view in views]
        self.parts = <sk_part *>PyMem_Malloc((2 * len(views) + 2) * sizeof(sk_part))
        if self.parts is NULL:
            self.parts = self.few
            raise MemoryError
        self.part(b"".join(table))
        self.part(body)
        cdef uint64_t size = self.parts[0].len + self.parts[1].len
        for view in views:
            self.part(PADDING[:-size % ALIGN])
            self.part(view)
            size += -size % ALIGN + <uint64_t>view.nbytes
        return 0


cdef object decode(uint32_t kind, const char *at, uint64_t size, object whose):
    """Return the object of a payload. `whose`: the Segment or Handle that has it.

    Raises CorruptSegmentError if kind and size disagree, and what unpickling raises."""
    cdef int64_t word
    cdef double real
    cdef uint64_t skip
    if kind == KIND_BYTES:
        return PyBytes_FromStringAndSize(at, size)
    if kind == KIND_INT and size == 8:
        memcpy(&word, at, 8)
        return word
    if kind == KIND_STR:
        return PyUnicode_DecodeUTF8(at, size, NULL)
    if kind == KIND_FLOAT and size == 8:
        memcpy(&real, at, 8)
        return real
    if kind <= KIND_FALSE and size == 0:
        return None if kind == KIND_NONE else kind == KIND_TRUE
    if kind == KIND_PICKLE:
        return loads(PyBytes_FromStringAndSize(at, size))
    if kind == KIND_ARRAY:
        array = array_for(at, size, size, &skip, whose)
        fill(array, at + skip, size - skip, whose)
        return array
    if kind == KIND_PICKLE_OOB:
        return unpickle_oob(bytearray(at[:size]), whose)
    corrupt(whose)


cdef int fill(object array, const char *at, uint64_t size, object whose) except -1:
    if size:
        flat = array.reshape(-1, order="A").view("u1")
        writable_copy(flat, at, size, whose)
    return 0


cdef int writable_copy(object flat, const char *at, uint64_t size, object whose) except -1:
    cdef Py_buffer view
    PyObject_GetBuffer(flat, &view, PyBUF_SIMPLE)
    if <uint64_t>view.len == size:
        memcpy(view.buf, at, size)
        PyBuffer_Release(&view)
        return 0
    PyBuffer_Release(&view)
    return corrupt(whose)


cdef tuple form_of(const char *head, uint64_t have, uint64_t payload, uint64_t *skip, object whose):
    """Return shape, dtype and whether the order is Fortran's, of the array in the payload whose first `have` bytes are
    at `head`; its data begins at *skip."""
    cdef uint64_t size, ndim
    if have < <uint64_t>ARRAY_HEAD.size:
        corrupt(whose)
    raw = head[:have]
    size, ndim, fortran = ARRAY_HEAD.unpack_from(raw)
    if size > have or ARRAY_HEAD.size + 8 * ndim > size:
        corrupt(whose)
    shape = struct.unpack_from(f"<{ndim}Q", raw, ARRAY_HEAD.size)
    told = raw[ARRAY_HEAD.size + 8 * ndim:size].rstrip(b"\0")
    try:
        dtype = np.dtype(told.decode("ascii"))
    except (TypeError, ValueError):
        corrupt(whose)
    wanted = dtype.itemsize
    for each in shape:
        wanted *= each
    if dtype.kind not in PLAIN or wanted != payload - size:
        corrupt(whose)
    skip[0] = size
    return shape, dtype, bool(fortran)


cdef object array_for(const char *head, uint64_t have, uint64_t payload, uint64_t *skip, object whose):
    """Return an empty array for the payload whose first `have` bytes are at `head`; its data begins at *skip."""
    shape, dtype, fortran = form_of(head, have, payload, skip, whose)
    return empty(shape, dtype, "F" if fortran else "C")


cdef object unpickle_oob(object raw, object whose):
    """Unpickle from a payload in memory of this process; the buffers stay in that memory."""
    view = memoryview(raw)
    if len(raw) < OOB_COUNT.size:
        corrupt(whose)
    count, body = OOB_COUNT.unpack_from(raw)
    table = OOB_COUNT.size * (1 + count)
    if table + body > len(raw):
        corrupt(whose)
    at = table + body
    buffers = []
    for i in range(count):
        size, readonly = OOB_COUNT.unpack_from(raw, OOB_COUNT.size * (1 + i))
        at += -at % ALIGN
        if at + size > len(raw):
            corrupt(whose)
        buffers.append(view[at:at + size].toreadonly() if readonly else view[at:at + size])
        at += size
    return loads(view[table:table + body], buffers=buffers)
