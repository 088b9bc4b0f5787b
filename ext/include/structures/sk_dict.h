/* A hash table of byte strings: readers take no lock, writers take one. Published bytes are not overwritten, with one
 * exception: a value of eight bytes by another, in one store.
 *
 *   offset  what                                                written by
 *   0       lock                                                writers
 *   4       damaged: 1 from a death to the end of its repair    under lock
 *   128     geometry: where the present region is               under lock; its store commits a rebuild
 *   256     flips: rebuilds and repairs so far                  under lock, after geometry
 *   384     tail, live, filled, live_bytes, born                under lock; hints that repair recomputes
 *   then    regions, each from a page of its own:  table of bucket words | arena of entries
 *
 *   bucket    63 ........ 38   37 ....... 0
 *             fingerprint      entry, in units of 16 bytes from the start of the arena; 0 empty, 1 deleted
 *   entry     sk_entry, then the key, `first` and the value, each padded to 8 bytes; in all a multiple of 16 bytes.
 *             The key is in its canonical form, which equal keys share. `first` is the key object with which the entry
 *             was first written, if the canonical form does not give it back; later writes over the entry keep it
 *   geometry  55 .. 48      47 .. 40      39 ...... 0
 *             arena log2    table log2    page of the file
 *
 * A writer appends an entry to the arena and then stores its bucket word: this store commits. A value of 8 bytes is
 * stored in place over a value of the same kind and size; this is one store too. If the arena or the table is full, the
 * writer copies the live entries to another region, except the one that it replaces. It writes the new entry there and
 * stores `geometry`, which commits rebuild and write together. A region is used again only after `flips` has changed. A
 * reader that finds `flips` changed at its end starts again; so no writer has reused the bytes that a reader keeps.
 *
 * Deaths. If a process dies in a write before the store of the bucket, the write never happened (its bytes are waste);
 * after the store it is done. Before the store of `geometry` the other region is waste. Between that store and `flips`
 * no process reuses the old region, because this needs the lock, and a process that inherits the lock first adds 1 to
 * `flips`. One pass over the table recomputes the hints. Until then the dict is `damaged`: the process that inherits
 * the lock may be unable to recompute (no room for a mapping), and must then free the lock. The memory of the old
 * region stays reserved for the next rebuild, because readers without a lock may still read it.
 * Probing is linear, after D. E. Knuth, The Art of Computer Programming 3, algorithm L. */
#ifndef SK_DICT_H
#define SK_DICT_H

#include <string.h>

#include "structures/sk_key_hash.h"
#include "core/sk_lock.h"
#include "core/sk_part.h"

#define SK_BUCKET_EMPTY 0u
#define SK_BUCKET_DELETED 1u
#define SK_ENTRY_UNIT 16u
#define SK_ENTRY_BITS 38u
#define SK_TABLE_LOG2_MIN 4u
#define SK_TABLE_LOG2_MAX 34u
#define SK_ARENA_LOG2_MIN 12u
#define SK_ARENA_LOG2_MAX 39u
#define SK_VALUE_BITS 40u /* the other bits of that word count the words of `first`: 128 MB */

typedef struct sk_dict {
    uint32_t lock;
    uint32_t damaged;
    unsigned char line0[SK_LINE - 8];
    uint64_t geometry;
    unsigned char line1[SK_LINE - 8];
    uint64_t flips;
    unsigned char line2[SK_LINE - 8];
    uint64_t tail;       /* first free byte of the arena */
    uint64_t live;       /* keys */
    uint64_t filled;     /* buckets that are not empty */
    uint64_t live_bytes; /* bytes of entries that a bucket refers to */
    uint64_t born;       /* the number of the next new key; iteration is in the order of these numbers */
    unsigned char line3[SK_LINE - 40];
} sk_dict;
_Static_assert(offsetof(sk_dict, damaged) == 4 && offsetof(sk_dict, flips) == 256, "diagram and struct agree");
_Static_assert(sizeof(sk_dict) == 512, "diagram and struct agree");

/* Written before the entry is published; afterwards only a value of 8 bytes changes. */
typedef struct sk_entry {
    uint64_t hash;
    uint64_t born;
    uint64_t key;   /* bytes, kind of the key << 48, kind of the value << 56 */
    uint64_t value; /* bytes; words of first << SK_VALUE_BITS */
} sk_entry;
_Static_assert(sizeof(sk_entry) == 32, "entries are part of the format");

