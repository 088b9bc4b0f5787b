/* What each instruction set brings to SHA-2; the dispatch file chooses. */
#ifndef SK_SHA2_PATHS_H
#define SK_SHA2_PATHS_H

#include "sk_hash.h"

/* The scalar rounds compiled with three-operand rotations (BMI2). */
void sk_sha256_blocks_bmi2(uint32_t state[8], const uint8_t *data, size_t blocks);
void sk_sha512_blocks_bmi2(uint64_t state[8], const uint8_t *data, size_t blocks);

/* One SHA-512 stream whose message schedule is computed in vectors. */
void sk_sha512_blocks_avx512(uint64_t state[8], const uint8_t *data, size_t blocks);
void sk_sha512_blocks_avx2(uint64_t state[8], const uint8_t *data, size_t blocks);

/* One stream, and four interleaved ones, through the SHA instructions. */
void sk_sha256_blocks_ni(uint32_t state[8], const uint8_t *data, size_t blocks);
void sk_sha256_batch_ni(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

/* 16 and 8 lanes; 16 lanes with streams for what does not fill them. */
void sk_sha256_batch_avx512_ni(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha256_batch_avx512(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha256_batch_avx2(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

/* 8 and 4 lanes. */
void sk_sha512_batch_avx512(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha512_batch_avx2(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

#endif
