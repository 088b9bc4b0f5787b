/* The one hashing header that uses Python objects: spans of a list's items in a single pass.
 *
 * Only the Cython modules include it; the other hashing files do not use Python.h.
 */
#ifndef SK_GATHER_H
#define SK_GATHER_H

#include <Python.h>

#include "sk_hash.h"

#ifdef Py_GIL_DISABLED
#define SK_LIST_CAN_CHANGE 1     /* another thread may change a list while we read it: read a copy */
#else
#define SK_LIST_CAN_CHANGE 0
#endif

#define SK_VIEWS_A_BLOCK 64

/* Held buffers. The Py_buffers must not move, because an exporter may point into them. */
typedef struct sk_view_block {
    struct sk_view_block *next;
    int used;
    Py_buffer views[SK_VIEWS_A_BLOCK];
} sk_view_block;

/* The data of a bytes object or of ASCII text, without a call; 0 for other objects. */
static inline int sk_plain_span(PyObject *item, sk_span *span) {
    if (PyBytes_Check(item)) {
        span->data = (const uint8_t *)PyBytes_AS_STRING(item);
        span->size = (size_t)PyBytes_GET_SIZE(item);
        return 1;
    }
    if (PyUnicode_Check(item) && PyUnicode_IS_COMPACT_ASCII(item)) {
        span->data = (const uint8_t *)PyUnicode_DATA(item);
        span->size = (size_t)PyUnicode_GET_LENGTH(item);
        return 1;
    }
    return 0;
}

#define SK_OBJECTS_AHEAD 8

/* Spans of items [start, count) up to the first that is not plain. Returns the index of that item, or `count`. With
 * `held`, it takes the references in the same pass, because the first access to an object is what costs time. */
static inline Py_ssize_t sk_plain_spans(PyObject **items, Py_ssize_t start, Py_ssize_t count,
                                        sk_span *spans, PyObject **held) {
    Py_ssize_t i = start;
    for (; i < count; i++) {
        if (i + SK_OBJECTS_AHEAD < count) __builtin_prefetch(items[i + SK_OBJECTS_AHEAD], 1);
        if (!sk_plain_span(items[i], &spans[i])) break;
        if (held) held[i] = Py_NewRef(items[i]);
    }
    return i;
}

static inline void sk_release(PyObject **held, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i + SK_OBJECTS_AHEAD < count) __builtin_prefetch(held[i + SK_OBJECTS_AHEAD], 1);
        Py_DECREF(held[i]);
    }
}

/* A list of `count` digests of `size` bytes each, as bytes objects or, with `hex`, as str. */
static inline PyObject *sk_digest_list(const uint8_t *digests, Py_ssize_t count, Py_ssize_t size, int hex) {
    static const char DIGITS[] = "0123456789abcdef";
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++, digests += size) {
        PyObject *item = hex ? PyUnicode_New(2 * size, 127) : PyBytes_FromStringAndSize((const char *)digests, size);
        if (!item) {
            Py_CLEAR(list);
            break;
        }
        if (hex) {
            Py_UCS1 *text = PyUnicode_1BYTE_DATA(item);
            for (Py_ssize_t k = 0; k < size; k++) {
                text[2 * k] = (Py_UCS1)DIGITS[digests[k] >> 4];
                text[2 * k + 1] = (Py_UCS1)DIGITS[digests[k] & 15];
            }
        }
        PyList_SET_ITEM(list, i, item);
    }
    return list;
}

#endif
