/* Writing to a dict, repairing it, rebuilding it in another region: see sk_dict.h for the layout and the reasoning. */
#ifndef SK_DICT_WRITE_H
#define SK_DICT_WRITE_H

#include "structures/sk_dict.h"

/* The condition for a write. */
enum sk_when {
    SK_ALWAYS = 0,
    SK_IF_MISSING = 1, /* write only if the key is missing; otherwise SK_EXISTS */
    SK_IF_SAME = 2,    /* write only over the version that a lookup found; otherwise SK_GONE */
};

/* Recompute the hints from the table. */
static inline int sk_dict_recount(sk_dict *d, const sk_region *r) {
    uint64_t live = 0, filled = 0, bytes = 0, tail = 2 * SK_ENTRY_UNIT, born = 0;
    for (uint64_t i = 0; i <= r->mask; i++) {
        uint64_t bucket = sk_load64_relaxed(&r->table[i]);
        filled += bucket != SK_BUCKET_EMPTY;
        if (!sk_bucket_has(bucket)) continue;
        sk_entry e;
        int rc = sk_entry_at(r, bucket, &e);
        if (rc != SK_OK) return rc;
        uint64_t size = sk_entry_size(&e), end = sk_bucket_offset(bucket) + size;
        live++;
        bytes += size;
        if (end > tail) tail = end;
        if (e.born >= born) born = e.born + 1;
    }
    sk_store64_release(&d->live, live);
    sk_store64_relaxed(&d->filled, filled);
    sk_store64_relaxed(&d->live_bytes, bytes);
    sk_store64_relaxed(&d->tail, tail);
    sk_store64_relaxed(&d->born, born);
    return SK_OK;
}

/* Count a rebuild or repair. The old region may be used again only after this. */
static inline void sk_dict_count_flip(sk_dict *d) { sk_add64_seq_cst(&d->flips, 1); /* R7: pairs with A7 */ }

/* Whether the hints are possible. Sizes are computed from them, so a wrong hint could demand all memory of the
 * machine. */
static inline bool sk_dict_hints_sound(const sk_dict *d, const sk_region *r) {
    uint64_t tail = sk_load64_relaxed(&d->tail), filled = sk_load64_relaxed(&d->filled);
    return tail <= r->room && filled <= r->mask + 1 && sk_load64_relaxed(&d->live) <= filled &&
           sk_load64_relaxed(&d->live_bytes) <= tail;
}

/* Take the lock, and repair after a death. SK_OK: the caller has the lock, and *r is the region; SK_CORRUPT; or the
 * result of sk_lock_take or sk_region_of. */
static inline int sk_dict_begin(sk_segment *s, sk_dict *d, uint64_t until, sk_region *r) {
    int rc = sk_lock_take(s, &d->lock, until);
    if (rc == SK_OWNER_DIED) sk_store32_relaxed(&d->damaged, 1);
    else if (rc != SK_OK) return rc;
    bool damaged = __builtin_expect(sk_load32_relaxed(&d->damaged) != 0, 0);
    if (damaged) sk_dict_count_flip(d);
    sk_fence_after_rmw(); /* R8: pairs with A8. A reader that sees bytes written under this lock also sees the
                           * flips that came before */
    rc = sk_region_of(s, sk_load64_relaxed(&d->geometry), r);
    if (rc == SK_OK && damaged && (rc = sk_dict_recount(d, r)) == SK_OK) sk_store32_relaxed(&d->damaged, 0);
    if (rc == SK_OK && !sk_dict_hints_sound(d, r)) rc = SK_CORRUPT;
    if (rc != SK_OK) sk_lock_give(&d->lock);
    return rc;
}

/* Repair after the death of a writer. If there is nothing to repair, it does not wait for a living writer. */
static inline int sk_dict_repair(sk_segment *s, uint64_t until) {
    sk_dict *d = sk_dict_of(s);
    sk_region r;
    if (s->seats.reads) return SK_OK; /* a copy has no table: its hints are what the dead left */
    uint32_t owner = sk_lock_owner(&d->lock);
    bool left_behind = owner != 0 && !sk_lives(s, owner);
    if (!left_behind && sk_load32_relaxed(&d->damaged) == 0) return SK_OK;
    int rc = sk_dict_begin(s, d, until, &r);
    if (rc == SK_OK) sk_lock_give(&d->lock);
    return rc;
}

/* --- rebuilding --------------------------------------------------------------------------------------- */

/* The value that a write stores, in parts. */
typedef struct sk_value {
    const sk_part *parts;
    uint64_t len; /* of all parts */
    uint32_t n, kind;
} sk_value;

