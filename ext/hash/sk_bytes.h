/* Unaligned loads and stores with the byte order in the name, rotations, and the 64 by 64 bit product. */
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

/* memcpy for the ends of messages: a few inline moves, which may overlap; no byte beyond `size` is touched. */
static inline void sk_copy_short(uint8_t *to, const uint8_t *from, size_t size) {
    if (size >= 16) {
        for (size_t i = 0; i + 16 < size; i += 16) memcpy(to + i, from + i, 16);
        memcpy(to + size - 16, from + size - 16, 16);
    } else if (size >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8), memcpy(&last, from + size - 8, 8);
        memcpy(to, &first, 8), memcpy(to + size - 8, &last, 8);
    } else if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4), memcpy(&last, from + size - 4, 4);
        memcpy(to, &first, 4), memcpy(to + size - 4, &last, 4);
    } else if (size) {
        to[0] = from[0], to[size / 2] = from[size / 2], to[size - 1] = from[size - 1];
    }
}

typedef struct sk_u128 {
    uint64_t low, high;
} sk_u128;

static inline sk_u128 sk_multiply(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (sk_u128){(uint64_t)product, (uint64_t)(product >> 64)};
}

#endif
