/* Where a batch's messages lie: one description a layout, so that columns are hashed without a span each.
 *
 * A source is only read; it can be cut anywhere, so threads share one. Its own fields are private memory. Offsets, views
 * and codes are not: they may change at any time, so they are read by sk_source_read alone, which loads each once, checks
 * it and uses the copy (sk_foreign.h). sk_source_check looks at all of them before anything is hashed, for the sake of who
 * made a mistake: nothing is written then. What changes after that ends the hashing at the item that it makes wrong.
 */
#ifndef SK_SOURCE_H
#define SK_SOURCE_H

#include "sk_hash.h"

typedef enum sk_source_kind {
    SK_SPANS,        /* spans[i], in private memory */
    SK_STRIDED,      /* `size` bytes at data + i * stride */
    SK_TRIMMED,      /* the same without the NUL bytes at the end, as NumPy reads an `S` item */
    SK_OFFSETS_32,   /* data + offsets[i] … data + offsets[i + 1], signed 32-bit offsets */
    SK_OFFSETS_64,   /* the same with signed 64-bit offsets */
    SK_PAIRS_64,     /* data + offsets[2i] … data + offsets[2i + 1] */
    SK_VIEWS,        /* Arrow's 16-byte views, short ones inline, long ones in `buffers` */
    SK_CODES,        /* the integer at data + i * stride is the index of one of `size` values, whose digests are in `rows` */
} sk_source_kind;

typedef struct sk_source {
    sk_source_kind kind;
    size_t count;
    const uint8_t *data;
    ptrdiff_t stride;
    size_t size;                     /* of an item; of `data` where offsets point into it; SK_CODES: how many values */
    const sk_span *spans;
    const void *offsets;             /* unaligned is allowed */
    const uint8_t *const *buffers;   /* SK_VIEWS: the data buffers … */
    const int64_t *buffer_sizes;     /* … and their sizes */
    size_t buffer_count;
    const uint8_t *validity;         /* Arrow bitmap of items, SK_CODES: of values, or NULL: a missing item reads as empty, … */
    size_t validity_start;           /* … and a code of a missing value is wrong; the bit of the first */
    int code_width;                  /* SK_CODES: bytes of a code, negative when it is signed */
    const uint8_t *rows;             /* SK_CODES: digests of the values in private memory, set before the hashing */
} sk_source;

/* The first item that is wrong: as read, once. */
typedef struct sk_bad {
    size_t index;
    int64_t from, to;        /* the offsets of its span; of a code, itself in `from` */
    bool missing;            /* a code that is right, of a value that is missing */
} sk_bad;

/* Copies items [start, start + count) to `out` as spans that lie inside of their data; returns how many, and where those
 * are fewer than `count` what is wrong with the next one. Spans of SK_CODES are empty. */
size_t sk_source_read(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad);

/* Whether all items are right now; else the first that is not. */
bool sk_source_check(const sk_source *source, sk_bad *bad);

/* Spans of each code's value, in `values` that follow one another: for less codes than values, which are not all hashed
 * then. False: up to the item in `bad`. */
bool sk_source_look_up(const sk_source *codes, const sk_source *values, sk_span *out, sk_bad *bad);

/* The first index whose bit in an Arrow validity bitmap is 0; `count` when all are 1. */
size_t sk_first_null(const uint8_t *bitmap, size_t offset, size_t count);

/* How many bytes items [start, start + count) have, those after a wrong one not counted. */
size_t sk_source_bytes(const sk_source *source, size_t start, size_t count);

/* Digests items [start, start + count) into `out`, the row of item `start`; false: up to the item in `bad`. */
bool sk_source_hash(const sk_source *source, const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                    size_t start, size_t count, uint8_t *out, sk_bad *bad);

#endif
