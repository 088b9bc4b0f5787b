/* Unaligned loads and stores of a stated byte order, rotations, and the 64 by 64 bit product. */
#ifndef SK_BYTES_H
#define SK_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SK_FROM_LE32(x) __builtin_bswap32(x)
#define SK_FROM_LE64(x) __builtin_bswap64(x)
#define SK_FROM_BE32(x) (x)
#define SK_FROM_BE64(x) (x)
#else
#define SK_FROM_LE32(x) (x)
#define SK_FROM_LE64(x) (x)
#define SK_FROM_BE32(x) __builtin_bswap32(x)
#define SK_FROM_BE64(x) __builtin_bswap64(x)
#endif

static inline uint32_t sk_load_le32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return SK_FROM_LE32(x);
}

static inline uint64_t sk_load_le64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return SK_FROM_LE64(x);
}

static inline uint32_t sk_load_be32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return SK_FROM_BE32(x);
}

static inline uint64_t sk_load_be64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return SK_FROM_BE64(x);
}

static inline void sk_store_le32(uint8_t *p, uint32_t x) {
    x = SK_FROM_LE32(x);
    memcpy(p, &x, sizeof x);
}

static inline void sk_store_le64(uint8_t *p, uint64_t x) {
    x = SK_FROM_LE64(x);
    memcpy(p, &x, sizeof x);
}

static inline void sk_store_be32(uint8_t *p, uint32_t x) {
    x = SK_FROM_BE32(x);
    memcpy(p, &x, sizeof x);
}

static inline void sk_store_be64(uint8_t *p, uint64_t x) {
    x = SK_FROM_BE64(x);
    memcpy(p, &x, sizeof x);
}

static inline uint32_t sk_ror32(uint32_t x, int n) { return x >> n | x << (32 - n); }
static inline uint64_t sk_ror64(uint64_t x, int n) { return x >> n | x << (64 - n); }
static inline uint32_t sk_rol32(uint32_t x, int n) { return x << n | x >> (32 - n); }
static inline uint64_t sk_rol64(uint64_t x, int n) { return x << n | x >> (64 - n); }

typedef struct sk_u128 {
    uint64_t low, high;
} sk_u128;

static inline sk_u128 sk_multiply(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (sk_u128){(uint64_t)product, (uint64_t)(product >> 64)};
}

#endif
