/* Transposes eight rows of eight 32-bit words in place. Including files define SK_TARGET. */
#ifndef SK_TRANSPOSE_AVX2_H
#define SK_TRANSPOSE_AVX2_H

#include <immintrin.h>

SK_TARGET static inline void sk_transpose_8(__m256i r[8]) {
    __m256i p[8];
    for (int k = 0; k < 8; k += 2) {
        p[k] = _mm256_unpacklo_epi32(r[k], r[k + 1]);
        p[k + 1] = _mm256_unpackhi_epi32(r[k], r[k + 1]);
    }
    for (int k = 0; k < 4; k++) {     /* word k of rows 0 … 3 and of rows 4 … 7; word k + 4 is in the upper halves */
        const int from = k / 2;
        __m256i top = k % 2 ? _mm256_unpackhi_epi64(p[from], p[2 + from]) : _mm256_unpacklo_epi64(p[from], p[2 + from]);
        __m256i low = k % 2 ? _mm256_unpackhi_epi64(p[4 + from], p[6 + from]) : _mm256_unpacklo_epi64(p[4 + from], p[6 + from]);
        r[k] = _mm256_permute2x128_si256(top, low, 0x20);
        r[k + 4] = _mm256_permute2x128_si256(top, low, 0x31);
    }
}

#endif
