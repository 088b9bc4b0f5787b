/* SHA-224 and SHA-256 with the SHA instructions: one message, and four interleaved.
 *
 * sha256rnds2 takes four cycles and a new one can start every second cycle, so one message leaves the unit idle
 * half of the time; four messages fill it.
 *
 * The target must not include AVX. These instructions have no VEX form; among VEX-encoded ones each of them took a
 * microcode assist of 300 ns once the process had used AVX-512.
 */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_sha2.h"
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("sha,sse4.1,ssse3")))

typedef struct ni_state {
    __m128i abef, cdgh;
} ni_state;

/* The instructions need the words in this order. */
SK_TARGET static inline ni_state ni_load(const uint32_t state[8]) {
    __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);        /* c d a b */
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);  /* e f g h */
    return (ni_state){_mm_alignr_epi8(dcba, hgfe, 8), _mm_blend_epi16(hgfe, dcba, 0xf0)};
}

SK_TARGET static inline void ni_store(ni_state s, uint32_t state[8]) {
    __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b), dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four rounds of one message: group g of 16. Its words are in w[g % 4]; the others get the schedule of later groups. */
#define NI_GROUP(s, w, g)                                                                                  \
    do {                                                                                                   \
        __m128i sum = _mm_add_epi32(w[(g) % 4], _mm_loadu_si128((const __m128i *)(SK_SHA256_K + 4 * (g))));  \
        s.cdgh = _mm_sha256rnds2_epu32(s.cdgh, s.abef, sum);                                               \
        if ((g) >= 3 && (g) < 15) {                                                                        \
            __m128i seven = _mm_alignr_epi8(w[(g) % 4], w[((g) + 3) % 4], 4);                              \
            w[((g) + 1) % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(w[((g) + 1) % 4], seven), w[(g) % 4]);   \
        }                                                                                                  \
        s.abef = _mm_sha256rnds2_epu32(s.abef, s.cdgh, _mm_shuffle_epi32(sum, 0x0e));                      \
        if ((g) >= 1 && (g) < 13) w[((g) + 3) % 4] = _mm_sha256msg1_epu32(w[((g) + 3) % 4], w[(g) % 4]);   \
    } while (0)

#define NI_ALL_GROUPS(G)                                                                                   \
    G(0); G(1); G(2); G(3); G(4); G(5); G(6); G(7); G(8); G(9); G(10); G(11); G(12); G(13); G(14); G(15)

SK_TARGET static inline __m128i ni_words(const uint8_t *data) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data), swap);
}

SK_TARGET void sk_sha256_blocks_ni(uint32_t state[8], const uint8_t *data, size_t blocks) {
    ni_state s = ni_load(state);
    for (; blocks; blocks--, data += 64) {
        const ni_state before = s;
        __m128i w[4];
        for (int i = 0; i < 4; i++) w[i] = ni_words(data + 16 * i);
#define ONE(g) NI_GROUP(s, w, g)
        NI_ALL_GROUPS(ONE);
        s.abef = _mm_add_epi32(s.abef, before.abef);
        s.cdgh = _mm_add_epi32(s.cdgh, before.cdgh);
    }
    ni_store(s, state);
}

SK_TARGET static void four_streams(uint32_t *state, const uint8_t *const *data, size_t blocks) {
    ni_state p = ni_load(state), q = ni_load(state + 8), r = ni_load(state + 16), s = ni_load(state + 24);
    for (size_t offset = 0; offset < 64 * blocks; offset += 64) {
        const ni_state p0 = p, q0 = q, r0 = r, s0 = s;
        __m128i wp[4], wq[4], wr[4], ws[4];
        for (int i = 0; i < 4; i++) {
            wp[i] = ni_words(data[0] + offset + 16 * i);
            wq[i] = ni_words(data[1] + offset + 16 * i);
            wr[i] = ni_words(data[2] + offset + 16 * i);
            ws[i] = ni_words(data[3] + offset + 16 * i);
        }
#define FOUR(g)              \
    NI_GROUP(p, wp, g);      \
    NI_GROUP(q, wq, g);      \
    NI_GROUP(r, wr, g);      \
    NI_GROUP(s, ws, g)
        NI_ALL_GROUPS(FOUR);
        p.abef = _mm_add_epi32(p.abef, p0.abef), p.cdgh = _mm_add_epi32(p.cdgh, p0.cdgh);
        q.abef = _mm_add_epi32(q.abef, q0.abef), q.cdgh = _mm_add_epi32(q.cdgh, q0.cdgh);
        r.abef = _mm_add_epi32(r.abef, r0.abef), r.cdgh = _mm_add_epi32(r.cdgh, r0.cdgh);
        s.abef = _mm_add_epi32(s.abef, s0.abef), s.cdgh = _mm_add_epi32(s.cdgh, s0.cdgh);
    }
    ni_store(p, state), ni_store(q, state + 8), ni_store(r, state + 16), ni_store(s, state + 24);
}

#define SK_LANES 4
#define SK_WORD uint32_t
#define SK_BLOCK 64
#define SK_STATE(word, lane) (8 * (lane) + (word))
#define SK_COMPRESS four_streams
#define SK_PAD sk_sha256_pad
#define SK_SINGLE sk_sha256_blocks_ni
#define SK_WORTHWHILE 2
#include "sk_sha2_lanes.h"

void sk_sha256_batch_ni(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                        const sk_span *messages, size_t count, uint8_t *out) {
    sk_lanes_batch(algorithm, key, messages, count, out);
}
#endif