/* One write in progress: the entry to publish, in the present region or in the one of a rebuild. */
typedef struct sk_write {
    const sk_key *key;
    const sk_value *value;
    uint64_t born, first, size; /* size: of the entry */
    const unsigned char *carried; /* `first` of the replaced entry; NULL: none, so key->first is used */
    uint64_t replaced;            /* bytes of the replaced entry, or 0 */
} sk_write;

static inline void sk_write_begin(sk_write *w, const sk_dict *d, const sk_region *r, const sk_key *key,
                                  const sk_value *value, const sk_place *place, bool there) {
    w->key = key;
    w->value = value;
    w->born = there ? place->entry.born : sk_load64_relaxed(&d->born);
    w->first = there ? sk_entry_first_len(&place->entry) : sk_pad8(key->first.len);
    w->carried = there ? sk_entry_first_at(r, place->bucket, &place->entry) : NULL;
    w->replaced = there ? sk_entry_size(&place->entry) : 0;
    w->size = sk_entry_bytes(key->len, w->first, value->len);
}

/* Write the entry to a place that no bucket refers to yet. */
static inline void sk_write_entry(const sk_write *w, unsigned char *to) {
    const sk_key *key = w->key;
    sk_entry e = {key->hash, w->born, key->len | (uint64_t)key->kind << 48 | (uint64_t)w->value->kind << 56,
                  w->value->len | w->first >> 3 << SK_VALUE_BITS};
    sk_copy_in(to, &e, sizeof e);
    to += sizeof e;
    sk_copy_in(to, key->at, key->len);
    to += sk_pad8(key->len);
    if (w->first > 0) {
        if (w->carried != NULL) sk_copy_across(to, w->carried, w->first);
        else sk_copy_in(to, key->first.at, key->first.len);
        to += w->first;
    }
    sk_copy_parts_in(to, w->value->parts, w->value->n);
}

/* Update the hints, except `tail`. `fresh`: the write fills a bucket that was empty. */
static inline void sk_write_count(const sk_write *w, sk_dict *d, bool fresh) {
    if (w->replaced == 0) {
        sk_store64_relaxed(&d->born, w->born + 1);
        sk_store64_release(&d->live, sk_load64_relaxed(&d->live) + 1);
    }
    if (fresh) sk_store64_relaxed(&d->filled, sk_load64_relaxed(&d->filled) + 1);
    sk_store64_relaxed(&d->live_bytes, sk_load64_relaxed(&d->live_bytes) + w->size - w->replaced);
}

/* The first empty bucket of a new region's table for this hash; more than the mask if none is empty. */
static inline uint64_t sk_dict_vacancy(const sk_region *r, uint64_t hash) {
    uint64_t at = hash & r->mask;
    for (uint64_t n = 0; n <= r->mask; n++, at = (at + 1) & r->mask) {
        if (sk_load64_relaxed(&r->table[at]) == SK_BUCKET_EMPTY) return at;
    }
    return r->mask + 1;
}

/* Zero the table of `new`; then, if `all`, copy the live entries of `old` to `new`, except the one in bucket
 * `without`. */
static inline int sk_dict_carry(const sk_region *old, const sk_region *new, bool all, uint64_t without, uint64_t *tail) {
    for (uint64_t i = 0; i <= new->mask; i++) sk_store64_relaxed(&new->table[i], SK_BUCKET_EMPTY);
    *tail = 2 * SK_ENTRY_UNIT; /* offsets 0 and 1 mean empty and deleted */
    for (uint64_t i = 0; all && i <= old->mask; i++) {
        uint64_t bucket = sk_load64_relaxed(&old->table[i]);
        if (!sk_bucket_has(bucket) || i == without) continue;
        sk_entry e;
        int rc = sk_entry_at(old, bucket, &e);
        if (rc != SK_OK) return rc;
        uint64_t size = sk_entry_size(&e), at = sk_dict_vacancy(new, e.hash);
        if (size > new->room - *tail || at > new->mask) return SK_CORRUPT;
        sk_copy_across(new->arena + *tail, old->arena + sk_bucket_offset(bucket),
                       sk_entry_len(sk_entry_key_len(&e), sk_entry_first_len(&e), sk_entry_value_len(&e)));
        sk_store64_relaxed(&new->table[at], sk_bucket(e.hash, *tail));
        *tail += size;
    }
    return SK_OK;
}

