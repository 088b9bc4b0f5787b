/* BLAKE3 of sixteen chains at once in AVX-512 registers. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_blake3.h"

#define SK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define SK_LANES 16
#define SK_VECTOR __m512i
#define SK_ADD _mm512_add_epi32
#define SK_XOR _mm512_xor_si512
#define SK_ROR16(x) _mm512_ror_epi32(x, 16)
#define SK_ROR12(x) _mm512_ror_epi32(x, 12)
#define SK_ROR8(x) _mm512_ror_epi32(x, 8)
#define SK_ROR7(x) _mm512_ror_epi32(x, 7)
#define SK_BROADCAST(x) _mm512_set1_epi32((int)(x))

#include "sk_transpose_avx512.h"

SK_TARGET static inline void sk_load_block(const uint8_t *const *data, size_t offset, __m512i m[16]) {
    sk_load_16(data, offset, m);
}

SK_TARGET static inline void sk_store_values(const __m512i value[8], uint8_t *out) {
    __m512i r[16];
    for (int i = 0; i < 8; i++) r[i] = value[i], r[8 + i] = _mm512_setzero_si512();
    sk_transpose_16(r);
    for (int i = 0; i < 16; i++) _mm256_storeu_si256((__m256i *)(out + 32 * i), _mm512_castsi512_si256(r[i]));
}

SK_TARGET static inline void sk_tail(uint8_t tail[64], const uint8_t *rest, size_t size) {
    _mm512_store_si512(tail, _mm512_maskz_loadu_epi8(((__mmask64)1 << size) - 1, rest));     /* touches no byte past the message */
}

#include "sk_blake3_lanes.h"

void sk_blake3_chains_avx512(const uint32_t start[8], uint32_t flags, const sk_chain *chains, size_t count,
                             uint32_t (*values)[8]) {
    sk_chains(start, flags, chains, count, values);
}

void sk_blake3_pieces_avx512(const uint32_t start[8], uint32_t flags, const sk_pieces *pieces, size_t count,
                               uint32_t (*values)[8]) {
    sk_equal_pieces(start, flags, pieces, count, values);
}

void sk_blake3_uniform_avx512(const uint32_t start[8], uint32_t flags, const sk_span *messages, uint32_t blocks, uint8_t *out) {
    sk_uniform_messages(start, flags, messages, blocks, out);
}
#endif
