/* UTF-8 from code points of 1, 2 or 4 bytes (the forms CPython and NumPy keep text in). */
#ifndef SK_UTF8_H
#define SK_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SK_UTF8_BAD SIZE_MAX     /* a surrogate or a number past U+10FFFF: no UTF-8 for it */

static inline uint32_t sk_code_point(const void *text, int width, size_t i) {
    const uint8_t *p = (const uint8_t *)text + (size_t)width * i;
    uint16_t two;
    uint32_t four;
    if (width == 1) return *p;
    if (width == 2) return memcpy(&two, p, 2), two;
    return memcpy(&four, p, 4), four;
}

/* Bytes that `length` code points take, or SK_UTF8_BAD. */
static inline size_t sk_utf8_size(const void *text, int width, size_t length) {
    size_t size = length, bad = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t c = sk_code_point(text, width, i);
        size += (c > 0x7f) + (c > 0x7ff) + (c > 0xffff);
        bad |= (c - 0xd800 < 0x800) | (c > 0x10ffff);
    }
    return bad ? SK_UTF8_BAD : size;
}

/* Writes sk_utf8_size bytes to `out`; returns the end. */
static inline uint8_t *sk_utf8_write(const void *text, int width, size_t length, uint8_t *out) {
    for (size_t i = 0; i < length; i++) {
        uint32_t c = sk_code_point(text, width, i);
        if (c < 0x80) {
            *out++ = (uint8_t)c;
        } else if (c < 0x800) {
            *out++ = (uint8_t)(0xc0 | c >> 6);
            *out++ = (uint8_t)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
            *out++ = (uint8_t)(0xe0 | c >> 12);
            *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            *out++ = (uint8_t)(0x80 | (c & 0x3f));
        } else {
            *out++ = (uint8_t)(0xf0 | c >> 18);
            *out++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
            *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            *out++ = (uint8_t)(0x80 | (c & 0x3f));
        }
    }
    return out;
}

/* Code points of a NumPy `U` item: `length` without the NULs at the end. */
static inline size_t sk_ucs4_trimmed(const void *text, size_t length) {
    while (length && sk_code_point(text, 4, length - 1) == 0) length--;
    return length;
}

#endif
