/* SHA-384 and SHA-512 of one message with vectors: a template, included once for each instruction set.
 *
 * Each round depends on the one before, but the message schedule does not depend on the rounds. It is computed in
 * vectors for two blocks at once, so that it is ready for the second block's rounds (S. Gulley, V. Gopal and others,
 * "Fast SHA-512 implementations on Intel architecture processors", 2012). A last single block is loaded into both
 * halves.
 *
 * Including files define SK_TARGET, SK_STREAM (the function's name), SK_ROTATE2(x, n) and SK_XOR3Y(x, y, z) on __m256i.
 */
#include <immintrin.h>

#include "sk_sha2.h"

#define SK_SUM_0(x) (sk_ror64(x, 28) ^ sk_ror64(x, 34) ^ sk_ror64(x, 39))
#define SK_SUM_1(x) (sk_ror64(x, 14) ^ sk_ror64(x, 18) ^ sk_ror64(x, 41))
#define SK_MIX_0(x) SK_XOR3Y(SK_ROTATE2(x, 1), SK_ROTATE2(x, 8), _mm256_srli_epi64(x, 7))
#define SK_MIX_1Y(x) SK_XOR3Y(SK_ROTATE2(x, 19), SK_ROTATE2(x, 61), _mm256_srli_epi64(x, 6))

/* One round. `bc` is b ^ c. With it and a ^ b, which is `bc` of the next round, the majority takes two operations. */
#define SK_STEP(a, b, c, d, e, f, g, h, kw)                       \
    do {                                                          \
        uint64_t ef = f, ab = b;                                  \
        h += (kw);                                                \
        SK_IN_THIS_ORDER(h);                                      \
        SK_IN_THIS_ORDER(ef);                                     \
        SK_IN_THIS_ORDER(ab);                                     \
        h += (ef & e) ^ (~e & g);                                 \
        SK_IN_THIS_ORDER(h);                                      \
        h += SK_SUM_1(e);                                         \
        SK_IN_THIS_ORDER(h);                                      \
        d += h;                                                   \
        ab ^= a;                                                  \
        h += SK_SUM_0(a);                                         \
        h += b ^ (ab & bc);                                       \
        bc = ab;                                                  \
    } while (0)

/* Two rounds: words 2p and 2p + 1 of 16, whose sums with the constants lie at kw[4p] and kw[4p + 1]. */
#define SK_TWO(a, b, c, d, e, f, g, h, p, EXTEND)                 \
    EXTEND(p);                                                    \
    SK_STEP(a, b, c, d, e, f, g, h, kw[4 * (p)]);                 \
    SK_STEP(h, a, b, c, d, e, f, g, kw[4 * (p) + 1])

#define SK_SIXTEEN(EXTEND)                                        \
    SK_TWO(a, b, c, d, e, f, g, h, 0, EXTEND);                    \
    SK_TWO(g, h, a, b, c, d, e, f, 1, EXTEND);                    \
    SK_TWO(e, f, g, h, a, b, c, d, 2, EXTEND);                    \
    SK_TWO(c, d, e, f, g, h, a, b, 3, EXTEND);                    \
    SK_TWO(a, b, c, d, e, f, g, h, 4, EXTEND);                    \
    SK_TWO(g, h, a, b, c, d, e, f, 5, EXTEND);                    \
    SK_TWO(e, f, g, h, a, b, c, d, 6, EXTEND);                    \
    SK_TWO(c, d, e, f, g, h, a, b, 7, EXTEND)

/* The sums for the 16 rounds that follow these. */
#define SK_EXTENDED(p)                                                                                             \
    w[p] = _mm256_add_epi64(_mm256_add_epi64(w[p], SK_MIX_0(_mm256_alignr_epi8(w[((p) + 1) & 7], w[p], 8))),         \
                            _mm256_add_epi64(_mm256_alignr_epi8(w[((p) + 5) & 7], w[((p) + 4) & 7], 8),             \
                                             SK_MIX_1Y(w[((p) + 7) & 7])));                                         \
    _mm256_store_si256((__m256i *)(kw + 32 + 4 * (p)), _mm256_add_epi64(w[p], sk_constants(t + 16 + 2 * (p))))
#define SK_READY(p) (void)0

/* Constants t and t + 1, for both blocks. */
SK_TARGET static inline __m256i sk_constants(int t) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(SK_SHA512_K + t)));
}

SK_TARGET void SK_STREAM(uint64_t state[8], const uint8_t *data, size_t blocks) {
    const __m256i swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x08090a0b0c0d0e0f, 0x0001020304050607));
    _Alignas(32) uint64_t sums[80 * 2];
    while (blocks) {
        const bool both = blocks > 1;
        const uint8_t *second = data + (both ? 128 : 0);
        for (int block = 0; block <= both; block++) {
            uint64_t a = state[0], b = state[1], c = state[2], d = state[3];
            uint64_t e = state[4], f = state[5], g = state[6], h = state[7], bc = b ^ c;
            uint64_t *kw = sums;
            if (block == 0) {
                __m256i w[8];
                for (int p = 0; p < 8; p++) {
                    __m128i low = _mm_loadu_si128((const __m128i *)(data + 16 * p));
                    __m128i high = _mm_loadu_si128((const __m128i *)(second + 16 * p));
                    w[p] = _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), swap);
                    _mm256_store_si256((__m256i *)(kw + 4 * p), _mm256_add_epi64(w[p], sk_constants(2 * p)));
                }
                for (int t = 0; t < 64; t += 16, kw += 32) {
                    SK_SIXTEEN(SK_EXTENDED);
                }
                SK_SIXTEEN(SK_READY);
            } else {
                kw += 2;
                for (int t = 0; t < 80; t += 16, kw += 32) {
                    SK_SIXTEEN(SK_READY);
                }
            }
            state[0] += a, state[1] += b, state[2] += c, state[3] += d;
            state[4] += e, state[5] += f, state[6] += g, state[7] += h;
        }
        blocks -= 1 + both, data += 128 * (1 + (size_t)both);
    }
}
