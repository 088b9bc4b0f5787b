/* SHA-2 block functions for one message in plain C: a template, compiled twice, for every machine and with BMI2.
 *
 * Including files define SK_TARGET and SK_NAMED(name).
 */
#include "sk_sha2.h"

#define CHOOSE(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))
#define MAJORITY(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))

/* One round. The caller names the working variables in rotated order, so that they need not be moved. */
#define ROUND(SUM0, SUM1, a, b, c, d, e, f, g, h, kw)          \
    do {                                                       \
        h += (kw);                                             \
        SK_IN_THIS_ORDER(h);                                   \
        h += CHOOSE(e, f, g);                                  \
        SK_IN_THIS_ORDER(h);                                   \
        h += SUM1(e);                                          \
        d += h;                                                \
        h += SUM0(a) + MAJORITY(a, b, c);                      \
    } while (0)

#define EIGHT_ROUNDS(R, t)                                     \
    R(a, b, c, d, e, f, g, h, (t) + 0);                        \
    R(h, a, b, c, d, e, f, g, (t) + 1);                        \
    R(g, h, a, b, c, d, e, f, (t) + 2);                        \
    R(f, g, h, a, b, c, d, e, (t) + 3);                        \
    R(e, f, g, h, a, b, c, d, (t) + 4);                        \
    R(d, e, f, g, h, a, b, c, (t) + 5);                        \
    R(c, d, e, f, g, h, a, b, (t) + 6);                        \
    R(b, c, d, e, f, g, h, a, (t) + 7)

#define SUM0_256(x) (sk_ror32(x, 2) ^ sk_ror32(x, 13) ^ sk_ror32(x, 22))
#define SUM1_256(x) (sk_ror32(x, 6) ^ sk_ror32(x, 11) ^ sk_ror32(x, 25))
#define MIX0_256(x) (sk_ror32(x, 7) ^ sk_ror32(x, 18) ^ ((x) >> 3))
#define MIX1_256(x) (sk_ror32(x, 17) ^ sk_ror32(x, 19) ^ ((x) >> 10))

#define FIRST_256(a, b, c, d, e, f, g, h, t) \
    ROUND(SUM0_256, SUM1_256, a, b, c, d, e, f, g, h, SK_SHA256_K[t] + w[(t) & 15])
#define LATER_256(a, b, c, d, e, f, g, h, t)                                                          \
    w[(t) & 15] += MIX1_256(w[((t) + 14) & 15]) + w[((t) + 9) & 15] + MIX0_256(w[((t) + 1) & 15]);    \
    ROUND(SUM0_256, SUM1_256, a, b, c, d, e, f, g, h, SK_SHA256_K[t] + w[(t) & 15])

SK_TARGET void SK_NAMED(sk_sha256_blocks)(uint32_t state[8], const uint8_t *data, size_t blocks) {
    uint32_t w[16];
    for (; blocks; blocks--, data += 64) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 16; i++) w[i] = sk_load_be32(data + 4 * i);
        EIGHT_ROUNDS(FIRST_256, 0);
        EIGHT_ROUNDS(FIRST_256, 8);
        for (int t = 16; t < 64; t += 16) {
            EIGHT_ROUNDS(LATER_256, t);
            EIGHT_ROUNDS(LATER_256, t + 8);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#define SUM0_512(x) (sk_ror64(x, 28) ^ sk_ror64(x, 34) ^ sk_ror64(x, 39))
#define SUM1_512(x) (sk_ror64(x, 14) ^ sk_ror64(x, 18) ^ sk_ror64(x, 41))
#define MIX0_512(x) (sk_ror64(x, 1) ^ sk_ror64(x, 8) ^ ((x) >> 7))
#define MIX1_512(x) (sk_ror64(x, 19) ^ sk_ror64(x, 61) ^ ((x) >> 6))

#define FIRST_512(a, b, c, d, e, f, g, h, t) \
    ROUND(SUM0_512, SUM1_512, a, b, c, d, e, f, g, h, SK_SHA512_K[t] + w[(t) & 15])
#define LATER_512(a, b, c, d, e, f, g, h, t)                                                          \
    w[(t) & 15] += MIX1_512(w[((t) + 14) & 15]) + w[((t) + 9) & 15] + MIX0_512(w[((t) + 1) & 15]);    \
    ROUND(SUM0_512, SUM1_512, a, b, c, d, e, f, g, h, SK_SHA512_K[t] + w[(t) & 15])

SK_TARGET void SK_NAMED(sk_sha512_blocks)(uint64_t state[8], const uint8_t *data, size_t blocks) {
    uint64_t w[16];
    for (; blocks; blocks--, data += 128) {
        uint64_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint64_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 16; i++) w[i] = sk_load_be64(data + 8 * i);
        EIGHT_ROUNDS(FIRST_512, 0);
        EIGHT_ROUNDS(FIRST_512, 8);
        for (int t = 16; t < 80; t += 16) {
            EIGHT_ROUNDS(LATER_512, t);
            EIGHT_ROUNDS(LATER_512, t + 8);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}
