/* SHA-384 and SHA-512 of eight messages at once in AVX-512 registers. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_sha2.h"
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2")))
#define SK_LANES 8
#define SK_WORD uint64_t
#define SK_BLOCK 128
#define SK_ROUNDS 80
#define SK_K SK_SHA512_K
#define SK_VECTOR __m512i
#define SK_ADD _mm512_add_epi64
#define SK_XOR3(x, y, z) _mm512_ternarylogic_epi64(x, y, z, 0x96)
#define SK_CHOOSE(e, f, g) _mm512_ternarylogic_epi64(e, f, g, 0xca)
#define SK_MAJORITY(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)
#define SK_ROTATE _mm512_ror_epi64
#define SK_SHIFT _mm512_srli_epi64
#define SK_BROADCAST(k) _mm512_set1_epi64((long long)(k))
#define SK_SUM0(x) SK_XOR3(SK_ROTATE(x, 28), SK_ROTATE(x, 34), SK_ROTATE(x, 39))
#define SK_SUM1(x) SK_XOR3(SK_ROTATE(x, 14), SK_ROTATE(x, 18), SK_ROTATE(x, 41))
#define SK_MIX0(x) SK_XOR3(SK_ROTATE(x, 1), SK_ROTATE(x, 8), SK_SHIFT(x, 7))
#define SK_MIX1(x) SK_XOR3(SK_ROTATE(x, 19), SK_ROTATE(x, 61), SK_SHIFT(x, 6))

#include "sk_transpose_avx512.h"

SK_TARGET static inline void sk_load_block(const uint8_t *const *data, size_t offset, __m512i w[16]) {
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607));
    for (int i = 0; i < 16; i += 2) {
        __m512i even = _mm512_shuffle_epi8(sk_quarters(data, 2, offset + 8 * i), swap);
        __m512i odd = _mm512_shuffle_epi8(sk_quarters(data + 1, 2, offset + 8 * i), swap);
        w[i] = _mm512_unpacklo_epi64(even, odd), w[i + 1] = _mm512_unpackhi_epi64(even, odd);
    }
}

#include "sk_sha2_rounds.h"

/* sk_sha512_pad with masked loads, which read no byte past the message. */
SK_TARGET static inline size_t pad(uint8_t tail[256], const uint8_t *rest, size_t size, uint64_t total) {
    size_t blocks = size < 112 ? 1 : 2;
    __mmask64 low = _bzhi_u64(~0ull, size < 64 ? (unsigned)size : 64);
    __mmask64 high = size > 64 ? _bzhi_u64(~0ull, (unsigned)(size - 64)) : 0;
    _mm512_storeu_si512(tail, _mm512_maskz_loadu_epi8(low, rest));
    _mm512_storeu_si512(tail + 64, size > 64 ? _mm512_maskz_loadu_epi8(high, rest + 64) : _mm512_setzero_si512());
    if (blocks == 2) {
        _mm512_storeu_si512(tail + 128, _mm512_setzero_si512());
        _mm512_storeu_si512(tail + 192, _mm512_setzero_si512());
    }
    tail[size] = 0x80;
    sk_store_be64(tail + 128 * blocks - 16, total >> 61);
    sk_store_be64(tail + 128 * blocks - 8, total << 3);
    return blocks;
}

#define SK_STATE(word, lane) (8 * (word) + (lane))
#define SK_COMPRESS sk_rounds
#define SK_PAD pad
#define SK_SINGLE sk_sha512_blocks_avx512
#define SK_WORTHWHILE 3
#include "sk_sha2_lanes.h"

void sk_sha512_batch_avx512(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                            const sk_span *messages, size_t count, uint8_t *out) {
    sk_lanes_batch(algorithm, key, messages, count, out);
}
#endif
