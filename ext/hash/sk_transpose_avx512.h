/* Transposes sixteen rows of sixteen 32-bit words, in registers or from memory. Including files define SK_TARGET. */
#ifndef SK_TRANSPOSE_AVX512_H
#define SK_TRANSPOSE_AVX512_H

#include <immintrin.h>

SK_TARGET static inline void sk_transpose_16(__m512i r[16]) {
    __m512i p[16];
    for (int i = 0; i < 16; i += 2) {
        p[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        p[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    /* q[4 group + k]: words k, k + 4, k + 8, k + 12 of rows 4 group … 4 group + 3, each word in a 128-bit part */
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

/* One register with 16 bytes of each of four lanes, which are `apart` from each other. Insertions from memory do not
 * use the only port that shuffles, and none of these loads crosses a cache line if the data is aligned to 16. */
SK_TARGET static inline __m512i sk_quarters(const uint8_t *const *data, int apart, size_t offset) {
    __m512i r = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(data[0] + offset)));
    r = _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(data[apart] + offset)), 1);
    r = _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(data[2 * apart] + offset)), 2);
    return _mm512_inserti32x4(r, _mm_loadu_si128((const __m128i *)(data[3 * apart] + offset)), 3);
}

/* m[i] becomes word i of the 64 bytes at data[lane] + offset, for every lane. */
SK_TARGET static inline void sk_load_16(const uint8_t *const *data, size_t offset, __m512i m[16]) {
    for (int i = 0; i < 16; i += 4) {
        __m512i a = sk_quarters(data, 4, offset + 4 * i), b = sk_quarters(data + 1, 4, offset + 4 * i);
        __m512i c = sk_quarters(data + 2, 4, offset + 4 * i), d = sk_quarters(data + 3, 4, offset + 4 * i);
        __m512i low_ab = _mm512_unpacklo_epi32(a, b), high_ab = _mm512_unpackhi_epi32(a, b);
        __m512i low_cd = _mm512_unpacklo_epi32(c, d), high_cd = _mm512_unpackhi_epi32(c, d);
        m[i] = _mm512_unpacklo_epi64(low_ab, low_cd), m[i + 1] = _mm512_unpackhi_epi64(low_ab, low_cd);
        m[i + 2] = _mm512_unpacklo_epi64(high_ab, high_cd), m[i + 3] = _mm512_unpackhi_epi64(high_ab, high_cd);
    }
}

#endif