/* Find a region for `live` keys in `bytes` bytes that does not overlap the present one; reserve and map it. */
static inline int sk_dict_find_region(sk_segment *s, const sk_region *r, uint64_t live, uint64_t bytes, uint64_t *geometry,
                                      sk_region *wide) {
    uint32_t table = SK_TABLE_LOG2_MIN, arena = SK_ARENA_LOG2_MIN;
    while (table <= SK_TABLE_LOG2_MAX && ((uint64_t)1 << table) < 2 * (live + 1)) table++;
    /* Half of the arena is free after a rebuild; otherwise the next rebuild would come too soon. */
    while (arena <= SK_ARENA_LOG2_MAX && ((uint64_t)1 << arena) < 2 * (bytes + 2 * SK_ENTRY_UNIT)) arena++;
    if (table > SK_TABLE_LOG2_MAX || arena > SK_ARENA_LOG2_MAX) return sk_system(-ENOSPC);
    uint64_t size = sk_region_size(table, arena), from = sk_dict_floor(s);
    if (from + size > r->from) from = r->from + r->size; /* no room before the present region: go behind it */
    if (from + size > SK_LARGEST) return sk_system(-ENOSPC);
    /* All bytes of the file are reserved already, because a dict gives none back. To reserve them again would take
     * 0.1 us for each page. */
    uint64_t have = sk_load64_acquire(&s->view_len);
    if (from + size > have) {
        int rc = sk_segment_reserve(s, from > have ? from : have, from + size);
        if (rc != SK_OK) return rc;
    }
    *geometry = sk_region_geometry(from, table, arena);
    return sk_region_of(s, *geometry, wide);
}

/* Under the lock: copy all entries to a region that also has room for this write, and do the write there. Afterwards *r
 * is that region. `without`: the bucket of the replaced entry, or ~0. */
static inline int sk_dict_rebuild(sk_segment *s, sk_dict *d, const sk_write *w, uint64_t without, uint64_t until,
                                  sk_region *r) {
    if (until == 0) return SK_BUSY;
    uint64_t live = sk_load64_relaxed(&d->live) + (w->replaced == 0), geometry, tail;
    sk_region wide;
    int rc = sk_dict_find_region(s, r, live, sk_load64_relaxed(&d->live_bytes) - w->replaced + w->size, &geometry, &wide);
    if (rc == SK_OK) rc = sk_dict_carry(r, &wide, true, without, &tail);
    if (rc != SK_OK) return rc;
    uint64_t at = sk_dict_vacancy(&wide, w->key->hash);
    if (w->size > wide.room - tail || at > wide.mask) return SK_CORRUPT;
    sk_write_entry(w, wide.arena + tail);
    sk_store64_relaxed(&wide.table[at], sk_bucket(w->key->hash, tail));
    sk_store64_release(&d->geometry, geometry); /* commits the rebuild and the write */
    sk_dict_count_flip(d);
    sk_store64_relaxed(&d->tail, tail + w->size);
    sk_write_count(w, d, false);
    sk_store64_relaxed(&d->filled, live);
    *r = wide;
    return SK_OK;
}

/* --- one key ------------------------------------------------------------------------------------------ */

static inline bool sk_dict_has_room(const sk_dict *d, const sk_region *r, uint64_t need, bool fresh) {
    uint64_t filled = sk_load64_relaxed(&d->filled) + fresh;
    return need <= r->room - sk_load64_relaxed(&d->tail) && filled <= (r->mask + 1) - (r->mask + 1) / 4;
}

/* Under the lock: append the entry and publish it. */
static inline void sk_dict_publish(sk_dict *d, const sk_region *r, const sk_write *w, const sk_place *place) {
    uint64_t tail = sk_load64_relaxed(&d->tail);
    sk_write_entry(w, r->arena + tail);
    sk_store64_relaxed(&d->tail, tail + w->size);
    sk_store64_release(&r->table[place->i], sk_bucket(w->key->hash, tail)); /* commits. R6: pairs with A6 */
    sk_write_count(w, d, place->bucket == SK_BUCKET_EMPTY);
}

/* Under the lock: whether `place` is the version that an earlier lookup found. */
static inline bool sk_dict_is_same(const sk_dict *d, const sk_region *r, const sk_place *place, const sk_hit *same) {
    if (place->bucket != same->bucket || sk_load64_relaxed(&d->flips) != same->flips) return false;
    if (same->len != 8) return true;
    uint64_t word;
    sk_copy_out(&word, sk_entry_value_at(r, place->bucket, &place->entry), 8);
    return word == same->word;
}

/* Take the lock, find the key and check `when`. SK_OK: the caller holds the lock, *r is the region, *there says whether
 * the key is there, and *place is where it is or will be. */
