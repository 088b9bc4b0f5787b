/* The first bytes of every segment: what it is, how it was made, and a check sum over both.
 *
 *   offset        what                                                written by
 *   0             sk_header: kind, geometry, check sum; magic last     the creator, once, before the file has a name
 *   SK_SEATS_AT   seat table, `seats` entries of 16 bytes             whoever holds the seat's lock byte
 *   meta          the structure's own description (dtype, names)     the creator, once
 *   body          the structure                                      its kernel */
#ifndef SK_HEADER_H
#define SK_HEADER_H

#include <stddef.h>
#include <string.h>

#include "sk_seat.h"

#define SK_MAGIC 0x32544b4445524853u /* "SHREDKT2" */
#define SK_LAYOUT 1u
#define SK_SEATS_AT 256u
#define SK_PERSIST 1u /* flag: lives until it is unlinked */
#define SK_PAGE 4096u
#define SK_PARAMS 6
#define SK_SMALLEST SK_PAGE
#define SK_LARGEST SK_BYTES

typedef struct sk_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t kind;             /* which structure; segments.py knows the names */
    uint32_t flags;            /* SK_PERSIST */
    uint32_t seats;
    uint64_t size;             /* bytes at birth; the file never shrinks */
    uint64_t meta, meta_len;   /* where the description is */
    uint64_t body;             /* where the structure is */
    uint64_t param[SK_PARAMS]; /* what the structure was made with */
    uint64_t created_ns;       /* wall clock */
    uint64_t check;            /* over all of the above but the magic, and the description */
} sk_header;
_Static_assert(sizeof(sk_header) <= SK_SEATS_AT, "the seat table comes after the header");

static inline uint64_t sk_round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static inline uint64_t sk_fnv(uint64_t sum, const void *bytes, uint64_t len) {
    const unsigned char *p = bytes;
    for (uint64_t i = 0; i < len; i++) sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static inline uint64_t sk_header_check(const sk_header *h, const unsigned char *base) {
    uint64_t from = offsetof(sk_header, layout);
    uint64_t sum = sk_fnv(0xcbf29ce484222325u, (const char *)h + from, offsetof(sk_header, check) - from);
    return sk_fnv(sum, base + h->meta, h->meta_len);
}

/* Where the body of a segment with so many seats and so long a description begins. */
static inline uint64_t sk_body_at(uint32_t seats, uint64_t meta_len) {
    return sk_round_up(SK_SEATS_AT + (uint64_t)seats * sizeof(sk_seat_entry) + meta_len, SK_LINE);
}

/* Copy the header at `base` and check the copy; afterwards it can be relied on. */
static inline int sk_header_take(sk_header *h, const unsigned char *base, uint64_t file_size) {
    if (sk_load64_acquire((const uint64_t *)(const void *)base) != SK_MAGIC) return SK_FOREIGN;
    memcpy(h, base, sizeof *h);
    if (h->layout != SK_LAYOUT) return SK_FOREIGN;
    if (h->seats < 1 || h->seats > SK_SEATS_MAX || h->size > file_size) return SK_CORRUPT;
    if (h->meta != SK_SEATS_AT + (uint64_t)h->seats * sizeof(sk_seat_entry)) return SK_CORRUPT;
    if (h->meta > h->size || h->meta_len > h->size - h->meta) return SK_CORRUPT;
    if (h->body != sk_body_at(h->seats, h->meta_len) || h->body > h->size) return SK_CORRUPT;
    return h->check == sk_header_check(h, base) ? SK_OK : SK_CORRUPT;
}

#endif
