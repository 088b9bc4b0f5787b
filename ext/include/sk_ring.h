/* Positions, records and the ring that they lie in. Nothing here waits or commits.
 *
 *   position   63 ......... 32  31 .......... 0
 *              items so far     units so far      both wrap; differences are unsigned 32-bit subtractions
 *   unit       16 bytes; a record is a whole number of units and may run over the end of the ring to its start
 *   record     8 bytes of header, the payload, up to 15 bytes of slack
 *   header     63 .. 48  47 .. 40  39 ........ 0
 *              check     kind      payload bytes
 *   geometry   47 .. 40  39 ........ 0
 *              log2      page          how many units the ring has, and the page of the file where it starts
 *
 * One position word holds items and bytes, so that one store commits both and they never disagree. */
#ifndef SK_RING_H
#define SK_RING_H

#include <string.h>

#include "sk_lock.h"
#include "sk_part.h"

#define SK_UNIT 16u
#define SK_RECORD_HEAD 8u
#define SK_RING_LOG2_MIN 8u
#define SK_RING_LOG2_MAX 31u /* half of what a 32-bit difference can tell apart: 32 GiB */
#define SK_PAYLOAD_MAX (((uint64_t)1 << SK_RING_LOG2_MAX) * SK_UNIT - SK_RECORD_HEAD)

static inline uint64_t sk_position(uint32_t items, uint32_t units) { return (uint64_t)items << 32 | units; }
static inline uint32_t sk_items(uint64_t position) { return (uint32_t)(position >> 32); }
static inline uint32_t sk_units(uint64_t position) { return (uint32_t)position; }
static inline uint64_t sk_position_plus(uint64_t position, uint32_t items, uint32_t units) {
    return sk_position(sk_items(position) + items, sk_units(position) + units);
}

/* The half of a position word that changes with every commit: what sleepers sleep on. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "sleepers watch the low half of a position");
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
    uint64_t from; /* its place in the file */
    uint32_t log2;
    uint32_t mask;
} sk_ring;

static inline uint64_t sk_ring_units(const sk_ring *r) { return (uint64_t)r->mask + 1; }
static inline uint64_t sk_ring_bytes(const sk_ring *r) { return sk_ring_units(r) * SK_UNIT; }
static inline unsigned char *sk_ring_at(const sk_ring *r, uint32_t unit) {
    return r->at + (uint64_t)(unit & r->mask) * SK_UNIT;
}
static inline uint64_t sk_geometry(uint64_t from, uint32_t log2) { return from / SK_PAGE | (uint64_t)log2 << 40; }

/* The ring that a geometry word describes, bounds-checked and mapped. */
static inline int sk_ring_of(sk_segment *s, uint64_t geometry, uint64_t floor, sk_ring *r) {
    uint32_t log2 = (uint32_t)(geometry >> 40);
    r->from = (geometry & (((uint64_t)1 << 40) - 1)) * SK_PAGE;
    if (log2 < SK_RING_LOG2_MIN || log2 > SK_RING_LOG2_MAX || r->from < floor || r->from > SK_LARGEST) return SK_CORRUPT;
    r->log2 = log2;
    r->mask = (uint32_t)(((uint64_t)1 << log2) - 1);
    unsigned char *base;
    int rc = sk_segment_reach(s, r->from + sk_ring_bytes(r), &base);
    if (rc == SK_OK) r->at = base + r->from;
    return rc;
}

/* Copy bytes to or from the ring, `offset` bytes after unit `unit`; at most once around. */
static inline void sk_ring_write(const sk_ring *r, uint32_t unit, uint64_t offset, const void *from, uint64_t len) {
    uint64_t size = sk_ring_bytes(r), at = ((uint64_t)unit * SK_UNIT + offset) & (size - 1);
    uint64_t first = len <= size - at ? len : size - at;
    if (first > 0) memcpy(r->at + at, from, first);
    if (len > first) memcpy(r->at, (const char *)from + first, len - first);
}

static inline void sk_ring_read(const sk_ring *r, uint32_t unit, uint64_t offset, void *to, uint64_t len) {
    uint64_t size = sk_ring_bytes(r), at = ((uint64_t)unit * SK_UNIT + offset) & (size - 1);
    uint64_t first = len <= size - at ? len : size - at;
    if (first > 0) memcpy(to, r->at + at, first);
    if (len > first) memcpy((char *)to + first, r->at, len - first);
}

/* Headers never run over the end: a unit holds one. */
static inline uint64_t sk_ring_head_at(const sk_ring *r, uint32_t unit) {
    uint64_t head;
    memcpy(&head, sk_ring_at(r, unit), sizeof head);
    return head;
}

/* Copy the units [from, to) to the same positions of another ring. */
static inline void sk_ring_carry(const sk_ring *old, const sk_ring *wide, uint32_t from, uint32_t to) {
    while (from != to) {
        uint64_t left = (uint32_t)(to - from);
        uint64_t here = sk_ring_units(old) - (from & old->mask), there = sk_ring_units(wide) - (from & wide->mask);
        uint64_t span = left < here ? left : here;
        if (span > there) span = there;
        memcpy(sk_ring_at(wide, from), sk_ring_at(old, from), span * SK_UNIT);
        from += (uint32_t)span;
    }
}

#endif