/* header.param of a dict */
#define SK_DICT_FLOOR 0 /* the lowest offset of a region in the file */
#define SK_DICT_SEED 1  /* the first half of the seed of the hash */
#define SK_DICT_LOG2 2  /* log2 of the first table's buckets | log2 of the first arena's bytes << 8 */
#define SK_DICT_SEED2 3 /* the second half of the seed */

/* A region, mapped in this process. */
typedef struct sk_region {
    uint64_t *table;
    unsigned char *arena;
    uint64_t from, size, mask, room; /* size: of the whole; mask: buckets - 1; room: bytes of arena */
    uint32_t table_log2, arena_log2;
} sk_region;

/* A key, encoded and hashed. `first`, for writers: the key object, if the canonical form does not give it back. */
typedef struct sk_key {
    const void *at;
    uint64_t len, hash;
    uint32_t kind;
    sk_part first;
} sk_key;

static inline sk_dict *sk_dict_of(const sk_segment *s) { return sk_body_of(s); }
static inline uint64_t sk_dict_floor(const sk_segment *s) { return sk_header_of(s)->param[SK_DICT_FLOOR]; }

static inline uint64_t sk_pad8(uint64_t n) { return (n + 7) & ~(uint64_t)7; }
static inline uint64_t sk_entry_key_len(const sk_entry *e) { return e->key & 0xffffffffffffu; }
static inline uint32_t sk_entry_key_kind(const sk_entry *e) { return (uint32_t)(e->key >> 48) & 0xff; }
static inline uint32_t sk_entry_value_kind(const sk_entry *e) { return (uint32_t)(e->key >> 56); }
static inline uint64_t sk_entry_value_len(const sk_entry *e) { return e->value & (((uint64_t)1 << SK_VALUE_BITS) - 1); }
static inline uint64_t sk_entry_first_len(const sk_entry *e) { return e->value >> SK_VALUE_BITS << 3; }

/* Bytes of an entry, without and with the padding to a multiple of the unit. `first` is a multiple of 8. */
static inline uint64_t sk_entry_len(uint64_t key, uint64_t first, uint64_t value) {
    return sizeof(sk_entry) + sk_pad8(key) + first + sk_pad8(value);
}
static inline uint64_t sk_entry_bytes(uint64_t key, uint64_t first, uint64_t value) {
    return sk_round_up(sk_entry_len(key, first, value), SK_ENTRY_UNIT);
}
static inline uint64_t sk_entry_size(const sk_entry *e) {
    return sk_entry_bytes(sk_entry_key_len(e), sk_entry_first_len(e), sk_entry_value_len(e));
}

static inline uint64_t sk_bucket(uint64_t hash, uint64_t offset) {
    return hash >> SK_ENTRY_BITS << SK_ENTRY_BITS | offset / SK_ENTRY_UNIT;
}
static inline uint64_t sk_bucket_offset(uint64_t bucket) {
    return (bucket & (((uint64_t)1 << SK_ENTRY_BITS) - 1)) * SK_ENTRY_UNIT;
}
static inline bool sk_bucket_has(uint64_t bucket) {
    return sk_bucket_offset(bucket) > SK_BUCKET_DELETED * SK_ENTRY_UNIT;
}

/* --- copying bytes that another process may write: word by word, so that no word is torn ------------
 *
 * Longer ranges are copied by memcpy, which is faster (a look-up of 1 kB takes 180 ns, word by word 260). memcpy may
 * tear words, but no reader keeps a torn word: a reader that reads bytes while they are written finds afterwards that
 * `flips` has changed, and starts again. A value of 8 bytes, the only one that is overwritten in place, is too short
 * for memcpy. (ThreadSanitizer cannot know that. With a larger SK_BULK it checks more of the dict.) */
#ifndef SK_BULK
#define SK_BULK 64u
#endif

static inline uint64_t sk_bulk(uint64_t len) { return len < SK_BULK ? 0 : len & ~(uint64_t)7; }

