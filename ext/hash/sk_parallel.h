/* Batches of several sources, split over threads when there is enough to do. */
#ifndef SK_PARALLEL_H
#define SK_PARALLEL_H

#include "sk_source.h"

/* Digests all sources one after another into `out`, on at most `threads` threads; false where an item turned out wrong:
 * it is described in `bad`, its index that among all items, and any of the rows in `out` may be missing. */
bool sk_parallel_hash(const sk_source *sources, size_t source_count, const sk_hash_algorithm *algorithm,
                      const sk_hash_key *key, size_t threads, uint8_t *out, sk_bad *bad);

#endif
