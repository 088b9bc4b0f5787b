/* BLAKE3's compression in plain C, and chains one after another. */
#include "sk_blake3.h"

/* The standard initial value is SHA-256's. */
const uint32_t SK_BLAKE3_INITIAL[8] = {
    0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
};

/* Row r + 1 is row r after the permutation 2 6 3 10 7 0 4 13 1 11 12 5 9 14 15 8. */
const uint8_t SK_BLAKE3_ORDER[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

#define MIX(a, b, c, d, x, y)                    \
    do {                                         \
        a += b + (x), d = sk_ror32(d ^ a, 16);   \
        c += d, b = sk_ror32(b ^ c, 12);         \
        a += b + (y), d = sk_ror32(d ^ a, 8);    \
        c += d, b = sk_ror32(b ^ c, 7);          \
    } while (0)

void sk_blake3_compress(uint32_t value[8], const uint8_t block[64], uint64_t counter, uint32_t size, uint32_t flags) {
    uint32_t m[16], v[16];
    for (int i = 0; i < 16; i++) m[i] = sk_load_le32(block + 4 * i);
    memcpy(v, value, 32);
    memcpy(v + 8, SK_BLAKE3_INITIAL, 16);
    v[12] = (uint32_t)counter, v[13] = (uint32_t)(counter >> 32), v[14] = size, v[15] = flags;
#pragma GCC unroll 7
    for (int r = 0; r < 7; r++) {
        const uint8_t *o = SK_BLAKE3_ORDER[r];
        MIX(v[0], v[4], v[8], v[12], m[o[0]], m[o[1]]);
        MIX(v[1], v[5], v[9], v[13], m[o[2]], m[o[3]]);
        MIX(v[2], v[6], v[10], v[14], m[o[4]], m[o[5]]);
        MIX(v[3], v[7], v[11], v[15], m[o[6]], m[o[7]]);
        MIX(v[0], v[5], v[10], v[15], m[o[8]], m[o[9]]);
        MIX(v[1], v[6], v[11], v[12], m[o[10]], m[o[11]]);
        MIX(v[2], v[7], v[8], v[13], m[o[12]], m[o[13]]);
        MIX(v[3], v[4], v[9], v[14], m[o[14]], m[o[15]]);
    }
    for (int i = 0; i < 8; i++) value[i] = v[i] ^ v[i + 8];
}

void sk_blake3_chains_scalar(const uint32_t start[8], uint32_t flags, const sk_chain *chains, size_t count,
                             uint32_t (*values)[8]) {
    for (size_t i = 0; i < count; i++) {
        const sk_chain *chain = &chains[i];
        uint32_t now = flags | chain->first_flags;
        memcpy(values[i], start, 32);
        for (uint32_t b = 0; b + 1 < chain->blocks; b++, now = flags)
            sk_blake3_compress(values[i], chain->data + 64 * b, chain->counter, 64, now);
        sk_blake3_compress(values[i], chain->last, chain->counter, chain->last_size, now | chain->last_flags);
    }
}

void sk_blake3_pieces_scalar(const uint32_t start[8], uint32_t flags, const sk_pieces *pieces, size_t count, uint32_t (*values)[8]) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *data = pieces->data + i * pieces->stride;
        memcpy(values[i], start, 32);
        for (uint32_t block = 0; block < pieces->blocks; block++) {
            uint32_t now = flags | (block ? 0 : pieces->first_flags) | (block + 1 == pieces->blocks ? pieces->last_flags : 0);
            sk_blake3_compress(values[i], data + 64 * (size_t)block, pieces->counter + (pieces->counted ? i : 0), 64, now);
        }
    }
}
