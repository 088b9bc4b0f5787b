"""The objects and memory that a batch of messages holds while it is hashed, and the bytes of a single object.

No hashing code is linked in here, because the choice of an instruction-set path is stored in one compiled module,
sharedkit.hashing._digests.
"""

from cpython.buffer cimport (
    PyBUF_FULL_RO,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyBuffer_ToContiguous,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_Clear
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset, strchr

from sharedkit.hashing._kernels cimport (
    PyUnicode_DATA,
    PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
    SK_UTF8_BAD,
    SK_VIEWS_A_BLOCK,
    sk_release,
    sk_source,
    sk_span,
    sk_utf8_size,
    sk_utf8_write,
    sk_view_block,
)


cdef class Held:
    """Sources and everything that must outlive their hashing; `sharedkit.hashing._digests.Batch` fills it."""

    def __cinit__(self):
        self.kept = []

    def __dealloc__(self):
        cdef size_t i
        cdef sk_view_block *block
        for i in range(self.array_count):
            if self.arrays[i].release is not NULL:
                self.arrays[i].release(self.arrays[i])
            free(self.arrays[i])
        free(self.arrays)
        while self.views is not NULL:
            block = self.views
            for i in range(<size_t>block.used):
                PyBuffer_Release(&block.views[i])
            self.views = block.next
            free(block)
        sk_release(self.held, self.held_count)
        free(self.held)
        for i in range(self.block_count):
            free(self.blocks[i])
        free(self.blocks)
        free(self.parts)

    cdef void *allocate(self, size_t size) except NULL:
        """Return memory that lives as long as the batch."""
        cdef void **grown = <void **>realloc(self.blocks, (self.block_count + 1) * sizeof(void *))
        if grown is NULL:
            raise MemoryError(f"{size} bytes for a batch of messages")
        self.blocks = grown
        cdef void *block = malloc(size if size else 1)
        if block is NULL:
            raise MemoryError(f"{size} bytes for a batch of messages")
        self.blocks[self.block_count] = block
        self.block_count += 1
        return block

    cdef uint8_t *text(self, size_t size) except NULL:
        """Return room for `size` bytes of text among other small texts."""
        if size > self.text_room:
            if size > 1 << 14:
                return <uint8_t *>self.allocate(size)
            self.text_at = <uint8_t *>self.allocate(1 << 16)
            self.text_room = 1 << 16
        cdef uint8_t *place = self.text_at
        self.text_at += size
        self.text_room -= size
        return place

    cdef Py_buffer *view(self, object item, int flags) except NULL:
        """Return a held buffer of `item`, at an address that does not move."""
        cdef sk_view_block *block = self.views
        if block is NULL or block.used == SK_VIEWS_A_BLOCK:
            block = <sk_view_block *>malloc(sizeof(sk_view_block))
            if block is NULL:
                raise MemoryError(f"{sizeof(sk_view_block)} bytes for a batch of messages")
            block.used = 0
            block.next = self.views
            self.views = block
        cdef Py_buffer *view = &block.views[block.used]
        PyObject_GetBuffer(item, view, flags)
        block.used += 1
        return view

    cdef sk_source *part(self) except NULL:
        """Return memory for one more source, filled with 0; the source counts once `add` is called."""
        cdef sk_source *grown = <sk_source *>realloc(self.parts, (self.part_count + 1) * sizeof(sk_source))
        if grown is NULL:
            raise MemoryError(f"{(self.part_count + 1) * sizeof(sk_source)} bytes for a batch of messages")
        self.parts = grown
        memset(&grown[self.part_count], 0, sizeof(sk_source))
        return &grown[self.part_count]

    cdef void add(self) noexcept:
        self.count += self.parts[self.part_count].count
        self.part_count += 1

    cdef int refuse_text(self, object text, size_t index) except -1:
        """Raise the exception that encoding `text` raises, with its index."""
        try:
            str.encode(text)
        except UnicodeEncodeError as error:
            error.add_note(f"in item {index}")
            raise
        raise ValueError(f"item {index} had no UTF-8 form when it was read, and has changed since")

    cdef int take(self, object item, Py_ssize_t index, sk_span *span) except -1:
        """Set the span of an item that is neither bytes nor ASCII text."""
        cdef size_t size
        cdef uint8_t *text
        cdef Py_buffer *view
        cdef int kind
        if isinstance(item, str):
            kind = PyUnicode_KIND(item)
            size = sk_utf8_size(PyUnicode_DATA(item), kind, <size_t>PyUnicode_GET_LENGTH(item))
            if size == SK_UTF8_BAD:
                self.refuse_text(item, <size_t>index)
            text = self.text(size)
            span.data = text
            span.size = sk_utf8_write(PyUnicode_DATA(item), kind, <size_t>PyUnicode_GET_LENGTH(item), text, size)
            if span.size != size:
                raise ValueError(f"item {index} changed while it was read")
            return 0
        if not PyObject_CheckBuffer(item):
            raise TypeError(f"item {index} is of type {type(item).__name__}; items are bytes-like objects or str")
        try:
            view = self.view(item, PyBUF_FULL_RO)
        except ValueError as error:
            raise TypeError(f"item {index} of type {type(item).__name__} has no bytes to hash: {error}") from error
        if view.format is not NULL and strchr(view.format, c"O") is not NULL:
            raise TypeError(f"item {index} of type {type(item).__name__} holds object references, not bytes")
        span.data, span.size = <const uint8_t *>view.buf, <size_t>view.len
        if not PyBuffer_IsContiguous(view, c"C"):
            text = self.text(<size_t>view.len)
            if PyBuffer_ToContiguous(text, view, view.len, c"C") != 0:
                PyErr_Clear()
                raise MemoryError(f"{view.len} bytes for item {index}")
            span.data = text
        return 0
