"""Declarations of the C hashing functions; ext/hash/*.h describes them."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "sk_hash.h" nogil:
    ctypedef struct sk_span:
        const uint8_t *data
        size_t size

    ctypedef struct sk_hash_key:
        uint64_t seed

    ctypedef struct sk_hash_path:
        const char *name

    ctypedef struct sk_hash_algorithm:
        const char *name
        unsigned int digest_size
        unsigned int word_size
        unsigned int seed_bits
        unsigned int key_size
        const sk_hash_path *const *paths

    ctypedef struct sk_hash_stream:
        const sk_hash_algorithm *algorithm

    const sk_hash_algorithm *sk_hash_find(const char *name) noexcept
    const sk_hash_algorithm *sk_hash_at(size_t index) noexcept
    const sk_hash_path *sk_hash_active(const sk_hash_algorithm *algorithm) noexcept
    bint sk_hash_force(const sk_hash_algorithm *algorithm, const char *path) noexcept
    bint sk_hash_runs_here(const sk_hash_path *path) noexcept
    void sk_hash_prepare(sk_hash_key *key, const sk_hash_algorithm *algorithm, uint64_t seed,
                         const uint8_t *secret) noexcept
    void sk_hash_start(sk_hash_stream *stream, const sk_hash_algorithm *algorithm, const sk_hash_key *key) noexcept
    void sk_hash_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) noexcept
    void sk_hash_finish(sk_hash_stream *stream, uint8_t *digest) noexcept


cdef extern from "sk_source.h" nogil:
    ctypedef enum sk_source_kind:
        SK_SPANS
        SK_STRIDED
        SK_TRIMMED
        SK_OFFSETS_64
        SK_PAIRS_64
        SK_CODES

    ctypedef struct sk_source:
        sk_source_kind kind
        size_t count
        const uint8_t *data
        ptrdiff_t stride
        size_t size
        const sk_span *spans
        const void *offsets
        int code_width
        const uint8_t *rows

    ctypedef struct sk_bad:
        size_t index
        int64_t start "from"
        int64_t stop "to"

    bint sk_source_check(const sk_source *source, sk_bad *bad) noexcept
    bint sk_source_look_up(const sk_source *codes, const sk_source *values, sk_span *out, sk_bad *bad) noexcept
    size_t sk_source_bytes(const sk_source *source, size_t start, size_t count) noexcept


cdef extern from "sk_parallel.h" nogil:
    bint sk_parallel_hash(const sk_source *sources, size_t source_count, const sk_hash_algorithm *algorithm,
                          const sk_hash_key *key, size_t threads, uint8_t *out, sk_bad *bad) noexcept


cdef extern from "sk_utf8.h" nogil:
    const size_t SK_UTF8_BAD
    size_t sk_utf8_size(const void *text, int width, size_t length) noexcept
    size_t sk_utf8_write(const void *text, int width, size_t length, uint8_t *out, size_t room) noexcept

    ctypedef struct sk_ucs4_column:
        const uint8_t *first
        ptrdiff_t stride
        size_t width
        size_t count
        size_t next
        uint8_t *at
        size_t room

    bint sk_ucs4_write(sk_ucs4_column *column, sk_span *spans) noexcept


cdef extern from "sk_numpy_strings.h" nogil:
    ctypedef struct sk_npy_column:
        void **api
        const void *dtype
        const uint8_t *first
        ptrdiff_t stride
        size_t count

    void *sk_npy_acquire(const sk_npy_column *column) noexcept
    void sk_npy_release(const sk_npy_column *column, void *allocator) noexcept
    size_t sk_npy_load(const sk_npy_column *column, void *allocator, sk_span *spans) noexcept


cdef extern from "sk_arrow.h" nogil:
    cdef struct ArrowSchema:
        const char *format
        ArrowSchema *dictionary
        void (*release)(ArrowSchema *) noexcept

    cdef struct ArrowArray:
        int64_t length
        int64_t offset
        int64_t n_buffers
        const void **buffers
        ArrowArray *dictionary
        void (*release)(ArrowArray *) noexcept

    cdef struct ArrowArrayStream:
        int (*get_schema)(ArrowArrayStream *, ArrowSchema *) noexcept
        int (*get_next)(ArrowArrayStream *, ArrowArray *) noexcept
        const char *(*get_last_error)(ArrowArrayStream *) noexcept
        void (*release)(ArrowArrayStream *) noexcept

    const size_t SK_ARROW_ROOM_UNKNOWN

    ctypedef enum sk_arrow_status:
        SK_ARROW_FINE
        SK_ARROW_UNSUPPORTED
        SK_ARROW_RELEASED
        SK_ARROW_NULL
        SK_ARROW_CORRUPT

    sk_arrow_status sk_arrow_source(const ArrowSchema *schema, const ArrowArray *array, size_t room, bint values,
                                    sk_source *source, sk_bad *bad) noexcept


cdef extern from "sk_gather.h":
    const bint SK_LIST_CAN_CHANGE
    const int SK_VIEWS_A_BLOCK

    ctypedef struct sk_view_block:
        sk_view_block *next
        int used
        Py_buffer views[64]

    Py_ssize_t sk_plain_spans(PyObject **items, Py_ssize_t start, Py_ssize_t count,
                              sk_span *spans, PyObject **held) noexcept
    void sk_release(PyObject **held, Py_ssize_t count) noexcept
    list sk_digest_list(const uint8_t *digests, Py_ssize_t count, Py_ssize_t size, bint hex)

    PyObject **PySequence_Fast_ITEMS(object sequence) noexcept
    Py_ssize_t PySequence_Fast_GET_SIZE(object sequence) noexcept
    int PyUnicode_KIND(object text) noexcept
    void *PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