SK_HOT static inline void sk_copy_out(void *to, const unsigned char *from, uint64_t len) {
    unsigned char *at = to;
    uint64_t bulk = sk_bulk(len);
    if (__builtin_expect(bulk > 0, 0)) {
        memcpy(at, from, bulk);
        at += bulk, from += bulk, len -= bulk;
    }
    for (; len >= 8; len -= 8, at += 8, from += 8) {
        uint64_t word = sk_load64_relaxed((const uint64_t *)(const void *)from);
        memcpy(at, &word, 8);
    }
    if (len > 0 && (uintptr_t)from % 8 != 0) /* the rest of the word may lie beyond the end of the mapping */
        for (uint64_t i = 0; i < len; i++) at[i] = sk_load8_relaxed(from + i);
    else if (len > 0) {
        uint64_t word = sk_load64_relaxed((const uint64_t *)(const void *)from);
        memcpy(at, &word, len);
    }
}

static inline void sk_copy_in(unsigned char *to, const void *from, uint64_t len) {
    const unsigned char *at = from;
    uint64_t bulk = sk_bulk(len);
    if (__builtin_expect(bulk > 0, 0)) {
        memcpy(to, at, bulk);
        at += bulk, to += bulk, len -= bulk;
    }
    for (; len >= 8; len -= 8, at += 8, to += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sk_store64_relaxed((uint64_t *)(void *)to, word);
    }
    if (len > 0) {
        uint64_t word = 0;
        memcpy(&word, at, len);
        sk_store64_relaxed((uint64_t *)(void *)to, word);
    }
}

/* Copy parts in, one after the other. If a part ends within a word, the next part continues in that word. */
static inline void sk_copy_parts_in(unsigned char *to, const sk_part *parts, uint32_t n) {
    uint64_t word = 0, held = 0; /* bytes of a word that is not complete yet */
    for (uint32_t i = 0; i < n; i++) {
        const unsigned char *at = parts[i].at;
        uint64_t len = parts[i].len;
        if (held > 0) {
            uint64_t more = len < 8 - held ? len : 8 - held;
            if (more > 0) memcpy((unsigned char *)&word + held, at, more);
            at += more;
            len -= more;
            held += more;
            if (held < 8) continue;
            sk_store64_relaxed((uint64_t *)(void *)to, word);
            to += 8;
        }
        uint64_t whole = len & ~(uint64_t)7;
        sk_copy_in(to, at, whole);
        to += whole;
        held = len - whole;
        word = 0;
        if (held > 0) memcpy(&word, at + whole, held);
    }
    if (held > 0) sk_store64_relaxed((uint64_t *)(void *)to, word);
}

/* Copy between two places that other processes may read; whole words. */
static inline void sk_copy_across(unsigned char *to, const unsigned char *from, uint64_t len) {
    uint64_t at = sk_bulk(len);
    if (at > 0) memcpy(to, from, at);
    for (; at < len; at += 8)
        sk_store64_relaxed((uint64_t *)(void *)(to + at), sk_load64_relaxed((const uint64_t *)(const void *)(from + at)));
}

static inline bool sk_same_bytes(const unsigned char *there, const void *mine, uint64_t len) {
    const unsigned char *at = mine;
    for (; len >= 8; len -= 8, at += 8, there += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        if (sk_load64_relaxed((const uint64_t *)(const void *)there) != word) return false;
    }
    if (len == 0) return true;
    uint64_t word = 0;
    memcpy(&word, at, len);
    return sk_load64_relaxed((const uint64_t *)(const void *)there) == word; /* the padding is zero */
}

/* --- regions ------------------------------------------------------------------------------------------ */

static inline uint64_t sk_region_geometry(uint64_t from, uint32_t table_log2, uint32_t arena_log2) {
    return from / SK_PAGE | (uint64_t)table_log2 << 40 | (uint64_t)arena_log2 << 48;
}

static inline uint64_t sk_region_size(uint32_t table_log2, uint32_t arena_log2) {
    return sk_round_up(((uint64_t)8 << table_log2) + ((uint64_t)1 << arena_log2), SK_PAGE);
}

