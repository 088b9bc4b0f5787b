/* XXH3 with 128 bits for messages of at most 240 bytes; sk_xxh3.c does the longer ones. */
#include "sk_xxh3.h"

static sk_u128 up_to_3(const uint8_t *p, size_t size, uint64_t seed) {
    const uint8_t *s = SK_XXH3_SECRET;
    uint32_t low = sk_xxh3_three(p, size), high = sk_rol32(__builtin_bswap32(low), 13);
    uint64_t flip_low = (sk_load_le32(s) ^ sk_load_le32(s + 4)) + seed;
    uint64_t flip_high = (sk_load_le32(s + 8) ^ sk_load_le32(s + 12)) - seed;
    return (sk_u128){sk_xxh64_avalanche(low ^ flip_low), sk_xxh64_avalanche(high ^ flip_high)};
}

static sk_u128 from_4_to_8(const uint8_t *p, size_t size, uint64_t seed) {
    seed ^= (uint64_t)__builtin_bswap32((uint32_t)seed) << 32;
    uint64_t input = sk_load_le32(p) + ((uint64_t)sk_load_le32(p + size - 4) << 32);
    sk_u128 m = sk_multiply(input ^ (sk_xxh3_flip(16) + seed), SK_P64_1 + (size << 2));
    m.high += m.low << 1;
    m.low ^= m.high >> 3;
    m.low = (m.low ^ m.low >> 35) * SK_MIX_2;
    m.low ^= m.low >> 28;
    m.high = sk_xxh3_avalanche(m.high);
    return m;
}

static sk_u128 from_9_to_16(const uint8_t *p, size_t size, uint64_t seed) {
    uint64_t low = sk_load_le64(p), high = sk_load_le64(p + size - 8);
    sk_u128 m = sk_multiply(low ^ high ^ (sk_xxh3_flip(32) - seed), SK_P64_1);
    m.low += (uint64_t)(size - 1) << 54;
    high ^= sk_xxh3_flip(48) + seed;
    m.high += high + (uint64_t)(uint32_t)high * (SK_P32_2 - 1);
    m.low ^= __builtin_bswap64(m.high);
    sk_u128 h = sk_multiply(m.low, SK_P64_2);
    h.high += m.high * SK_P64_2;
    return (sk_u128){sk_xxh3_avalanche(h.low), sk_xxh3_avalanche(h.high)};
}

static inline sk_u128 mix32(sk_u128 h, const uint8_t *p, const uint8_t *q, const uint8_t *secret, uint64_t seed) {
    h.low += sk_xxh3_mix16(p, secret, seed);
    h.low ^= sk_load_le64(q) + sk_load_le64(q + 8);
    h.high += sk_xxh3_mix16(q, secret + 16, seed);
    h.high ^= sk_load_le64(p) + sk_load_le64(p + 8);
    return h;
}

static sk_u128 conclude(sk_u128 h, size_t size, uint64_t seed) {
    uint64_t low = h.low + h.high;
    uint64_t high = h.low * SK_P64_1 + h.high * SK_P64_4 + (size - seed) * SK_P64_2;
    return (sk_u128){sk_xxh3_avalanche(low), 0 - sk_xxh3_avalanche(high)};
}

sk_u128 sk_xxh3_128_short(const uint8_t *p, size_t size, uint64_t seed) {
    const uint8_t *s = SK_XXH3_SECRET, *end = p + size;
    if (size == 0)
        return (sk_u128){sk_xxh64_avalanche(seed ^ sk_xxh3_flip(64)), sk_xxh64_avalanche(seed ^ sk_xxh3_flip(80))};
    if (size <= 3) return up_to_3(p, size, seed);
    if (size <= 8) return from_4_to_8(p, size, seed);
    if (size <= 16) return from_9_to_16(p, size, seed);

    sk_u128 h = {size * SK_P64_1, 0};
    if (size <= 128) {
        if (size > 96) h = mix32(h, p + 48, end - 64, s + 96, seed);
        if (size > 64) h = mix32(h, p + 32, end - 48, s + 64, seed);
        if (size > 32) h = mix32(h, p + 16, end - 32, s + 32, seed);
        return conclude(mix32(h, p, end - 16, s, seed), size, seed);
    }
    for (size_t i = 32; i < 160; i += 32) h = mix32(h, p + i - 32, p + i - 16, s + i - 32, seed);
    h = (sk_u128){sk_xxh3_avalanche(h.low), sk_xxh3_avalanche(h.high)};
    for (size_t i = 160; i <= size; i += 32) h = mix32(h, p + i - 32, p + i - 16, s + 3 + i - 160, seed);
    return conclude(mix32(h, end - 16, end - 32, s + 136 - 17 - 16, 0 - seed), size, seed);
}
