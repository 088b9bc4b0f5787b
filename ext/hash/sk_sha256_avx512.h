/* SHA-224 and SHA-256 in 16 lanes of AVX-512. Including files choose the function for the last few messages. */
#include <immintrin.h>

#include "sk_sha2.h"
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi2")))
#define SK_LANES 16
#define SK_WORD uint32_t
#define SK_BLOCK 64
#define SK_ROUNDS 64
#define SK_K SK_SHA256_K
#define SK_VECTOR __m512i
#define SK_ADD _mm512_add_epi32
#define SK_XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define SK_CHOOSE(e, f, g) _mm512_ternarylogic_epi32(e, f, g, 0xca)
#define SK_MAJORITY(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define SK_ROTATE _mm512_ror_epi32
#define SK_SHIFT _mm512_srli_epi32
#define SK_BROADCAST(k) _mm512_set1_epi32((int)(k))
#define SK_SUM0(x) SK_XOR3(SK_ROTATE(x, 2), SK_ROTATE(x, 13), SK_ROTATE(x, 22))
#define SK_SUM1(x) SK_XOR3(SK_ROTATE(x, 6), SK_ROTATE(x, 11), SK_ROTATE(x, 25))
#define SK_MIX0(x) SK_XOR3(SK_ROTATE(x, 7), SK_ROTATE(x, 18), SK_SHIFT(x, 3))
#define SK_MIX1(x) SK_XOR3(SK_ROTATE(x, 17), SK_ROTATE(x, 19), SK_SHIFT(x, 10))

#include "sk_transpose_avx512.h"

SK_TARGET static inline void sk_load_block(const uint8_t *const *data, size_t offset, __m512i w[16]) {
    const __m512i swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    sk_load_16(data, offset, w);
    for (int i = 0; i < 16; i++) w[i] = _mm512_shuffle_epi8(w[i], swap);
}

#include "sk_sha2_rounds.h"

/* sk_sha256_pad with a masked load, which reads no byte past the message. */
SK_TARGET static inline size_t sk_pad(uint8_t tail[128], const uint8_t *rest, size_t size, uint64_t total) {
    const size_t blocks = size < 56 ? 1 : 2;
    const __mmask64 there = _bzhi_u64(~0ull, (unsigned)size);
    _mm512_storeu_si512(tail, _mm512_mask_blend_epi8((__mmask64)1 << size, _mm512_maskz_loadu_epi8(there, rest), _mm512_set1_epi8((char)0x80)));
    if (blocks == 2) _mm512_storeu_si512(tail + 64, _mm512_setzero_si512());
    sk_store_be64(tail + 64 * blocks - 8, total << 3);
    return blocks;
}

#define SK_STATE(word, lane) (16 * (word) + (lane))
#define SK_COMPRESS sk_rounds
#define SK_PAD sk_pad
