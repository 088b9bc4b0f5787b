/* XXH3, 64 and 128 bits, as specified by Yann Collet's xxHash 0.8 ("XXH3 algorithm overview", the
 * specification in that project's doc/ folder).
 *
 * For messages up to 240 bytes a digest is a few multiplications, which are here to be inlined into every
 * batch loop. For longer ones eight 64-bit accumulators take stripes of 64 bytes; this part has an
 * implementation for each instruction set.
 */
#ifndef SK_XXH3_H
#define SK_XXH3_H

#include "sk_bytes.h"
#include "sk_hash.h"

#define SK_XXH3_SHORT 240       /* longest message without accumulators */
#define SK_XXH3_STRIPE 64
#define SK_XXH3_BLOCK 1024      /* stripes between two scrambles, in bytes */

#define SK_P32_1 0x9E3779B1u
#define SK_P32_2 0x85EBCA77u
#define SK_P32_3 0xC2B2AE3Du
#define SK_P64_1 0x9E3779B185EBCA87ull
#define SK_P64_2 0xC2B2AE3D27D4EB4Full
#define SK_P64_3 0x165667B19E3779F9ull
#define SK_P64_4 0x85EBCA77C2B2AE63ull
#define SK_P64_5 0x27D4EB2F165667C5ull
#define SK_MIX_1 0x165667919E3779F9ull
#define SK_MIX_2 0x9FB21C651E98DF25ull

extern const uint8_t SK_XXH3_SECRET[192];

/* Feeds the accumulators: whole blocks of 1024 bytes, each with its scramble; then `stripes` of 64 bytes;
 * then the 64 bytes at `last`, if not NULL, with the secret's last position. */
typedef void (*sk_xxh3_blocks)(uint64_t accumulators[8], const uint8_t *data, size_t blocks, size_t stripes,
                               const uint8_t *last, const uint8_t secret[192]);

static inline uint64_t sk_xxh3_fold(uint64_t a, uint64_t b) {
    sk_u128 product = sk_multiply(a, b);
    return product.low ^ product.high;
}

static inline uint64_t sk_xxh3_avalanche(uint64_t h) {
    h = (h ^ h >> 37) * SK_MIX_1;
    return h ^ h >> 32;
}

static inline uint64_t sk_xxh64_avalanche(uint64_t h) {
    h = (h ^ h >> 33) * SK_P64_2;
    h = (h ^ h >> 29) * SK_P64_3;
    return h ^ h >> 32;
}

/* Two words of the secret combined; a constant if the offset is one. */
static inline uint64_t sk_xxh3_flip(size_t offset) {
    return sk_load_le64(SK_XXH3_SECRET + offset) ^ sk_load_le64(SK_XXH3_SECRET + offset + 8);
}

static inline uint64_t sk_xxh3_mix16(const uint8_t *p, const uint8_t *secret, uint64_t seed) {
    return sk_xxh3_fold(sk_load_le64(p) ^ (sk_load_le64(secret) + seed), sk_load_le64(p + 8) ^ (sk_load_le64(secret + 8) - seed));
}

static inline uint32_t sk_xxh3_three(const uint8_t *p, size_t size) {
    return (uint32_t)p[0] << 16 | (uint32_t)p[size >> 1] << 24 | p[size - 1] | (uint32_t)size << 8;
}

static inline uint64_t sk_xxh3_64_4to8(const uint8_t *p, size_t size, uint64_t seed) {
    seed ^= (uint64_t)__builtin_bswap32((uint32_t)seed) << 32;
    uint64_t input = sk_load_le32(p + size - 4) + ((uint64_t)sk_load_le32(p) << 32);
    uint64_t h = input ^ (sk_xxh3_flip(8) - seed);
    h ^= sk_rol64(h, 49) ^ sk_rol64(h, 24);
    h *= SK_MIX_2;
    h ^= (h >> 35) + size;
    h *= SK_MIX_2;
    return h ^ h >> 28;
}

static inline uint64_t sk_xxh3_64_9to16(const uint8_t *p, size_t size, uint64_t seed) {
    uint64_t low = sk_load_le64(p) ^ (sk_xxh3_flip(24) + seed);
    uint64_t high = sk_load_le64(p + size - 8) ^ (sk_xxh3_flip(40) - seed);
    return sk_xxh3_avalanche(size + __builtin_bswap64(low) + high + sk_xxh3_fold(low, high));
}