/* The region that a geometry word describes, bounds-checked and mapped. */
static inline int sk_region_of(sk_segment *s, uint64_t geometry, sk_region *r) {
    r->from = (geometry & (((uint64_t)1 << 40) - 1)) * SK_PAGE;
    r->table_log2 = (uint32_t)(geometry >> 40) & 0xff;
    r->arena_log2 = (uint32_t)(geometry >> 48);
    if (r->table_log2 < SK_TABLE_LOG2_MIN || r->table_log2 > SK_TABLE_LOG2_MAX) return SK_CORRUPT;
    if (r->arena_log2 < SK_ARENA_LOG2_MIN || r->arena_log2 > SK_ARENA_LOG2_MAX) return SK_CORRUPT;
    if (r->from < sk_dict_floor(s) || r->from > SK_LARGEST) return SK_CORRUPT;
    r->size = sk_region_size(r->table_log2, r->arena_log2);
    r->mask = ((uint64_t)1 << r->table_log2) - 1;
    r->room = (uint64_t)1 << r->arena_log2;
    unsigned char *base;
    int rc = sk_segment_reach(s, r->from + r->size, &base);
    if (rc != SK_OK) return rc;
    r->table = (uint64_t *)(void *)(base + r->from);
    r->arena = base + r->from + ((uint64_t)8 << r->table_log2);
    return SK_OK;
}

/* Copy the fixed part of the entry that a bucket refers to. SK_CORRUPT: the entry is not within the arena. */
static inline int sk_entry_at(const sk_region *r, uint64_t bucket, sk_entry *e) {
    uint64_t offset = sk_bucket_offset(bucket);
    if (offset > r->room - sizeof(sk_entry)) return SK_CORRUPT;
    sk_copy_out(e, r->arena + offset, sizeof *e);
    uint64_t left = r->room - offset - sizeof(sk_entry), before = sk_pad8(sk_entry_key_len(e)) + sk_entry_first_len(e);
    if (before > left || sk_entry_value_len(e) > left - before) return SK_CORRUPT;
    return SK_OK;
}

static inline unsigned char *sk_entry_key_at(const sk_region *r, uint64_t bucket) {
    return r->arena + sk_bucket_offset(bucket) + sizeof(sk_entry);
}
static inline unsigned char *sk_entry_first_at(const sk_region *r, uint64_t bucket, const sk_entry *e) {
    return sk_entry_key_at(r, bucket) + sk_pad8(sk_entry_key_len(e));
}
static inline unsigned char *sk_entry_value_at(const sk_region *r, uint64_t bucket, const sk_entry *e) {
    return sk_entry_first_at(r, bucket, e) + sk_entry_first_len(e);
}

/* Where a key is: its bucket and entry; after SK_EMPTY, the bucket for a new entry. SK_CORRUPT is certain only if
 * `flips` did not change. */
typedef struct sk_place {
    uint64_t i;      /* the index of the bucket */
    uint64_t bucket; /* its value */
    sk_entry entry;
} sk_place;

/* The version of a value that a lookup found. `flips` and `bucket` identify it, and for a value of 8 bytes, which may
 * be overwritten in place, also the value itself: `word`. */
typedef struct sk_hit {
    uint64_t flips, bucket, len, word;
    uint32_t kind;
} sk_hit;

static inline int sk_dict_find(const sk_region *r, const sk_key *key, sk_place *place) {
    bool reusable = false;
    uint64_t i = key->hash & r->mask, reuse = 0;
    for (uint64_t n = 0; n <= r->mask; n++, i = (i + 1) & r->mask) {
        uint64_t bucket = sk_load64_acquire(&r->table[i]); /* A6: pairs with R6 */
        if (bucket == SK_BUCKET_EMPTY) {
            place->i = reusable ? reuse : i;
            place->bucket = reusable ? SK_BUCKET_DELETED : SK_BUCKET_EMPTY;
            return SK_EMPTY;
        }
        if (bucket == SK_BUCKET_DELETED) {
            if (!reusable) reuse = i;
            reusable = true;
            continue;
        }
        if ((bucket ^ key->hash) >> SK_ENTRY_BITS != 0) continue;
        int rc = sk_entry_at(r, bucket, &place->entry);
        if (rc != SK_OK) return rc;
        const sk_entry *e = &place->entry;
        if (e->hash != key->hash || sk_entry_key_len(e) != key->len || sk_entry_key_kind(e) != key->kind) continue;
        if (!sk_same_bytes(sk_entry_key_at(r, bucket), key->at, key->len)) continue;
        place->i = i;
        place->bucket = bucket;
        return SK_OK;
    }
    return SK_CORRUPT; /* a table always has an empty bucket */
}

#endif
