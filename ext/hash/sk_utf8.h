/* UTF-8 from code points of 1, 2 or 4 bytes (the forms in which CPython and NumPy store text).
 *
 * Text may change while it is read (sk_foreign.h), so its size may be another when it is written than when it was
 * measured. So the writer gets the size of its room and stays inside of it.
 */
#ifndef SK_UTF8_H
#define SK_UTF8_H

#include <string.h>

#include "sk_foreign.h"

#define SK_UTF8_BAD SIZE_MAX            /* the text has a surrogate, or a number past U+10FFFF */
#define SK_UTF8_FULL (SIZE_MAX - 1)     /* the text does not fit */

static inline uint32_t sk_code_point(const void *text, int width, size_t i) {
    const uint8_t *p = (const uint8_t *)text + (size_t)width * i;
    if (width == 1) return (uint8_t)sk_load_foreign_8(p);
    if (width == 2) return (uint16_t)sk_load_foreign_16(p);
    return (uint32_t)sk_load_foreign_32(p);
}

/* The number of bytes that `length` code points take now, or SK_UTF8_BAD. */
static inline size_t sk_utf8_size(const void *text, int width, size_t length) {
    const uint8_t *p = text;
    size_t size = length, bad = 0;
    for (size_t i = 0; i < length; i++, p += width) {
        uint16_t two;
        uint32_t c;
        if (width == 1) c = *p;
        else if (width == 2) memcpy(&two, p, 2), c = two;
        else memcpy(&c, p, 4);
        size += (c > 0x7f) + (c > 0x7ff) + (c > 0xffff);
        bad |= (c - 0xd800 < 0x800) | (c > 0x10ffff);
    }
    return bad ? SK_UTF8_BAD : size;
}

#define SK_ASCII_RUN 8

/* If all SK_ASCII_RUN code points of four bytes at `text` are ASCII, copies them; otherwise returns false. */
static inline bool sk_ascii_run(const uint8_t *text, uint8_t *out) {
    uint32_t points[SK_ASCII_RUN], any = 0;
    memcpy(points, text, sizeof points);
    for (int i = 0; i < SK_ASCII_RUN; i++) any |= points[i];
    if (any > 0x7f) return false;
    for (int i = 0; i < SK_ASCII_RUN; i++) out[i] = (uint8_t)points[i];
    return true;
}

/* sk_utf8_write for one width, which is a constant for the compiler. */
static inline __attribute__((always_inline)) size_t sk_utf8_write_of(const void *text, int width, size_t length, uint8_t *out,
                                                                     size_t room) {
    uint8_t *at = out, *const end = out + room;
    for (size_t i = 0; i < length; i++) {
        const uint32_t c = sk_code_point(text, width, i);
        if (c < 0x80) {
            if (width == 4 && length - i >= SK_ASCII_RUN && end - at >= SK_ASCII_RUN &&
                sk_ascii_run((const uint8_t *)text + 4 * i, at)) {
                i += SK_ASCII_RUN - 1, at += SK_ASCII_RUN;
                continue;
            }
            if (at == end) return SK_UTF8_FULL;
            *at++ = (uint8_t)c;
        } else if (c < 0x800) {
            if (end - at < 2) return SK_UTF8_FULL;
            *at++ = (uint8_t)(0xc0 | c >> 6);
            *at++ = (uint8_t)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
            if (c - 0xd800 < 0x800) return SK_UTF8_BAD;
            if (end - at < 3) return SK_UTF8_FULL;
            *at++ = (uint8_t)(0xe0 | c >> 12);
            *at++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            *at++ = (uint8_t)(0x80 | (c & 0x3f));
        } else {
            if (c > 0x10ffff) return SK_UTF8_BAD;
            if (end - at < 4) return SK_UTF8_FULL;
            *at++ = (uint8_t)(0xf0 | c >> 18);
            *at++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
            *at++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
            *at++ = (uint8_t)(0x80 | (c & 0x3f));
        }
    }
    return (size_t)(at - out);
}

/* Writes `length` code points to `out`, never more than `room` bytes. Returns the number of bytes, SK_UTF8_BAD or
 * SK_UTF8_FULL. Each code point is loaded once. */
static inline size_t sk_utf8_write(const void *text, int width, size_t length, uint8_t *out, size_t room) {
    switch (width) {
    case 1: return sk_utf8_write_of(text, 1, length, out, room);
    case 2: return sk_utf8_write_of(text, 2, length, out, room);
    default: return sk_utf8_write_of(text, 4, length, out, room);
    }
}

/* The number of code points of a NumPy `U` item: `length` without the NULs at the end. */
static inline size_t sk_ucs4_trimmed(const void *text, size_t length) {
    while (length && sk_code_point(text, 4, length - 1) == 0) length--;
    return length;
}

/* A column of NumPy's `U` kind, and the memory for the UTF-8 of its next items. */
typedef struct sk_ucs4_column {
    const uint8_t *first;
    ptrdiff_t stride;
    size_t width;            /* code points of an item */
    size_t count;
    size_t next;             /* the item to write next */
    uint8_t *at;             /* free memory … */
    size_t room;             /* … and its size; 4 * width are enough for any item */
} sk_ucs4_column;

/* Writes items and their spans, until all are written or one does not fit. Returns false if the next item has no UTF-8.
 * Items are not measured first: an item that does not fit is read again when the caller has provided new room. */
static inline bool sk_ucs4_write(sk_ucs4_column *column, sk_span *spans) {
    for (; column->next < column->count; column->next++) {
        const uint8_t *item = column->first + (ptrdiff_t)column->next * column->stride;
        const size_t size = sk_utf8_write_of(item, 4, sk_ucs4_trimmed(item, column->width), column->at, column->room);
        if (size == SK_UTF8_FULL) return true;
        if (size == SK_UTF8_BAD) return false;
        spans[column->next] = (sk_span){column->at, size};
        column->at += size, column->room -= size;
    }
    return true;
}

#endif
