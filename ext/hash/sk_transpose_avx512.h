/* Sixteen rows of sixteen 32-bit words become columns, in place; including files define SK_TARGET. */
#ifndef SK_TRANSPOSE_AVX512_H
#define SK_TRANSPOSE_AVX512_H

#include <immintrin.h>

SK_TARGET static inline void sk_transpose_16(__m512i r[16]) {
    __m512i p[16];
    for (int i = 0; i < 16; i += 2) {
        p[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        p[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    /* q[4 group + k]: words k, k + 4, k + 8, k + 12 of rows 4 group … 4 group + 3, a 128-bit part each */
    __m512i q[16];
    for (int group = 0; group < 16; group += 4) {
        q[group] = _mm512_unpacklo_epi64(p[group], p[group + 2]);
        q[group + 1] = _mm512_unpackhi_epi64(p[group], p[group + 2]);
        q[group + 2] = _mm512_unpacklo_epi64(p[group + 1], p[group + 3]);
        q[group + 3] = _mm512_unpackhi_epi64(p[group + 1], p[group + 3]);
    }
    for (int k = 0; k < 4; k++) {
        __m512i even01 = _mm512_shuffle_i32x4(q[k], q[4 + k], 0x88), even23 = _mm512_shuffle_i32x4(q[8 + k], q[12 + k], 0x88);
        __m512i odd01 = _mm512_shuffle_i32x4(q[k], q[4 + k], 0xdd), odd23 = _mm512_shuffle_i32x4(q[8 + k], q[12 + k], 0xdd);
        r[k] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        r[k + 8] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        r[k + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        r[k + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
}

#endif
