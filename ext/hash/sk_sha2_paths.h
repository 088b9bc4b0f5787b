/* The SHA-2 functions of each instruction set; sk_hash_dispatch.c chooses among them. */
#ifndef SK_SHA2_PATHS_H
#define SK_SHA2_PATHS_H

#include "sk_hash.h"

/* The scalar rounds, compiled with the three-operand rotations of BMI2. */
void sk_sha256_blocks_bmi2(uint32_t state[8], const uint8_t *data, size_t blocks);
void sk_sha512_blocks_bmi2(uint64_t state[8], const uint8_t *data, size_t blocks);

/* One SHA-512 message at a time; its message schedule is computed in vectors. */
void sk_sha512_blocks_avx512(uint64_t state[8], const uint8_t *data, size_t blocks);
void sk_sha512_blocks_avx2(uint64_t state[8], const uint8_t *data, size_t blocks);

/* One message, and four interleaved ones, with the SHA instructions. */
void sk_sha256_blocks_ni(uint32_t state[8], const uint8_t *data, size_t blocks);
void sk_sha256_batch_ni(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

/* 16 and 8 lanes; and 16 lanes with SHA instructions for messages that do not fill the lanes. */
void sk_sha256_batch_avx512_ni(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha256_batch_avx512(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha256_batch_avx2(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

/* 8 and 4 lanes. */
void sk_sha512_batch_avx512(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);
void sk_sha512_batch_avx2(const sk_hash_algorithm *, const sk_hash_key *, const sk_span *, size_t, uint8_t *);

#endif
