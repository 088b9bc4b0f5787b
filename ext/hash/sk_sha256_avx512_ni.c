/* SHA-224 and SHA-256 on CPUs with both AVX-512 and SHA instructions: lanes for many messages, SHA instructions for
 * few.
 *
 * For each block of a message, full lanes take 19 ns, SHA instructions 32 with four interleaved messages and 44 with
 * one. But a step of the lanes costs 307 ns, however many of them are busy. See docs/decisions/0010-sha256-in-lanes.md.
 */
#include "sk_hash.h"
#if SK_HASH_X86
#include "sk_sha256_avx512.h"

#define SK_SINGLE sk_sha256_blocks_ni
#define SK_WORTHWHILE 8
#include "sk_sha2_lanes.h"

void sk_sha256_batch_avx512_ni(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                               const sk_span *messages, size_t count, uint8_t *out) {
    if (count < SK_WORTHWHILE + 2)
        sk_sha256_batch_ni(algorithm, key, messages, count, out);
    else
        sk_lanes_batch(algorithm, key, messages, count, out);
}
#endif
