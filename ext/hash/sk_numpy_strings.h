/* Reading the strings of NumPy's StringDType; the memory of the array itself has only 16-byte descriptors.
 *
 * The access functions are slots of the C API table that `import_array()` fetches; slot numbers are ABI from
 * NumPy 2.0 on. They are looked up at run time, so building needs no NumPy headers, and NumPy 1, which has no
 * StringDType, still works.
 *
 * The strings of an array move when one of them is written, so they are hashed under the lock of their allocator, as
 * NumPy itself reads them. NumPy may wait for that lock while it holds the GIL, so a thread that has the lock must not
 * wait for the GIL. All functions between sk_npy_acquire and sk_npy_release are called without the GIL.
 */
#ifndef SK_NUMPY_STRINGS_H
#define SK_NUMPY_STRINGS_H

#include "sk_hash.h"

enum { SK_NPY_STRING_LOAD = 313, SK_NPY_STRING_ACQUIRE = 316, SK_NPY_STRING_RELEASE = 318 };

typedef struct sk_npy_static_string {
    size_t size;
    const char *data;
} sk_npy_static_string;

/* A column of a StringDType array. */
typedef struct sk_npy_column {
    void **api;
    const void *dtype;
    const uint8_t *first;
    ptrdiff_t stride;
    size_t count;
} sk_npy_column;

static inline void *sk_npy_acquire(const sk_npy_column *column) {
    return ((void *(*)(const void *))column->api[SK_NPY_STRING_ACQUIRE])(column->dtype);
}

static inline void sk_npy_release(const sk_npy_column *column, void *allocator) {
    ((void (*)(void *))column->api[SK_NPY_STRING_RELEASE])(allocator);
}

/* Spans of all items, valid while the lock is held. Returns the index of the first missing or unreadable item, or
 * `count`. */
static inline size_t sk_npy_load(const sk_npy_column *column, void *allocator, sk_span *spans) {
    int (*load)(void *, const void *, sk_npy_static_string *) =
        (int (*)(void *, const void *, sk_npy_static_string *))column->api[SK_NPY_STRING_LOAD];
    const uint8_t *item = column->first;
    for (size_t i = 0; i < column->count; i++, item += column->stride) {
        sk_npy_static_string text = {0, NULL};
        if (load(allocator, item, &text) != 0) return i;
        spans[i] = (sk_span){(const uint8_t *)text.data, text.size};
    }
    return column->count;
}

#endif
