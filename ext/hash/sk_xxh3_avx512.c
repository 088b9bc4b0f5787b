/* XXH3 in AVX-512: the eight accumulators are one register; eight integers of a column are hashed at once. */
#include "sk_hash.h"
#if SK_HASH_X86
#include <immintrin.h>

#include "sk_xxh3.h"

#define SK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))

#define AHEAD 1024      /* how many bytes ahead to prefetch */

SK_TARGET static inline __m512i eat(__m512i acc, const uint8_t *data, __m512i secret) {
    __m512i value = _mm512_loadu_si512(data);
    /* load the value once: compilers make two memory operands of it, each of which crosses a cache line */
    __asm__("" : "+v"(value));
    __m512i key = _mm512_xor_si512(value, secret);
    __m512i product = _mm512_mul_epu32(key, _mm512_srli_epi64(key, 32));
    __m512i neighbours = _mm512_shuffle_epi32(value, (_MM_PERM_ENUM)0x4e);
    return _mm512_add_epi64(acc, _mm512_add_epi64(product, neighbours));
}

SK_TARGET void sk_xxh3_blocks_avx512(uint64_t accumulators[8], const uint8_t *data, size_t blocks, size_t stripes,
                                     const uint8_t *last, const uint8_t secret[192]) {
    const __m512i prime = _mm512_set1_epi64(SK_P32_1), scrambler = _mm512_loadu_si512(secret + 128);
    __m512i acc = _mm512_loadu_si512(accumulators), keys[16] = {0};
    /* copies in whole cache lines, or in registers: in the secret nearly each of them crosses a cache line */
    for (int i = 0; blocks && i < 16; i++) keys[i] = _mm512_loadu_si512(secret + 8 * i);
    for (; blocks; blocks--, data += SK_XXH3_BLOCK) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            _mm_prefetch((const char *)data + SK_XXH3_STRIPE * i + AHEAD, _MM_HINT_T0);
            acc = eat(acc, data + SK_XXH3_STRIPE * i, keys[i]);
        }
        acc = _mm512_ternarylogic_epi64(acc, _mm512_srli_epi64(acc, 47), scrambler, 0x96);
        acc = _mm512_mullo_epi64(acc, prime);
    }
    for (size_t i = 0; i < stripes; i++, data += SK_XXH3_STRIPE) acc = eat(acc, data, _mm512_loadu_si512(secret + 8 * i));
    if (last) acc = eat(acc, last, _mm512_loadu_si512(secret + 192 - 64 - 7));
    _mm512_storeu_si512(accumulators, acc);
}

/* Adjacent items of eight bytes; the remaining ones, and other layouts, as in the other paths. */
SK_TARGET void sk_xxh3_64_column_avx512(const sk_hash_algorithm *algorithm, const sk_hash_key *key, const uint8_t *first,
                                        ptrdiff_t stride, size_t size, size_t count, uint8_t *out) {
    if (size == 8 && stride == 8) {
        const uint64_t seed = key->seed ^ (uint64_t)__builtin_bswap32((uint32_t)key->seed) << 32;
        const __m512i flip = _mm512_set1_epi64((long long)(sk_xxh3_flip(8) - seed));
        const __m512i prime = _mm512_set1_epi64((long long)SK_MIX_2), eight = _mm512_set1_epi64(8);
        for (; count >= 8; count -= 8, first += 64, out += 64) {
            /* swap the halves of each item: its first four bytes are the high ones */
            __m512i h = _mm512_xor_si512(_mm512_rol_epi64(_mm512_loadu_si512(first), 32), flip);
            h = _mm512_ternarylogic_epi64(h, _mm512_rol_epi64(h, 49), _mm512_rol_epi64(h, 24), 0x96);
            h = _mm512_mullo_epi64(h, prime);
            h = _mm512_xor_si512(h, _mm512_add_epi64(_mm512_srli_epi64(h, 35), eight));
            h = _mm512_mullo_epi64(h, prime);
            _mm512_storeu_si512(out, _mm512_xor_si512(h, _mm512_srli_epi64(h, 28)));
        }
    }
    sk_xxh3_64_column(algorithm, key, first, stride, size, count, out);
}
#endif
