/* SHA-384 and SHA-512 of one message with AVX-512's rotations. 256-bit registers: they do not slow the clock. */
#include "sk_hash.h"
#if SK_HASH_X86
#include "sk_sha2_paths.h"

#define SK_TARGET __attribute__((target("avx512f,avx512vl,avx2,bmi,bmi2")))
#define SK_STREAM sk_sha512_blocks_avx512
#define SK_ROTATE2 _mm256_ror_epi64
#define SK_XOR3Y(x, y, z) _mm256_ternarylogic_epi64(x, y, z, 0x96)
#include "sk_sha512_stream.h"
#endif
