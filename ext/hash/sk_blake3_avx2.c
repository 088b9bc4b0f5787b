/* BLAKE3 of eight chains at once in AVX2 registers. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_blake3.h"

#define SK_TARGET __attribute__((target("avx2")))
#define SK_LANES 8
#define SK_VECTOR __m256i
#define SK_ADD _mm256_add_epi32
#define SK_XOR _mm256_xor_si256
#define SK_ROTATE(x, n) _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define SK_BYTES(high, low) _mm256_broadcastsi128_si256(_mm_set_epi64x(high, low))
#define SK_ROR16(x) _mm256_shuffle_epi8(x, SK_BYTES(0x0d0c0f0e09080b0a, 0x0504070601000302))
#define SK_ROR8(x) _mm256_shuffle_epi8(x, SK_BYTES(0x0c0f0e0d080b0a09, 0x0407060500030201))
#define SK_ROR12(x) SK_ROTATE(x, 12)
#define SK_ROR7(x) SK_ROTATE(x, 7)
#define SK_BROADCAST(x) _mm256_set1_epi32((int)(x))

#include "sk_transpose_avx2.h"

SK_TARGET static inline void sk_load_block(const uint8_t *const *data, size_t offset, __m256i m[16]) {
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < 8; i++) m[8 * half + i] = _mm256_loadu_si256((const __m256i *)(data[i] + offset + 32 * half));
        sk_transpose_8(m + 8 * half);
    }
}

SK_TARGET static inline void sk_store_values(const __m256i value[8], uint8_t *out) {
    __m256i r[8];
    for (int i = 0; i < 8; i++) r[i] = value[i];
    sk_transpose_8(r);
    for (int i = 0; i < 8; i++) _mm256_storeu_si256((__m256i *)(out + 32 * i), r[i]);
}

static inline void sk_tail(uint8_t tail[64], const uint8_t *rest, size_t size) {
    memset(tail, 0, 64);
    sk_copy_short(tail, rest, size);
}

#include "sk_blake3_lanes.h"

void sk_blake3_chains_avx2(const uint32_t start[8], uint32_t flags, const sk_chain *chains, size_t count,
                           uint32_t (*values)[8]) {
    sk_chains(start, flags, chains, count, values);
}

void sk_blake3_pieces_avx2(const uint32_t start[8], uint32_t flags, const sk_pieces *pieces, size_t count,
                             uint32_t (*values)[8]) {
    sk_equal_pieces(start, flags, pieces, count, values);
}

void sk_blake3_uniform_avx2(const uint32_t start[8], uint32_t flags, const sk_span *messages, uint32_t blocks, uint8_t *out) {
    sk_uniform_messages(start, flags, messages, blocks, out);
}
#endif
