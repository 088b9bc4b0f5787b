/* XXH3 for messages of more than 240 bytes, batches and streams. */
#include "sk_xxh3.h"

const uint8_t SK_XXH3_SECRET[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static const uint64_t INITIAL[8] = {SK_P32_3, SK_P64_1, SK_P64_2, SK_P64_3, SK_P64_4, SK_P32_2, SK_P64_5, SK_P32_1};

void sk_xxh3_secret(uint8_t secret[192], uint64_t seed) {
    for (size_t i = 0; i < 192; i += 16) {
        sk_store_le64(secret + i, sk_load_le64(SK_XXH3_SECRET + i) + seed);
        sk_store_le64(secret + i + 8, sk_load_le64(SK_XXH3_SECRET + i + 8) - seed);
    }
}

static inline void eat(uint64_t acc[8], const uint8_t *data, const uint8_t *secret) {
    for (int i = 0; i < 8; i++) {
        uint64_t value = sk_load_le64(data + 8 * i), key = value ^ sk_load_le64(secret + 8 * i);
        acc[i ^ 1] += value;
        acc[i] += (uint64_t)(uint32_t)key * (key >> 32);
    }
}

void sk_xxh3_blocks_scalar(uint64_t acc[8], const uint8_t *data, size_t blocks, size_t stripes,
                           const uint8_t *last, const uint8_t secret[192]) {
    for (; blocks; blocks--) {
        for (size_t i = 0; i < 16; i++, data += SK_XXH3_STRIPE) eat(acc, data, secret + 8 * i);
        for (int i = 0; i < 8; i++)
            acc[i] = (acc[i] ^ acc[i] >> 47 ^ sk_load_le64(secret + 128 + 8 * i)) * SK_P32_1;
    }
    for (size_t i = 0; i < stripes; i++, data += SK_XXH3_STRIPE) eat(acc, data, secret + 8 * i);
    if (last) eat(acc, last, secret + 192 - 64 - 7);
}

static uint64_t merge(const uint64_t acc[8], const uint8_t *secret, uint64_t h) {
    for (int i = 0; i < 4; i++)
        h += sk_xxh3_fold(acc[2 * i] ^ sk_load_le64(secret + 16 * i), acc[2 * i + 1] ^ sk_load_le64(secret + 16 * i + 8));
    return sk_xxh3_avalanche(h);
}

static uint64_t merge_64(const uint64_t acc[8], const uint8_t *secret, uint64_t total) {
    return merge(acc, secret + 11, total * SK_P64_1);
}

static sk_u128 merge_128(const uint64_t acc[8], const uint8_t *secret, uint64_t total) {
    return (sk_u128){merge(acc, secret + 11, total * SK_P64_1), merge(acc, secret + 192 - 64 - 11, ~(total * SK_P64_2))};
}

static void put_128(sk_u128 h, uint8_t *out) {
    sk_store_be64(out, h.high);
    sk_store_be64(out + 8, h.low);
}

static void whole(sk_xxh3_blocks blocks, uint64_t acc[8], const uint8_t *data, size_t size, const uint8_t *secret) {
    size_t full = (size - 1) / SK_XXH3_BLOCK;
    memcpy(acc, INITIAL, sizeof INITIAL);
    blocks(acc, data, full, (size - 1 - full * SK_XXH3_BLOCK) / SK_XXH3_STRIPE, data + size - SK_XXH3_STRIPE, secret);
}

#define AHEAD 12     /* how many messages ahead to prefetch */

void sk_xxh3_64_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                      const sk_span *messages, size_t count, uint8_t *out) {
    sk_xxh3_blocks blocks = (sk_xxh3_blocks)sk_hash_active(algorithm)->blocks;
    const uint64_t seed = key->seed;
    for (size_t i = 0; i < count; i++, out += 8) {
        const sk_span m = messages[i];
        uint64_t acc[8], h;
        if (i + AHEAD < count) __builtin_prefetch(messages[i + AHEAD].data);
        if (m.size <= SK_XXH3_SHORT) {
            h = sk_xxh3_64_short(m.data, m.size, seed);
        } else {
            whole(blocks, acc, m.data, m.size, key->secret);
            h = merge_64(acc, key->secret, m.size);
        }
        memcpy(out, &h, 8);
    }
}