static inline int sk_dict_approach(sk_segment *s, const sk_key *key, enum sk_when when, const sk_hit *same,
                                   uint64_t until, sk_region *r, sk_place *place, bool *there) {
    sk_dict *d = sk_dict_of(s);
    int rc = sk_dict_begin(s, d, until, r);
    if (rc != SK_OK) return rc;
    rc = sk_dict_find(r, key, place);
    *there = rc == SK_OK;
    if (rc == SK_EMPTY) rc = SK_OK;
    if (rc == SK_OK && when == SK_IF_MISSING && *there) rc = SK_EXISTS;
    if (rc == SK_OK && when == SK_IF_SAME && !(*there && sk_dict_is_same(d, r, place, same))) rc = SK_GONE;
    if (rc != SK_OK) sk_lock_give(&d->lock);
    return rc;
}

/* Under the lock: store the value, in place if this takes only one store, otherwise as a new entry. */
static inline int sk_dict_store(sk_segment *s, sk_region *r, const sk_key *key, const sk_value *value, sk_place *place,
                                bool there, uint64_t until) {
    sk_dict *d = sk_dict_of(s);
    if (there && value->len == 8 && value->n == 1 && sk_entry_value_len(&place->entry) == 8 &&
        sk_entry_value_kind(&place->entry) == value->kind) {
        sk_copy_in(sk_entry_value_at(r, place->bucket, &place->entry), value->parts->at, 8); /* commits */
        return SK_OK;
    }
    sk_write w;
    sk_write_begin(&w, d, r, key, value, place, there);
    if (!sk_dict_has_room(d, r, w.size, !there && place->bucket == SK_BUCKET_EMPTY))
        return sk_dict_rebuild(s, d, &w, there ? place->i : UINT64_MAX, until, r);
    sk_dict_publish(d, r, &w, place);
    return SK_OK;
}

static inline bool sk_dict_key_too_large(const sk_key *key) {
    return key->len > UINT32_MAX || sk_pad8(key->first.len) >> 3 >= (uint64_t)1 << (64 - SK_VALUE_BITS);
}

/* Set `key` to `value`. SK_OK, SK_EXISTS, SK_GONE (see sk_when), SK_NO_MEMORY, SK_TOO_LARGE, SK_CORRUPT, and the
 * results of sk_lock_take. */
static inline int sk_dict_set(sk_segment *s, const sk_key *key, const sk_value *value, enum sk_when when,
                              const sk_hit *same, uint64_t until) {
    if (sk_dict_key_too_large(key) || value->len > (uint64_t)1 << (SK_ARENA_LOG2_MAX - 2)) return SK_TOO_LARGE;
    sk_region r;
    sk_place place;
    bool there;
    int rc = sk_dict_approach(s, key, when, same, until, &r, &place, &there);
    if (rc != SK_OK) return rc;
    rc = sk_dict_store(s, &r, key, value, &place, there, until);
    sk_lock_give(&sk_dict_of(s)->lock);
    return rc;
}

/* Add n to the integer of kind `kind` (if the key is missing, to 0); *sum is the new value. SK_FOREIGN: the value is of
 * another kind. SK_OVERFLOW: the sum does not fit, and the value is kept. Other results: see sk_dict_set. */
static inline int sk_dict_add(sk_segment *s, const sk_key *key, uint32_t kind, int64_t n, int64_t *sum,
                              uint64_t until) {
    if (sk_dict_key_too_large(key)) return SK_TOO_LARGE;
    sk_region r;
    sk_place place;
    bool there;
    int64_t old = 0;
    int rc = sk_dict_approach(s, key, SK_ALWAYS, NULL, until, &r, &place, &there);
    if (rc != SK_OK) return rc;
    if (there) {
        if (sk_entry_value_kind(&place.entry) != kind || sk_entry_value_len(&place.entry) != 8) rc = SK_FOREIGN;
        else sk_copy_out(&old, sk_entry_value_at(&r, place.bucket, &place.entry), 8);
    }
    if (rc == SK_OK && __builtin_add_overflow(old, n, sum)) rc = SK_OVERFLOW;
    if (rc == SK_OK) {
        sk_part part = {sum, 8};
        sk_value value = {&part, 8, 1, kind};
        rc = sk_dict_store(s, &r, key, &value, &place, there, until);
    }
    sk_lock_give(&sk_dict_of(s)->lock);
    return rc;
}

