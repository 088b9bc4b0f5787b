/* SHA-224 and SHA-256 of eight messages at once in AVX2 registers, for CPUs without SHA instructions. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_sha2.h"
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("avx2,bmi2")))
#define SK_LANES 8
#define SK_WORD uint32_t
#define SK_BLOCK 64
#define SK_ROUNDS 64
#define SK_K SK_SHA256_K
#define SK_VECTOR __m256i
#define SK_ADD _mm256_add_epi32
#define SK_XOR3(x, y, z) _mm256_xor_si256(_mm256_xor_si256(x, y), z)
#define SK_CHOOSE(e, f, g) _mm256_xor_si256(_mm256_and_si256(e, _mm256_xor_si256(f, g)), g)
#define SK_MAJORITY(a, b, c) _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
#define SK_ROTATE(x, n) _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define SK_SHIFT _mm256_srli_epi32
#define SK_BROADCAST(k) _mm256_set1_epi32((int)(k))
#define SK_SUM0(x) SK_XOR3(SK_ROTATE(x, 2), SK_ROTATE(x, 13), SK_ROTATE(x, 22))
#define SK_SUM1(x) SK_XOR3(SK_ROTATE(x, 6), SK_ROTATE(x, 11), SK_ROTATE(x, 25))
#define SK_MIX0(x) SK_XOR3(SK_ROTATE(x, 7), SK_ROTATE(x, 18), SK_SHIFT(x, 3))
#define SK_MIX1(x) SK_XOR3(SK_ROTATE(x, 17), SK_ROTATE(x, 19), SK_SHIFT(x, 10))

#include "sk_transpose_avx2.h"

SK_TARGET static inline void sk_load_block(const uint8_t *const *data, size_t offset, __m256i w[16]) {
    const __m256i swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 8; i++)
            w[8 * half + i] = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)(data[i] + offset + 32 * half)), swap);
        sk_transpose_8(w + 8 * half);
    }
}

#include "sk_sha2_rounds.h"

#define SK_STATE(word, lane) (8 * (word) + (lane))
#define SK_COMPRESS sk_rounds
#define SK_PAD sk_sha256_pad
#define SK_SINGLE sk_sha256_blocks_bmi2
#define SK_WORTHWHILE 4
#include "sk_sha2_lanes.h"

void sk_sha256_batch_avx2(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                          const sk_span *messages, size_t count, uint8_t *out) {
    sk_lanes_batch(algorithm, key, messages, count, out);
}
#endif