void sk_xxh3_64_column(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                       const uint8_t *first, ptrdiff_t stride, size_t size, size_t count, uint8_t *out) {
    sk_xxh3_blocks blocks = (sk_xxh3_blocks)sk_hash_active(algorithm)->blocks;
    const uint64_t seed = key->seed;
    uint64_t acc[8], h;
#define COLUMN(expression)                                                    \
    for (size_t i = 0; i < count; i++, first += stride, out += 8) {           \
        h = expression;                                                       \
        memcpy(out, &h, 8);                                                   \
    }
    if (size == 8) COLUMN(sk_xxh3_64_4to8(first, 8, seed))
    else if (size == 4) COLUMN(sk_xxh3_64_4to8(first, 4, seed))
    else if (size == 16) COLUMN(sk_xxh3_64_9to16(first, 16, seed))
    else if (size <= SK_XXH3_SHORT) COLUMN(sk_xxh3_64_short(first, size, seed))
    else COLUMN((whole(blocks, acc, first, size, key->secret), merge_64(acc, key->secret, size)))
#undef COLUMN
}

void sk_xxh3_128_batch(const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                       const sk_span *messages, size_t count, uint8_t *out) {
    sk_xxh3_blocks blocks = (sk_xxh3_blocks)sk_hash_active(algorithm)->blocks;
    for (size_t i = 0; i < count; i++, out += 16) {
        const sk_span m = messages[i];
        uint64_t acc[8];
        if (i + AHEAD < count) __builtin_prefetch(messages[i + AHEAD].data);
        if (m.size <= SK_XXH3_SHORT) {
            put_128(sk_xxh3_128_short(m.data, m.size, key->seed), out);
        } else {
            whole(blocks, acc, m.data, m.size, key->secret);
            put_128(merge_128(acc, key->secret, m.size), out);
        }
    }
}

/* The stream's buffer has the last 64 bytes that were fed (the last stripe may reach back into them), and then up to
 * one block that is held. A block is fed only when more data follows, because the last one is fed differently. */
void sk_xxh3_start(sk_hash_stream *stream) { memcpy(stream->state.xxh3, INITIAL, sizeof INITIAL); }

void sk_xxh3_feed(sk_hash_stream *stream, const uint8_t *data, size_t size) {
    sk_xxh3_blocks blocks = (sk_xxh3_blocks)sk_hash_active(stream->algorithm)->blocks;
    uint8_t *held = stream->buffer + SK_XXH3_STRIPE;
    if (stream->held && stream->held + size > SK_XXH3_BLOCK) {
        size_t take = SK_XXH3_BLOCK - stream->held;
        memcpy(held + stream->held, data, take);
        data += take, size -= take;
        blocks(stream->state.xxh3, held, 1, 0, NULL, stream->key.secret);
        memcpy(stream->buffer, held + SK_XXH3_BLOCK - SK_XXH3_STRIPE, SK_XXH3_STRIPE);
        stream->held = 0;
    }
    if (size > SK_XXH3_BLOCK) {
        size_t full = (size - 1) / SK_XXH3_BLOCK;
        blocks(stream->state.xxh3, data, full, 0, NULL, stream->key.secret);
        data += full * SK_XXH3_BLOCK, size -= full * SK_XXH3_BLOCK;
        memcpy(stream->buffer, data - SK_XXH3_STRIPE, SK_XXH3_STRIPE);
    }
    if (size) memcpy(held + stream->held, data, size);
    stream->held += size;
}

static void finish_accumulators(sk_hash_stream *stream, uint64_t acc[8]) {
    sk_xxh3_blocks blocks = (sk_xxh3_blocks)sk_hash_active(stream->algorithm)->blocks;
    memcpy(acc, stream->state.xxh3, 64);
    blocks(acc, stream->buffer + SK_XXH3_STRIPE, 0, (stream->held - 1) / SK_XXH3_STRIPE,
           stream->buffer + stream->held, stream->key.secret);
}

void sk_xxh3_64_finish(sk_hash_stream *stream, uint8_t *digest) {
    uint64_t acc[8];
    if (stream->total <= SK_XXH3_SHORT) {
        sk_store_be64(digest, sk_xxh3_64_short(stream->buffer + SK_XXH3_STRIPE, stream->total, stream->key.seed));
        return;
    }
    finish_accumulators(stream, acc);
    sk_store_be64(digest, merge_64(acc, stream->key.secret, stream->total));
}

void sk_xxh3_128_finish(sk_hash_stream *stream, uint8_t *digest) {
    uint64_t acc[8];
    if (stream->total <= SK_XXH3_SHORT) {
        put_128(sk_xxh3_128_short(stream->buffer + SK_XXH3_STRIPE, stream->total, stream->key.seed), digest);
        return;
    }
    finish_accumulators(stream, acc);
    put_128(merge_128(acc, stream->key.secret, stream->total), digest);
}
