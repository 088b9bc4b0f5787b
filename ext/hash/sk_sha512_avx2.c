/* SHA-384 and SHA-512 of four messages at once in AVX2 registers. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_sha2.h"
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("avx2,bmi2")))
#define SK_LANES 4
#define SK_WORD uint64_t
#define SK_BLOCK 128
#define SK_ROUNDS 80
#define SK_K SK_SHA512_K
#define SK_VECTOR __m256i
#define SK_ADD _mm256_add_epi64
#define SK_XOR3(x, y, z) _mm256_xor_si256(_mm256_xor_si256(x, y), z)
#define SK_CHOOSE(e, f, g) _mm256_xor_si256(_mm256_and_si256(e, _mm256_xor_si256(f, g)), g)
#define SK_MAJORITY(a, b, c) _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)))
#define SK_ROTATE(x, n) _mm256_or_si256(_mm256_srli_epi64(x, n), _mm256_slli_epi64(x, 64 - (n)))
#define SK_SHIFT _mm256_srli_epi64
#define SK_BROADCAST(k) _mm256_set1_epi64x((long long)(k))
#define SK_SUM0(x) SK_XOR3(SK_ROTATE(x, 28), SK_ROTATE(x, 34), SK_ROTATE(x, 39))
#define SK_SUM1(x) SK_XOR3(SK_ROTATE(x, 14), SK_ROTATE(x, 18), SK_ROTATE(x, 41))
#define SK_MIX0(x) SK_XOR3(SK_ROTATE(x, 1), SK_ROTATE(x, 8), SK_SHIFT(x, 7))
#define SK_MIX1(x) SK_XOR3(SK_ROTATE(x, 19), SK_ROTATE(x, 61), SK_SHIFT(x, 6))

SK_TARGET static inline void sk_load_block(const uint8_t *const *data, size_t offset, __m256i w[16]) {
    const __m256i swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607));
    for (int i = 0; i < 16; i += 4) {
        __m256i r[4];
        for (int k = 0; k < 4; k++)
            r[k] = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)(data[k] + offset + 8 * i)), swap);
        __m256i low01 = _mm256_unpacklo_epi64(r[0], r[1]), high01 = _mm256_unpackhi_epi64(r[0], r[1]);
        __m256i low23 = _mm256_unpacklo_epi64(r[2], r[3]), high23 = _mm256_unpackhi_epi64(r[2], r[3]);
        w[i] = _mm256_permute2x128_si256(low01, low23, 0x20);
        w[i + 1] = _mm256_permute2x128_si256(high01, high23, 0x20);
        w[i + 2] = _mm256_permute2x128_si256(low01, low23, 0x31);
        w[i + 3] = _mm256_permute2x128_si256(high01, high23, 0x31);
    }
}

#include "sk_sha2_rounds.h"

#define SK_STATE(word, lane) (4 * (word) + (lane))
#define SK_COMPRESS sk_rounds
#define SK_PAD sk_sha512_pad
#define SK_SINGLE sk_sha512_blocks_avx2
#define SK_WORTHWHILE 3
#include "sk_sha2_lanes.h"

void sk_sha512_batch_avx2(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                          const sk_span *messages, size_t count, uint8_t *out) {
    sk_lanes_batch(algorithm, key, messages, count, out);
}
#endif
