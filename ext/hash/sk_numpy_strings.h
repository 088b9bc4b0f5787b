/* Reading NumPy's StringDType: the strings, never the 16-byte descriptors that the array's memory holds.
 *
 * The access functions are slots of the C API table that `import_array()` fetches; slot numbers are ABI from
 * NumPy 2.0 on. Taken at run time, so that building needs no NumPy headers and NumPy 1, which has no
 * StringDType, still works.
 */
#ifndef SK_NUMPY_STRINGS_H
#define SK_NUMPY_STRINGS_H

#include "sk_hash.h"

enum { SK_NPY_STRING_LOAD = 313, SK_NPY_STRING_ACQUIRE = 316, SK_NPY_STRING_RELEASE = 318 };

typedef struct sk_npy_static_string {
    size_t size;
    const char *data;
} sk_npy_static_string;

/* Locks the strings of an array's dtype against changes until sk_npy_release. */
static inline void *sk_npy_acquire(void **api, const void *dtype) {
    return ((void *(*)(const void *))api[SK_NPY_STRING_ACQUIRE])(dtype);
}

static inline void sk_npy_release(void **api, void *allocator) {
    ((void (*)(void *))api[SK_NPY_STRING_RELEASE])(allocator);
}

/* Fills spans from packed strings; returns the index of the first missing one, or `count`. */
static inline size_t sk_npy_load(void **api, void *allocator, const uint8_t *first, ptrdiff_t stride,
                                 size_t count, sk_span *spans) {
    int (*load)(void *, const void *, sk_npy_static_string *) =
        (int (*)(void *, const void *, sk_npy_static_string *))api[SK_NPY_STRING_LOAD];
    for (size_t i = 0; i < count; i++, first += stride) {
        sk_npy_static_string text = {0, NULL};
        if (load(allocator, first, &text) != 0) return i;
        spans[i] = (sk_span){(const uint8_t *)text.data, text.size};
    }
    return count;
}

#endif
