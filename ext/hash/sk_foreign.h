/* Numbers in memory that somebody else may change while we look: another thread, or a process that has it mapped, too.
 *
 * A check of such a number says nothing about the next look at it. So nobody else looks: here each number is loaded once,
 * singly or many together, the copy is checked, and the copy is used. (The compiler may not load it again after a check:
 * therefore volatile, and the barrier.) Offsets become a span by sk_extent_cut, which gives none that reaches outside of what
 * they may point into, or many at once where sk_offsets_fit says the same of all.
 *
 * Contents need no such care: no kernel takes a length or an address from the bytes that it hashes. A message that
 * changes meanwhile has the digest of some mixture of its old and new bytes.
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

/* The copy of many; the compiler has to believe that it differs from what it was made of. */
static inline void sk_copy_foreign(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
    __asm__ volatile("" : : "r"(to) : "memory");
}

/* What offsets may point into; address and size are our own copies. */
typedef struct sk_extent {
    const uint8_t *data;
    size_t size;
} sk_extent;

/* The span from `from` to `to`, copies of two offsets; false, and no span, where it runs backwards or reaches outside. */
static inline bool sk_extent_cut(sk_extent whole, int64_t from, int64_t to, sk_span *span) {
    if (from < 0 || from > to || (uint64_t)to > whole.size) return false;
    *span = (sk_span){whole.data + from, (size_t)(to - from)};
    return true;
}

/* Whether sk_extent_cut would cut all of `count` spans, number i from words[i] to words[i + 1]: copies of offsets.
 *
 * No comparisons, so that it is a few vector instructions: differences in wrapping arithmetic, of which the signs count. For
 * 0 <= from <= size < 2^63 either to - from or size - to is negative exactly if `to` is outside of from … size; and each
 * `from` is the `to` before it, so that the first wrong one is noticed. */
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
