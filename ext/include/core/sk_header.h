/* The first bytes of every segment: its kind, the parameters of its creation, and check sums.
 *
 *   offset        what                                                written by
 *   0             sk_header: kind, geometry, check sums; magic last    the creator, once, before the file has a name
 *   SK_SEATS_AT   seat table, `seats` entries of 16 bytes             the process that holds the seat's lock byte
 *   meta          the structure's own description (dtype, names)     the creator, once
 *   body          the structure                                      see the structure's header
 *
 * A program reads header and description from the file, never from a mapping. It checks its copy and uses that copy.
 * Magic and layout stay at their offsets in every future layout. So a program that refuses a segment of another layout
 * can name both layouts. */
#ifndef SK_HEADER_H
#define SK_HEADER_H

#include <stddef.h>

#include "core/sk_seat.h"

#define SK_MAGIC 0x32544b4445524853u /* "SHREDKT2" */
#define SK_LAYOUT 3u
#define SK_SEATS_AT 256u
#define SK_PERSIST 1u /* flag: the segment lives until it is unlinked */
#define SK_PARAMS 6
#define SK_SMALLEST SK_PAGE
#define SK_LARGEST SK_BYTES
#define SK_META_MOST ((uint64_t)1 << 26)

typedef struct sk_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t kind;             /* which structure; segments.py knows the names */
    uint32_t flags;            /* SK_PERSIST */
    uint32_t seats;
    uint64_t size;             /* bytes at creation; the file never shrinks */
    uint64_t meta, meta_len;   /* where the description is */
    uint64_t body;             /* where the structure is */
    uint64_t param[SK_PARAMS]; /* parameters of the structure */
    uint64_t created_ns;       /* wall clock */
    uint64_t meta_check;       /* over the description */
    uint64_t unused[4];        /* 0 */
    uint64_t check;            /* over all fields above except the magic */
} sk_header;
_Static_assert(sizeof(sk_header) <= SK_SEATS_AT, "the seat table comes after the header");

static inline uint64_t sk_round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
#define SK_FNV 0xcbf29ce484222325u
static inline uint64_t sk_fnv(uint64_t sum, const void *bytes, uint64_t len) {
    const unsigned char *p = bytes;
    for (uint64_t i = 0; i < len; i++) sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static inline uint64_t sk_header_check(const sk_header *h) {
    uint64_t from = offsetof(sk_header, layout);
    return sk_fnv(SK_FNV, (const char *)h + from, offsetof(sk_header, check) - from);
}

/* The offset of the body in a segment with that many seats and a description of that length. */
static inline uint64_t sk_body_at(uint32_t seats, uint64_t meta_len) {
    return sk_round_up(SK_SEATS_AT + (uint64_t)seats * sizeof(sk_seat_entry) + meta_len, SK_LINE);
}

/* Check a private copy of a header: SK_OK, SK_FOREIGN, SK_OTHER_LAYOUT, SK_CORRUPT. */
static inline int sk_header_refuse(const sk_header *h, uint64_t file_size) {
    if (h->magic != SK_MAGIC) return SK_FOREIGN;
    if (h->layout != SK_LAYOUT) return SK_OTHER_LAYOUT;
    if (h->check != sk_header_check(h)) return SK_CORRUPT;
    if (h->seats < 1 || h->seats > SK_SEATS_MAX) return SK_CORRUPT;
    if (h->size < SK_SMALLEST || h->size > SK_LARGEST || h->size > file_size) return SK_CORRUPT;
    if (h->meta != SK_SEATS_AT + (uint64_t)h->seats * sizeof(sk_seat_entry) || h->meta_len > SK_META_MOST) return SK_CORRUPT;
    return h->body == sk_body_at(h->seats, h->meta_len) && h->body <= h->size ? SK_OK : SK_CORRUPT;
}

/* Read the header of an open file, and check it. */
static inline int sk_header_read(sk_header *h, int fd, uint64_t file_size) {
    if (!sk_file_peek(fd, h, sizeof *h, 0)) return SK_FOREIGN;
    return sk_header_refuse(h, file_size);
}

/* Check the description against its check sum: SK_OK, SK_CORRUPT. It is read in pieces, so that a wrong length costs no
 * memory. */
static inline int sk_header_read_meta(const sk_header *h, int fd) {
    unsigned char piece[SK_PAGE];
    uint64_t sum = SK_FNV;
    for (uint64_t done = 0; done < h->meta_len;) {
        uint64_t len = h->meta_len - done < sizeof piece ? h->meta_len - done : sizeof piece;
        if (!sk_file_peek(fd, piece, len, h->meta + done)) return SK_CORRUPT;
        sum = sk_fnv(sum, piece, len);
        done += len;
    }
    return sum == h->meta_check ? SK_OK : SK_CORRUPT;
}

#endif
