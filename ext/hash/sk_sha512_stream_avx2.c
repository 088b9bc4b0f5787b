/* SHA-384 and SHA-512 of one message with AVX2. */
#include "sk_hash.h"
#if SK_HASH_X86
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("avx2,bmi,bmi2")))
#define SK_STREAM sk_sha512_blocks_avx2
#define SK_ROTATE2(x, n) _mm256_or_si256(_mm256_srli_epi64(x, n), _mm256_slli_epi64(x, 64 - (n)))
#define SK_XOR3Y(x, y, z) _mm256_xor_si256(_mm256_xor_si256(x, y), z)
#include "sk_sha512_stream.h"
#endif
