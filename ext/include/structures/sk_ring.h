/* Positions, records and the ring that contains them. No function here waits or commits.
 *
 *   position   63 ......... 32  31 .......... 0
 *              items so far     units so far      both wrap; differences are unsigned 32-bit subtractions
 *   unit       16 bytes; a record is a whole number of units and may run over the end of the ring to its start
 *   record     8 bytes of header, the payload, up to 15 bytes of slack
 *   header     63 .. 48  47 .. 40  39 ........ 0
 *              check     kind      payload bytes
 *   geometry   55 .. 32  31 ........ 0
 *              pages     origin        pages of the ring; units of the position where the present lap began
 *
 * The index of a unit in the ring is (its position - origin), or that less the ring's length if it is past the end. So
 * the ring may have any number of pages. Positions in use are less than two lengths past the origin. Before a producer
 * would put beyond that, it moves the origin on by one length, which leaves every unit at its place. One position word
 * holds items and units, so that one store commits both and they never disagree. */
#ifndef SK_RING_H
#define SK_RING_H

#include <string.h>

#include "core/sk_part.h"
#include "core/sk_stall.h"

#define SK_UNIT 16u
#define SK_RECORD_HEAD 8u
#define SK_RING_UNITS_MAX ((uint64_t)1 << 31) /* half the range of a 32-bit difference: 32 GiB */
#define SK_PAYLOAD_MAX (SK_RING_UNITS_MAX * SK_UNIT - SK_RECORD_HEAD)
#define SK_UNITS_PER_PAGE (SK_PAGE / SK_UNIT)

static inline uint64_t sk_position(uint32_t items, uint32_t units) { return (uint64_t)items << 32 | units; }
static inline uint32_t sk_items(uint64_t position) { return (uint32_t)(position >> 32); }
static inline uint32_t sk_units(uint64_t position) { return (uint32_t)position; }
static inline uint64_t sk_position_plus(uint64_t position, uint32_t items, uint32_t units) {
    return sk_position(sk_items(position) + items, sk_units(position) + units);
}

/* The half of a position word that changes with every commit; spinning waiters poll it. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "waiters watch the low half of a position");
static inline uint32_t *sk_units_word(uint64_t *position) { return (uint32_t *)(void *)position; }

static inline uint64_t sk_record_units(uint64_t payload) {
    return (payload + SK_RECORD_HEAD + SK_UNIT - 1) / SK_UNIT;
}

static inline uint64_t sk_record_head(uint64_t payload, uint32_t kind) {
    uint64_t told = payload | (uint64_t)kind << 40;
    return told | ((told ^ 0xa5a5a5a5a5a5a5a5u) * 0x9e3779b97f4a7c15u) >> 48 << 48; /* a zeroed unit is no record */
}
static inline uint64_t sk_record_payload(uint64_t head) { return head & (((uint64_t)1 << 40) - 1); }
static inline uint32_t sk_record_kind(uint64_t head) { return (uint32_t)(head >> 40) & 0xff; }
static inline bool sk_record_sound(uint64_t head) {
    return head == sk_record_head(sk_record_payload(head), sk_record_kind(head));
}

/* A ring, mapped in this process. */
typedef struct sk_ring {
    unsigned char *at;
    uint32_t units;
    uint32_t origin;
} sk_ring;

static inline uint64_t sk_ring_bytes(const sk_ring *r) { return (uint64_t)r->units * SK_UNIT; }

/* The index of a unit in the ring, for a position less than two lengths past the origin. */
static inline uint32_t sk_ring_index(const sk_ring *r, uint32_t unit) {
    uint32_t past = unit - r->origin;
    return past < r->units ? past : past - r->units;
}
static inline unsigned char *sk_ring_at(const sk_ring *r, uint32_t unit) {
    return r->at + (uint64_t)sk_ring_index(r, unit) * SK_UNIT;
}

/* Whether head and tail are within one length of each other, and close enough to the origin for sk_ring_index. */
static inline bool sk_ring_spans(const sk_ring *r, uint32_t head, uint32_t tail) {
    uint32_t past = tail - r->origin, used = tail - head;
    return past < 2 * (uint64_t)r->units && used <= past && used <= r->units;
}

static inline uint64_t sk_geometry(uint32_t units, uint32_t origin) {
    return (uint64_t)(units / SK_UNITS_PER_PAGE) << 32 | origin;
}
static inline uint64_t sk_geometry_units(uint64_t geometry) { return (geometry >> 32) * SK_UNITS_PER_PAGE; }

