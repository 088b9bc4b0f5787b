/* Where a batch's messages lie: one description a layout, so that columns are hashed without a span each.
 *
 * A source is only read; it can be cut anywhere, so threads share one. Offsets and views come from
 * outside and are checked by sk_source_first_bad before anything is hashed.
 */
#ifndef SK_SOURCE_H
#define SK_SOURCE_H

#include "sk_hash.h"

typedef enum sk_source_kind {
    SK_SPANS,        /* spans[i] */
    SK_STRIDED,      /* `size` bytes at data + i * stride */
    SK_TRIMMED,      /* the same without the NUL bytes at the end, as NumPy reads an `S` item */
    SK_OFFSETS_32,   /* data + offsets[i] … data + offsets[i + 1], signed 32-bit offsets */
    SK_OFFSETS_64,   /* the same with signed 64-bit offsets */
    SK_PAIRS_64,     /* data + offsets[2i] … data + offsets[2i + 1] */
    SK_VIEWS,        /* Arrow's 16-byte views, short ones inline, long ones in `buffers` */
} sk_source_kind;

typedef struct sk_source {
    sk_source_kind kind;
    size_t count;
    const uint8_t *data;
    ptrdiff_t stride;
    size_t size;                     /* of an item, or of `data` where offsets point into it */
    const sk_span *spans;
    const void *offsets;             /* unaligned is allowed */
    const uint8_t *const *buffers;   /* SK_VIEWS: the data buffers … */
    const int64_t *buffer_sizes;     /* … and their sizes */
    size_t buffer_count;
} sk_source;

/* The index of the first item that reaches outside its data or runs backwards; `count` when all are right. */
size_t sk_source_first_bad(const sk_source *source);

/* The first index whose bit in an Arrow validity bitmap is 0; `count` when all are 1. */
size_t sk_first_null(const uint8_t *bitmap, size_t offset, size_t count);

/* How many bytes items [start, start + count) have. */
size_t sk_source_bytes(const sk_source *source, size_t start, size_t count);

/* Item i. */
sk_span sk_source_item(const sk_source *source, size_t i);

/* Digests items [start, start + count) into `out`, the row of item `start`. */
void sk_source_hash(const sk_source *source, const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                    size_t start, size_t count, uint8_t *out);

#endif
