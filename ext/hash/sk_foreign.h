/* Numbers in memory that may change while we read them: another thread or another process may write them.
 *
 * A check of such a number says nothing about the next load of it. So these functions load each number once, one or
 * many at a time; the copy is checked, and only the copy is used. (The compiler must not load it again after a check,
 * hence volatile, and the barrier.) sk_extent_cut turns two offsets into a span, unless the span would reach outside of
 * its data. sk_offsets_fit_32 and _64 check many offsets in the same way at once.
 *
 * The contents of messages need no such care: no function takes a length or an address from the bytes that it hashes. A
 * message that changes meanwhile gets the digest of a mixture of its old and new bytes.
 */
#ifndef SK_FOREIGN_H
#define SK_FOREIGN_H

#include <string.h>

#include "sk_hash.h"

/* Numbers of native byte order at any address. */
typedef int16_t __attribute__((aligned(1), may_alias)) sk_foreign_int16;
typedef int32_t __attribute__((aligned(1), may_alias)) sk_foreign_int32;
typedef int64_t __attribute__((aligned(1), may_alias)) sk_foreign_int64;

static inline int8_t sk_load_foreign_8(const void *place) { return *(const volatile int8_t *)place; }
static inline int16_t sk_load_foreign_16(const void *place) { return *(const volatile sk_foreign_int16 *)place; }
static inline int32_t sk_load_foreign_32(const void *place) { return *(const volatile sk_foreign_int32 *)place; }
static inline int64_t sk_load_foreign_64(const void *place) { return *(const volatile sk_foreign_int64 *)place; }

/* Copy many numbers; the compiler must assume that the copy differs from the original. */
static inline void sk_copy_foreign(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
}

/* The data that offsets may point into; address and size are in private memory. */
typedef struct sk_extent {
    const uint8_t *data;
    size_t size;
} sk_extent;

/* Set *span to the bytes between two offsets, of which `from` and `to` are copies. Returns false, and leaves *span
 * unchanged, if they are in the wrong order or reach outside of `whole`. */
static inline bool sk_extent_cut(sk_extent whole, int64_t from, int64_t to, sk_span *span) {
    if (from < 0 || from > to || (uint64_t)to > whole.size) return false;
    *span = (sk_span){whole.data + from, (size_t)(to - from)};
    return true;
}

/* Whether sk_extent_cut would accept all `count` spans; span i goes from words[i] to words[i + 1], which are copies of
 * offsets.
 *
 * It uses the signs of differences in wrapping arithmetic and no comparisons, so that it compiles to a few vector
 * instructions. For 0 <= from <= size < 2^63, to - from or size - to is negative exactly if `to` is outside of
 * from … size. Each `from` is the `to` of the span before it, so the first wrong offset is noticed. */
#define SK_OFFSETS_FIT(name, word, unsigned_word)                                                                    \
    static inline __attribute__((always_inline)) bool name(const unsigned_word *words, size_t count, size_t size) {  \
        const unsigned_word most = (unsigned_word)-1 >> 1, end = size > most ? most : (unsigned_word)size;            \
        unsigned_word any = words[0] | (end - words[0]);                                                              \
        for (size_t i = 0; i < count; i++) any |= (words[i + 1] - words[i]) | (end - words[i + 1]);                    \
        return (word)any >= 0;                                                                                        \
    }
SK_OFFSETS_FIT(sk_offsets_fit_32, int32_t, uint32_t)
SK_OFFSETS_FIT(sk_offsets_fit_64, int64_t, uint64_t)

/* Whether bit `i` of an Arrow bitmap is set. */
static inline bool sk_load_foreign_bit(const uint8_t *bitmap, size_t i) {
    return (uint8_t)sk_load_foreign_8(bitmap + i / 8) >> i % 8 & 1;
}

#endif
