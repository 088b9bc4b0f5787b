/* Where the messages of a batch lie. Each kind of layout has its description, so that columns need no span for each
 * item.
 *
 * A source is only read, and can be divided anywhere, so threads share it. Its own fields are private memory. Offsets,
 * views and codes may change at any time. So they are read by these functions alone, which load each once, check the
 * copy and use the copy (sk_foreign.h). sk_source_check checks all of them before the hashing begins, so that a caller
 * that made a mistake gets an error and no digests. If one changes to a wrong value after that, the hashing ends at its
 * item.
 */
#ifndef SK_SOURCE_H
#define SK_SOURCE_H

#include "sk_hash.h"

typedef enum sk_source_kind {
    SK_SPANS,        /* spans[i], in private memory */
    SK_STRIDED,      /* `size` bytes at data + i * stride */
    SK_TRIMMED,      /* as SK_STRIDED, without the NUL bytes at the end, as NumPy reads an `S` item */
    SK_OFFSETS_32,   /* data + offsets[i] … data + offsets[i + 1], signed 32-bit offsets */
    SK_OFFSETS_64,   /* as SK_OFFSETS_32, with signed 64-bit offsets */
    SK_PAIRS_64,     /* data + offsets[2i] … data + offsets[2i + 1] */
    SK_VIEWS,        /* Arrow's 16-byte views, short ones inline, long ones in `buffers` */
    SK_CODES,        /* the integer at data + i * stride is an index into `size` values, whose digests are in `rows` */
} sk_source_kind;

typedef struct sk_source {
    sk_source_kind kind;
    size_t count;
    const uint8_t *data;
    ptrdiff_t stride;
    size_t size;                     /* of an item; with offsets, of `data`; SK_CODES: the number of values */
    const sk_span *spans;
    const void *offsets;             /* unaligned is allowed */
    const uint8_t *const *buffers;   /* SK_VIEWS: the data buffers … */
    const int64_t *buffer_sizes;     /* … and their sizes */
    size_t buffer_count;
    const uint8_t *validity;         /* Arrow bitmap of items (SK_CODES: of values), or NULL. A missing item reads as */
    size_t validity_start;           /* empty; a code of a missing value is wrong. validity_start: bit of the first */
    int code_width;                  /* SK_CODES: bytes of a code, negative if codes are signed */
    const uint8_t *rows;             /* SK_CODES: digests of the values, in private memory, set before the hashing */
} sk_source;

/* The first wrong item, as it was read. */
typedef struct sk_bad {
    size_t index;
    int64_t from, to;        /* the offsets of its span; SK_CODES: the code, in `from` */
    bool missing;            /* SK_CODES: the code is in range, but its value is missing */
} sk_bad;

/* Writes the spans of items [start, start + count) to `out`; all lie inside of their data. Returns how many were
 * written; if fewer than `count`, *bad describes the next item, which is wrong. Spans of SK_CODES are empty. */
size_t sk_source_read(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad);

/* Whether all items are right now; if not, *bad describes the first wrong one. */
bool sk_source_check(const sk_source *source, sk_bad *bad);

/* Writes the span of each code's value to `out`; `values` are one or more sources in order. For batches with fewer
 * codes than values, where not all values need to be hashed. Returns false if it stopped at a wrong item: *bad. */
bool sk_source_look_up(const sk_source *codes, const sk_source *values, sk_span *out, sk_bad *bad);

/* The first index whose bit in an Arrow validity bitmap is 0; `count` when all are 1. */
size_t sk_first_null(const uint8_t *bitmap, size_t offset, size_t count);

/* The number of bytes of items [start, start + count), up to the first wrong one. */
size_t sk_source_bytes(const sk_source *source, size_t start, size_t count);

/* Digests items [start, start + count) into rows; `out` is the row of item `start`. Returns false if it stopped at a
 * wrong item: *bad. */
bool sk_source_hash(const sk_source *source, const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                    size_t start, size_t count, uint8_t *out, sk_bad *bad);

#endif
