/* Batches of several sources, divided among threads if they are large enough. */
#ifndef SK_PARALLEL_H
#define SK_PARALLEL_H

#include "sk_source.h"

/* Digests the items of all sources, in order, into `out`, on at most `threads` threads. Returns false if an item was
 * wrong; then `bad` describes it, with its index among all items, and any row in `out` may be missing. */
bool sk_parallel_hash(const sk_source *sources, size_t source_count, const sk_hash_algorithm *algorithm,
                      const sk_hash_key *key, size_t threads, uint8_t *out, sk_bad *bad);

#endif