/* Delete `key`. SK_EMPTY: there is no such key. SK_GONE: see sk_when. */
static inline int sk_dict_delete(sk_segment *s, const sk_key *key, enum sk_when when, const sk_hit *same,
                                 uint64_t until) {
    sk_dict *d = sk_dict_of(s);
    sk_region r;
    sk_place place;
    bool there;
    int rc = sk_dict_approach(s, key, when, same, until, &r, &place, &there);
    if (rc != SK_OK) return rc;
    if (there) {
        sk_store64_release(&r.table[place.i], SK_BUCKET_DELETED); /* commits. R6: pairs with A6 */
        sk_store64_release(&d->live, sk_load64_relaxed(&d->live) - 1);
        sk_store64_relaxed(&d->live_bytes, sk_load64_relaxed(&d->live_bytes) - sk_entry_size(&place.entry));
    } else rc = SK_EMPTY;
    sk_lock_give(&d->lock);
    return rc;
}

/* --- all keys ----------------------------------------------------------------------------------------- */

/* Delete everything, in one commit. */
static inline int sk_dict_clear(sk_segment *s, uint64_t until) {
    sk_dict *d = sk_dict_of(s);
    sk_region r;
    int rc = sk_dict_begin(s, d, until, &r);
    if (rc != SK_OK) return rc;
    uint64_t geometry, tail;
    sk_region empty;
    rc = sk_dict_find_region(s, &r, 0, 0, &geometry, &empty);
    if (rc == SK_OK) rc = sk_dict_carry(&r, &empty, false, 0, &tail);
    if (rc == SK_OK) {
        sk_store64_release(&d->geometry, geometry); /* commits */
        sk_dict_count_flip(d);
        sk_store64_relaxed(&d->tail, tail);
        sk_store64_relaxed(&d->filled, 0);
        sk_store64_release(&d->live, 0);
        sk_store64_relaxed(&d->live_bytes, 0);
    }
    sk_lock_give(&d->lock);
    return rc;
}

/* Copy all entries of one moment, in their format of the arena, with or without their values, to `to` (`room` bytes).
 * *len: the bytes used; after SK_LARGER, the bytes needed. */
static inline int sk_dict_snapshot(sk_segment *s, bool values, unsigned char *to, uint64_t room, uint64_t *len,
                                   uint64_t until) {
    sk_dict *d = sk_dict_of(s);
    sk_region r;
    int rc = sk_dict_begin(s, d, until, &r);
    if (rc != SK_OK) return rc;
    *len = 0;
    for (uint64_t i = 0; rc == SK_OK && i <= r.mask; i++) {
        uint64_t bucket = sk_load64_relaxed(&r.table[i]);
        sk_entry e;
        if (!sk_bucket_has(bucket)) continue;
        rc = sk_entry_at(&r, bucket, &e);
        if (rc != SK_OK) break;
        uint64_t size = sk_entry_len(sk_entry_key_len(&e), sk_entry_first_len(&e), values ? sk_entry_value_len(&e) : 0);
        if (*len + size <= room) {
            memcpy(to + *len, &e, sizeof e); /* the checked copy; the arena may differ by now */
            sk_copy_out(to + *len + sizeof e, r.arena + sk_bucket_offset(bucket) + sizeof e, size - sizeof e);
        }
        *len += size;
    }
    if (rc == SK_OK && *len > room) rc = SK_LARGER;
    sk_lock_give(&d->lock);
    return rc;
}

/* --- creating ----------------------------------------------------------------------------------------- */

static inline uint64_t sk_dict_floor_for(uint32_t seats) {
    return sk_round_up(sk_body_at(seats, 0) + sizeof(sk_dict), SK_PAGE);
}

static inline uint64_t sk_dict_body_len(uint32_t seats, uint32_t table_log2, uint32_t arena_log2) {
    return sk_dict_floor_for(seats) + sk_region_size(table_log2, arena_log2) - sk_body_at(seats, 0);
}

/* sk_plan.fill of a dict. */
static inline int sk_dict_fill(sk_segment *s) {
    sk_dict *d = sk_dict_of(s);
    const uint64_t *param = sk_header_of(s)->param;
    uint32_t table = (uint32_t)param[SK_DICT_LOG2] & 0xff, arena = (uint32_t)(param[SK_DICT_LOG2] >> 8);
    sk_store64_relaxed(&d->geometry, sk_region_geometry(param[SK_DICT_FLOOR], table, arena));
    sk_store64_relaxed(&d->tail, 2 * SK_ENTRY_UNIT);
    return SK_OK;
}

/* SK_CORRUPT if header and geometry do not fit. Every operation checks the words that change. */
static inline int sk_dict_refuse(sk_segment *s) {
    const sk_header *h = sk_header_of(s);
    if (s->base_len < h->body + sizeof(sk_dict) || sk_dict_floor(s) != sk_dict_floor_for(h->seats)) return SK_CORRUPT;
    sk_region r;
    return sk_region_of(s, sk_load64_acquire(&sk_dict_of(s)->geometry), &r);
}

#endif