static inline uint64_t sk_xxh3_64_0to16(const uint8_t *p, size_t size, uint64_t seed) {
    if (size > 8) return sk_xxh3_64_9to16(p, size, seed);
    if (size >= 4) return sk_xxh3_64_4to8(p, size, seed);
    if (size == 0) return sk_xxh64_avalanche(seed ^ sk_xxh3_flip(56));
    uint64_t flip = (sk_load_le32(SK_XXH3_SECRET) ^ sk_load_le32(SK_XXH3_SECRET + 4)) + seed;
    return sk_xxh64_avalanche(sk_xxh3_three(p, size) ^ flip);
}

static inline uint64_t sk_xxh3_64_17to128(const uint8_t *p, size_t size, uint64_t seed) {
    const uint8_t *s = SK_XXH3_SECRET, *end = p + size;
    uint64_t h = size * SK_P64_1;
    if (size > 32) {
        if (size > 64) {
            if (size > 96) h += sk_xxh3_mix16(p + 48, s + 96, seed) + sk_xxh3_mix16(end - 64, s + 112, seed);
            h += sk_xxh3_mix16(p + 32, s + 64, seed) + sk_xxh3_mix16(end - 48, s + 80, seed);
        }
        h += sk_xxh3_mix16(p + 16, s + 32, seed) + sk_xxh3_mix16(end - 32, s + 48, seed);
    }
    h += sk_xxh3_mix16(p, s, seed) + sk_xxh3_mix16(end - 16, s + 16, seed);
    return sk_xxh3_avalanche(h);
}

static inline uint64_t sk_xxh3_64_129to240(const uint8_t *p, size_t size, uint64_t seed) {
    const uint8_t *s = SK_XXH3_SECRET;
    uint64_t h = size * SK_P64_1;
    for (size_t i = 0; i < 8; i++) h += sk_xxh3_mix16(p + 16 * i, s + 16 * i, seed);
    h = sk_xxh3_avalanche(h);
    for (size_t i = 8; i < size / 16; i++) h += sk_xxh3_mix16(p + 16 * i, s + 16 * (i - 8) + 3, seed);
    return sk_xxh3_avalanche(h + sk_xxh3_mix16(p + size - 16, s + 136 - 17, seed));
}

/* Any message of at most SK_XXH3_SHORT bytes. */
static inline uint64_t sk_xxh3_64_short(const uint8_t *p, size_t size, uint64_t seed) {
    if (size <= 16) return sk_xxh3_64_0to16(p, size, seed);
    if (size <= 128) return sk_xxh3_64_17to128(p, size, seed);
    return sk_xxh3_64_129to240(p, size, seed);
}

sk_u128 sk_xxh3_128_short(const uint8_t *p, size_t size, uint64_t seed);

void sk_xxh3_secret(uint8_t secret[192], uint64_t seed);
void sk_xxh3_blocks_scalar(uint64_t accumulators[8], const uint8_t *data, size_t blocks, size_t stripes,
                           const uint8_t *last, const uint8_t secret[192]);

void sk_xxh3_blocks_avx2(uint64_t[8], const uint8_t *, size_t, size_t, const uint8_t *, const uint8_t[192]);
void sk_xxh3_blocks_avx512(uint64_t[8], const uint8_t *, size_t, size_t, const uint8_t *, const uint8_t[192]);
void sk_xxh3_64_column_avx512(const sk_hash_algorithm *, const sk_hash_key *, const uint8_t *, ptrdiff_t, size_t, size_t,
                              uint8_t *);

void sk_xxh3_64_batch(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_xxh3_64_column(const sk_hash_algorithm *, const sk_hash_key *, const uint8_t *, ptrdiff_t, size_t, size_t, uint8_t *);
void sk_xxh3_128_batch(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_xxh3_start(sk_hash_stream *);
void sk_xxh3_feed(sk_hash_stream *, const uint8_t *, size_t);
void sk_xxh3_64_finish(sk_hash_stream *, uint8_t *);
void sk_xxh3_128_finish(sk_hash_stream *, uint8_t *);

#endif
