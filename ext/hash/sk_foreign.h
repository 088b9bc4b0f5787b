/* Numbers in memory that somebody else may change while we look: another thread, or a process that has it mapped, too.
 *
 * A check of such a number says nothing about the next look at it. So nobody else looks: here each number is loaded once
 * (volatile: the compiler may not load it again after a check), the copy is checked, and the copy is used. Offsets and
 * lengths become a span by sk_extent_cut alone, which gives none that reaches outside of what they may point into.
 *
 * Contents need no such care: no kernel takes a length or an address from the bytes that it hashes. A message that
 * changes meanwhile has the digest of some mixture of its old and new bytes.
 */
#ifndef SK_FOREIGN_H
#define SK_FOREIGN_H

#include "sk_hash.h"

/* Numbers of native byte order at any address. */
typedef int16_t __attribute__((aligned(1), may_alias)) sk_foreign_int16;
typedef int32_t __attribute__((aligned(1), may_alias)) sk_foreign_int32;
typedef int64_t __attribute__((aligned(1), may_alias)) sk_foreign_int64;

static inline int8_t sk_load_foreign_8(const void *place) { return *(const volatile int8_t *)place; }
static inline int16_t sk_load_foreign_16(const void *place) { return *(const volatile sk_foreign_int16 *)place; }
static inline int32_t sk_load_foreign_32(const void *place) { return *(const volatile sk_foreign_int32 *)place; }
static inline int64_t sk_load_foreign_64(const void *place) { return *(const volatile sk_foreign_int64 *)place; }

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

/* Whether bit `i` of an Arrow bitmap is set. */
static inline bool sk_load_foreign_bit(const uint8_t *bitmap, size_t i) {
    return (uint8_t)sk_load_foreign_8(bitmap + i / 8) >> i % 8 & 1;
}

#endif
