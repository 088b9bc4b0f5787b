/* Reading a dict without its lock: see sk_dict.h for the words and the argument. */
#ifndef SK_DICT_READ_H
#define SK_DICT_READ_H

#include "sk_dict.h"

/* Copy the value of `key` to `to` (`room` >= 8 bytes). SK_LARGER: hit->len tells how large. SK_EMPTY: no such key.
 * SK_CORRUPT. */
static inline int sk_dict_get(sk_segment *s, const sk_key *key, void *to, uint64_t room, sk_hit *hit) {
    sk_dict *d = sk_dict_of(s);
    for (;;) {
        sk_region r;
        sk_place place;
        hit->flips = sk_load64_acquire(&d->flips); /* A7: pairs with R7 */
        int rc = sk_region_of(s, sk_load64_acquire(&d->geometry), &r);
        if (rc == SK_OK) rc = sk_dict_find(&r, key, &place);
        if (rc == SK_OK) {
            hit->bucket = place.bucket;
            hit->len = place.entry.value;
            hit->kind = sk_entry_value_kind(&place.entry);
            if (hit->len > room) rc = SK_LARGER;
            else sk_copy_out(to, sk_entry_value_at(&r, place.bucket, &place.entry), hit->len);
            if (rc == SK_OK && hit->len == 8) memcpy(&hit->word, to, 8);
        }
        sk_fence_acquire(); /* A8: pairs with R8. What was copied was read before flips is read again */
        if (__builtin_expect(sk_load64_relaxed(&d->flips) == hit->flips, 1)) return rc;
    }
}

static inline uint64_t sk_dict_count(const sk_dict *d) { return sk_load64_acquire(&d->live); }

/* Memory of the present region, and how much of its arena is used. */
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