/* The ring that a geometry word describes, at offset `from` of the file, bounds-checked and mapped. */
SK_HOT static inline int sk_ring_of(sk_segment *s, uint64_t geometry, uint64_t from, sk_ring *r) {
    uint64_t units = sk_geometry_units(geometry);
    if (units == 0 || units > SK_RING_UNITS_MAX) return SK_CORRUPT;
    r->units = (uint32_t)units;
    r->origin = (uint32_t)geometry;
    unsigned char *base;
    int rc = sk_segment_reach(s, from + sk_ring_bytes(r), &base);
    if (rc == SK_OK) r->at = base + from;
    return rc;
}

/* Copy bytes to or from the ring, `offset` bytes after the beginning of unit `unit`; at most once around the ring. */
static inline void sk_ring_write(const sk_ring *r, uint32_t unit, uint64_t offset, const void *from, uint64_t len) {
    uint64_t size = sk_ring_bytes(r), at = (uint64_t)sk_ring_index(r, unit) * SK_UNIT + offset;
    if (at >= size) at -= size;
    uint64_t first = len <= size - at ? len : size - at;
    if (first > 0) memcpy(r->at + at, from, first);
    if (len > first) memcpy(r->at, (const char *)from + first, len - first);
}

static inline void sk_ring_read(const sk_ring *r, uint32_t unit, uint64_t offset, void *to, uint64_t len) {
    uint64_t size = sk_ring_bytes(r), at = (uint64_t)sk_ring_index(r, unit) * SK_UNIT + offset;
    if (at >= size) at -= size;
    uint64_t first = len <= size - at ? len : size - at;
    if (first > 0) memcpy(to, r->at + at, first);
    if (len > first) memcpy((char *)to + first, r->at, len - first);
}

/* Copy units within the ring; the two places do not overlap, and each may run over the end. Counts up both `moves` at
 * each step of a long copy. */
static inline void sk_ring_move(const sk_ring *r, uint32_t to, uint32_t from, uint64_t units, uint32_t *moves[2]) {
    while (units > 0) {
        uint64_t n = units, there = r->units - sk_ring_index(r, to), here = r->units - sk_ring_index(r, from);
        if (n > there) n = there;
        if (n > here) n = here;
        if (n > SK_STALL_COPY / SK_UNIT) n = SK_STALL_COPY / SK_UNIT;
        memcpy(sk_ring_at(r, to), sk_ring_at(r, from), n * SK_UNIT);
        for (int i = 0; i < 2; i++) sk_lock_moves(moves[i]);
        to += (uint32_t)n;
        from += (uint32_t)n;
        units -= n;
    }
}

/* A header never runs over the end of the ring: it fits in one unit. */
static inline uint64_t sk_ring_head_at(const sk_ring *r, uint32_t unit) {
    uint64_t head;
    memcpy(&head, sk_ring_at(r, unit), sizeof head);
    return head;
}

/* --- lengthening, in place ---------------------------------------------------------------------- */

/* The smallest number of units by which a ring must be lengthened so that the `used` units from `head` on stay in
 * order. Either the units at its end or those at its start move to the new part; no unit in use may be overwritten. */
static inline uint32_t sk_ring_stretch(const sk_ring *r, uint32_t head, uint32_t used) {
    uint32_t ending = r->units - sk_ring_index(r, head);
    if (used <= ending) return 0;
    return used - ending < ending ? used - ending : ending;
}

/* Bytes to copy within a ring: source and destination do not overlap. */
typedef struct sk_ring_copy {
    uint64_t from, to, len;
} sk_ring_copy;

/* `wide` is the ring `old` with more units behind: set its origin, and set *copy to the bytes that must be copied to
 * the new part. Copying them changes no byte of `old`. Returns false if the new part is too small; see
 * sk_ring_stretch. */
static inline bool sk_ring_lengthen(const sk_ring *old, sk_ring *wide, uint32_t head, uint32_t used, sk_ring_copy *copy) {
    uint32_t at = sk_ring_index(old, head), ending = old->units - at, added = wide->units - old->units;
    uint32_t starting = used > ending ? used - ending : 0;
    if (starting <= added && (starting <= ending || ending > added)) {
        *copy = (sk_ring_copy){0, sk_ring_bytes(old), (uint64_t)starting * SK_UNIT};
        wide->origin = head - at;
    } else if (ending <= added) {
        uint32_t to = wide->units - ending;
        *copy = (sk_ring_copy){(uint64_t)at * SK_UNIT, (uint64_t)to * SK_UNIT, (uint64_t)ending * SK_UNIT};
        wide->origin = head - to;
    } else return false;
    return true;
}

#endif
