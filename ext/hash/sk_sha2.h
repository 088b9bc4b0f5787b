/* SHA-2 (FIPS 180-4): the constants, and the functions that all paths share.
 *
 * A path has one function that compresses whole blocks of one message, and may have a batch function with
 * vector lanes. Padding, streams and the batch without lanes are written once, in sk_sha2.c.
 */
#ifndef SK_SHA2_H
#define SK_SHA2_H

#include "sk_bytes.h"
#include "sk_hash.h"

typedef void (*sk_sha256_blocks)(uint32_t state[8], const uint8_t *data, size_t blocks);
typedef void (*sk_sha512_blocks)(uint64_t state[8], const uint8_t *data, size_t blocks);

/* Keeps the compiler from adding in another order. The operand that depends on the last round must be added last;
 * then five operations, not seven, lie between one e and the next. */
#define SK_IN_THIS_ORDER(x) __asm__("" : "+r"(x))

extern const uint32_t SK_SHA256_K[64];
extern const uint64_t SK_SHA512_K[80];
extern const uint32_t SK_SHA224_INITIAL[8], SK_SHA256_INITIAL[8];
extern const uint64_t SK_SHA384_INITIAL[8], SK_SHA512_INITIAL[8];

/* The last one or two blocks of a message: its bytes after the last whole block, 0x80, zeros, the bit length.
 * Returns how many blocks were written into `tail`. */
static inline size_t sk_sha256_pad(uint8_t tail[128], const uint8_t *rest, size_t size, uint64_t total) {
    size_t blocks = size < 56 ? 1 : 2;
    sk_copy_short(tail, rest, size);
    memset(tail + size, 0, 64 * blocks - size);
    tail[size] = 0x80;
    sk_store_be64(tail + 64 * blocks - 8, total << 3);
    return blocks;
}

static inline size_t sk_sha512_pad(uint8_t tail[256], const uint8_t *rest, size_t size, uint64_t total) {
    size_t blocks = size < 112 ? 1 : 2;
    sk_copy_short(tail, rest, size);
    memset(tail + size, 0, 128 * blocks - size);
    tail[size] = 0x80;
    sk_store_be64(tail + 128 * blocks - 16, total >> 61);
    sk_store_be64(tail + 128 * blocks - 8, total << 3);
    return blocks;
}

/* Digests one whole message with a block function, for batches of few or very unequal messages. */
void sk_sha256_message(sk_sha256_blocks blocks, const sk_hash_algorithm *algorithm, sk_span message, uint8_t *out);
void sk_sha512_message(sk_sha512_blocks blocks, const sk_hash_algorithm *algorithm, sk_span message, uint8_t *out);

/* The batch of a path without lanes. */
void sk_sha256_one_by_one(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha512_one_by_one(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

void sk_sha256_start(sk_hash_stream *), sk_sha512_start(sk_hash_stream *);
void sk_sha256_feed(sk_hash_stream *, const uint8_t *, size_t), sk_sha512_feed(sk_hash_stream *, const uint8_t *, size_t);
void sk_sha256_finish(sk_hash_stream *, uint8_t *), sk_sha512_finish(sk_hash_stream *, uint8_t *);

void sk_sha256_blocks_scalar(uint32_t state[8], const uint8_t *data, size_t blocks);
void sk_sha512_blocks_scalar(uint64_t state[8], const uint8_t *data, size_t blocks);

#endif
