/* Reading a dict without its lock: see sk_dict.h for the layout and the reasoning. */
#ifndef SK_DICT_READ_H
#define SK_DICT_READ_H

#include "structures/sk_dict.h"

/* The destination of a value. Its first `head_room` (>= 8) bytes are copied to `head`. If the value is longer than
 * that, and `body_len` bytes follow its first `skip` bytes (skip <= head_room), these are copied to `body`. */
typedef struct sk_dict_target {
    void *head, *body;
    uint64_t head_room, skip, body_len;
} sk_dict_target;

/* Copy the value of `key`; all bytes are of one version. SK_OK: all of it is in `head`, or all after the first `skip`
 * bytes is in `body`. SK_LARGER: hit->len and hit->kind describe the value, and `head` has its beginning. SK_EMPTY: no
 * such key. SK_CORRUPT. */
static inline int sk_dict_get_to(sk_segment *s, const sk_key *key, const sk_dict_target *to, sk_hit *hit) {
    sk_dict *d = sk_dict_of(s);
    for (;;) {
        sk_region r;
        sk_place place;
        hit->flips = sk_load64_acquire(&d->flips); /* A7: pairs with R7 */
        int rc = sk_region_of(s, sk_load64_acquire(&d->geometry), &r);
        if (rc == SK_OK) rc = sk_dict_find(&r, key, &place);
        if (rc == SK_OK) {
            const unsigned char *at = sk_entry_value_at(&r, place.bucket, &place.entry);
            hit->bucket = place.bucket;
            hit->len = sk_entry_value_len(&place.entry);
            hit->kind = sk_entry_value_kind(&place.entry);
            if (__builtin_expect(hit->len > to->head_room, 0)) {
                sk_copy_out(to->head, at, to->head_room);
                if (hit->len - to->skip != to->body_len) rc = SK_LARGER;
                else sk_copy_out(to->body, at + to->skip, to->body_len);
            } else sk_copy_out(to->head, at, hit->len);
            if (hit->len == 8) memcpy(&hit->word, to->head, 8);
        }
        sk_fence_acquire(); /* A8: pairs with R8. The bytes were read before flips is read again */
        if (__builtin_expect(sk_load64_relaxed(&d->flips) == hit->flips, 1)) return rc;
    }
}

/* Copy the value of `key` to one destination of `room` bytes, at least 8. */
static inline int sk_dict_get(sk_segment *s, const sk_key *key, void *to, uint64_t room, sk_hit *hit) {
    sk_dict_target all = {.head = to, .head_room = room};
    return sk_dict_get_to(s, key, &all, hit);
}

static inline uint64_t sk_dict_count(const sk_dict *d) { return sk_load64_acquire(&d->live); }

/* Bytes of the present region, bytes of live entries in its arena, and the number of its buckets. */
static inline int sk_dict_memory(sk_segment *s, uint64_t *size, uint64_t *used, uint64_t *buckets) {
    sk_dict *d = sk_dict_of(s);
    sk_region r;
    int rc = sk_region_of(s, sk_load64_acquire(&d->geometry), &r);
    if (rc != SK_OK) return rc;
    *size = r.size;
    *used = sk_load64_relaxed(&d->live_bytes);
    *buckets = r.mask + 1;
    return SK_OK;
}

#endif
