/* SHA-224 and SHA-256 of sixteen messages at once in AVX-512 registers, on CPUs without SHA instructions. */
#include "sk_hash.h"
#if SK_HASH_X86
#include "sk_sha256_avx512.h"

#define SK_SINGLE sk_sha256_blocks_bmi2
#define SK_WORTHWHILE 3
#include "sk_sha2_lanes.h"

void sk_sha256_batch_avx512(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                            const sk_span *messages, size_t count, uint8_t *out) {
    sk_lanes_batch(algorithm, key, messages, count, out);
}
#endif
