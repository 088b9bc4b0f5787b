/* XXH3 for more than 240 bytes in AVX2: the eight accumulators are two registers. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_xxh3.h"

#define SK_TARGET __attribute__((target("avx2")))

SK_TARGET static inline __m256i eat(__m256i acc, const uint8_t *data, const uint8_t *secret) {
    __m256i value = _mm256_loadu_si256((const __m256i *)data);
    __asm__("" : "+x"(value));     /* load the value once, and not as a memory operand of two instructions */
    __m256i key = _mm256_xor_si256(value, _mm256_loadu_si256((const __m256i *)secret));
    __m256i product = _mm256_mul_epu32(key, _mm256_srli_epi64(key, 32));
    return _mm256_add_epi64(acc, _mm256_add_epi64(product, _mm256_shuffle_epi32(value, 0x4e)));
}

/* (acc ^ acc >> 47 ^ secret) * prime; the product of 64 by 32 bits is computed in two parts. */
SK_TARGET static inline __m256i scramble(__m256i acc, const uint8_t *secret) {
    const __m256i prime = _mm256_set1_epi64x(SK_P32_1);
    acc = _mm256_xor_si256(_mm256_xor_si256(acc, _mm256_srli_epi64(acc, 47)), _mm256_loadu_si256((const __m256i *)secret));
    __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(acc, 32), prime);
    return _mm256_add_epi64(_mm256_mul_epu32(acc, prime), _mm256_slli_epi64(high, 32));
}

SK_TARGET void sk_xxh3_blocks_avx2(uint64_t accumulators[8], const uint8_t *data, size_t blocks, size_t stripes,
                                   const uint8_t *last, const uint8_t secret[192]) {
    __m256i low = _mm256_loadu_si256((const __m256i *)accumulators);
    __m256i high = _mm256_loadu_si256((const __m256i *)(accumulators + 4));
    for (; blocks; blocks--) {
        for (size_t i = 0; i < 16; i++, data += SK_XXH3_STRIPE) {
            _mm_prefetch((const char *)data + 512, _MM_HINT_T0);
            low = eat(low, data, secret + 8 * i);
            high = eat(high, data + 32, secret + 8 * i + 32);
        }
        low = scramble(low, secret + 128), high = scramble(high, secret + 128 + 32);
    }
    for (size_t i = 0; i < stripes; i++, data += SK_XXH3_STRIPE) {
        low = eat(low, data, secret + 8 * i);
        high = eat(high, data + 32, secret + 8 * i + 32);
    }
    if (last) {
        low = eat(low, last, secret + 192 - 64 - 7);
        high = eat(high, last + 32, secret + 192 - 64 - 7 + 32);
    }
    _mm256_storeu_si256((__m256i *)accumulators, low);
    _mm256_storeu_si256((__m256i *)(accumulators + 4), high);
}
#endif
