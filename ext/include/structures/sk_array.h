/* An array: a mutex for its users, and elements in C order.
 *
 *   offset in the body   what                                      written by
 *   0                    lock: see sk_mutex.h                      see sk_mutex.h; no operation here takes it
 *   next line or         elements, param[SK_ARRAY_COUNT] of        any thread: through views by plain stores, through
 *   page of the file     param[SK_ARRAY_ITEMSIZE] bytes            the functions below by one atomic step each
 *
 * Elements that fill a page or more begin on a page. The description of the element type and the shape are the meta of
 * the header; the numbers that bound an access are params, and are checked once, at attachment.
 *
 * Deaths. An addition or exchange is one atomic instruction, so there is nothing to repair. sk_array_check checks all
 * indices before sk_array_add_many_* adds the first value. If a process dies in sk_array_add_many_*, some of the
 * additions are done and the others are not; none is half done. Plain stores through views can be torn. A user who must
 * not see torn data writes and reads them under the lock; if a holder dies, the next holder gets SK_OWNER_DIED. */
#ifndef SK_ARRAY_H
#define SK_ARRAY_H

#include "structures/sk_mutex.h"

/* header.param of an array */
#define SK_ARRAY_ITEMSIZE 0
#define SK_ARRAY_COUNT 1
#define SK_ARRAY_DATA 2 /* the offset of the elements in the file */

/* By how many indices ahead sk_array_scatter_* prefetches elements. */
#define SK_ARRAY_AHEAD 16u

static inline sk_mutex *sk_array_lock(const sk_segment *s) { return sk_body_of(s); }
static inline unsigned char *sk_array_data(const sk_segment *s) {
    return s->base + sk_header_of(s)->param[SK_ARRAY_DATA];
}
static inline uint64_t sk_array_bytes(const sk_segment *s) {
    const sk_header *h = sk_header_of(s);
    return h->param[SK_ARRAY_ITEMSIZE] * h->param[SK_ARRAY_COUNT];
}

/* The offset of the elements in a segment whose body is at offset `body`. */
static inline uint64_t sk_array_data_at(uint64_t body, uint32_t seats, uint64_t bytes) {
    return sk_round_up(body + sk_mutex_len(seats), bytes >= SK_PAGE ? SK_PAGE : SK_LINE);
}

/* SK_OK if the params agree with each other and with the file, otherwise SK_CORRUPT. */
static inline int sk_array_refuse(const sk_segment *s) {
    const sk_header *h = sk_header_of(s);
    uint64_t bytes, data = h->param[SK_ARRAY_DATA];
    if (__builtin_mul_overflow(h->param[SK_ARRAY_ITEMSIZE], h->param[SK_ARRAY_COUNT], &bytes)) return SK_CORRUPT;
    if (data != sk_array_data_at(h->body, h->seats, bytes)) return SK_CORRUPT;
    return data <= s->base_len && bytes <= s->base_len - data ? SK_OK : SK_CORRUPT;
}

/* --- initial contents ------------------------------------------------------------------------------ */

/* The initial contents of the next array that this thread creates. */
static _Thread_local const void *sk_array_contents;

/* Set the initial contents of the next array that this thread creates with sk_array_fill: as many bytes as its elements
 * have. */
static inline void sk_array_fill_from(const void *contents) { sk_array_contents = contents; }

/* sk_plan.fill of an array with initial contents: copies them before the file gets its name. */
static inline int sk_array_fill(sk_segment *s) {
    memcpy(sk_array_data(s), sk_array_contents, sk_array_bytes(s));
    return SK_OK;
}

/* --- one element -------------------------------------------------------------------------------- */

/* Integers wrap around. The bits of a sum are the same for signed and unsigned numbers. */
#define SK_ARRAY_ADD_INTEGER(bits)                                                                  \
    static inline uint##bits##_t sk_array_add_i##bits(uint##bits##_t *at, uint##bits##_t n) {       \
        return sk_add##bits##_seq_cst(at, n);                                                       \
    }

/* By compare-and-swap on the bits, because machines have no atomic addition of floats. */
#define SK_ARRAY_ADD_FLOAT(bits, real)                                                              \
    static inline real sk_array_add_f##bits(uint##bits##_t *at, real n) {                           \
        uint##bits##_t seen = sk_load##bits##_relaxed(at), wanted;                                  \
        real old, sum;                                                                              \
        do {                                                                                        \
            memcpy(&old, &seen, sizeof old);                                                        \
            sum = old + n;                                                                          \
            memcpy(&wanted, &sum, sizeof sum);                                                      \
        } while (!sk_cas##bits##_seq_cst(at, &seen, wanted));                                       \
        return old;                                                                                 \
    }

SK_ARRAY_ADD_INTEGER(8)
SK_ARRAY_ADD_INTEGER(16)
SK_ARRAY_ADD_INTEGER(32)
SK_ARRAY_ADD_INTEGER(64)
SK_ARRAY_ADD_FLOAT(32, float)
SK_ARRAY_ADD_FLOAT(64, double)
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8, "the floats of NumPy");

/* Exchange the `width` (1, 2, 4, 8) bytes at `at` if they are those at `expected`. */
static inline bool sk_array_exchange_if(void *at, uint32_t width, const void *expected, const void *desired) {
    union {
        uint8_t b1;
        uint16_t b2;
        uint32_t b4;
        uint64_t b8;
    } seen, wanted;
    memcpy(&seen, expected, width);
    memcpy(&wanted, desired, width);
    switch (width) {
        case 1: return sk_cas8_seq_cst(at, &seen.b1, wanted.b1);
        case 2: return sk_cas16_seq_cst(at, &seen.b2, wanted.b2);
        case 4: return sk_cas32_seq_cst(at, &seen.b4, wanted.b4);
        default: return sk_cas64_seq_cst(at, &seen.b8, wanted.b8);
    }
}

/* --- many elements ------------------------------------------------------------------------------- */

/* Returns how many of the n indices are good before the first that lies outside of `count` elements. Negative indices
 * count from the end. */
static inline uint64_t sk_array_check(const int64_t *indices, uint64_t n, uint64_t count) {
    const uint64_t piece = 1024; /* no branch within a piece, so that the compiler can check several at once */
    int64_t most = (int64_t)count;
    uint64_t good = 0;
    while (good < n) {
        uint64_t end = n - good < piece ? n : good + piece, bad = 0;
        for (uint64_t i = good; i < end; i++) bad += (uint64_t)(indices[i] >= most) + (uint64_t)(indices[i] < -most);
        if (bad != 0) break;
        good = end;
    }
    while (good < n && indices[good] < most && indices[good] >= -most) good++;
    return good;
}

/* Extend flat positions by one axis of `length`: position * length + index. Returns how many indices are good before
 * the first bad one; the positions from there on are unchanged. */
static inline uint64_t sk_array_fold(int64_t *positions, const int64_t *indices, uint64_t n, uint64_t length) {
    for (uint64_t i = 0; i < n; i++) {
        int64_t index = indices[i];
        uint64_t along = (uint64_t)index + (index < 0 ? length : 0);
        if (__builtin_expect(along >= length, 0)) return i;
        positions[i] = (int64_t)((uint64_t)positions[i] * length + along);
    }
    return n;
}

/* One pass over n checked indices and their values, which are `step` (0 or 1) apart: execute `add` for each place. If
 * another process has changed an index since the check and it is out of range now, return its number, less than n. */
#define SK_ARRAY_EACH(add)                                                                          \
    for (uint64_t i = 0; i < n; i++, v += step) {                                                   \
        int64_t index = (int64_t)sk_load64_relaxed((const uint64_t *)(const void *)&indices[i]);       \
        uint64_t place = (uint64_t)index + (index < 0 ? count : 0);                                 \
        if (__builtin_expect(place >= count, 0)) return i;                                          \
        add;                                                                                        \
    }

/* Add many values. Returns how many indices were good.
 *
 * `sums`, if not NULL, are `count` zeroed values in memory of this process. Then the values for each element are summed
 * there first, and each sum is added in one atomic step, because an atomic step costs as much as six plain additions.
 * In this case a call with a bad index adds nothing, and neither does a process that dies before the sums are complete.
 * `sums` may be the elements themselves if no other thread changes them meanwhile: then additions are plain ones. */
#define SK_ARRAY_ADD_MANY(name, word, value)                                                        \
    static inline uint64_t sk_array_scatter_##name(word *at, uint64_t count, const int64_t *indices, uint64_t n, \
                                                   const value *v, uint64_t step) {                 \
        SK_ARRAY_EACH({                                                                             \
            if (i + SK_ARRAY_AHEAD < n) {                                                           \
                uint64_t ahead = (uint64_t)indices[i + SK_ARRAY_AHEAD];                             \
                __builtin_prefetch(at + (ahead < count ? ahead : 0), 1);                            \
            }                                                                                       \
            sk_array_add_##name(at + place, *v);                                                    \
        })                                                                                          \
        return n;                                                                                   \
    }                                                                                               \
    static inline uint64_t sk_array_sum_##name(value *sums, uint64_t count, const int64_t *indices, uint64_t n, \
                                               const value *v, uint64_t step) {                     \
        SK_ARRAY_EACH(sums[place] = (value)(sums[place] + *v))                                      \
        return n;                                                                                   \
    }                                                                                               \
    static inline uint64_t sk_array_add_many_##name(void *data, uint64_t count, const int64_t *indices, uint64_t n, \
                                                    const void *values, uint64_t step, void *own) { \
        word *at = data;                                                                            \
        value *sums = own;                                                                          \
        if (sums == NULL) return sk_array_scatter_##name(at, count, indices, n, values, step);      \
        if (own == data) return sk_array_sum_##name(sums, count, indices, n, values, step);         \
        uint64_t good = sk_array_sum_##name(sums, count, indices, n, values, step);                 \
        for (uint64_t i = 0; good == n && i < count; i++)                                           \
            if (sums[i] != 0) sk_array_add_##name(at + i, sums[i]);                                 \
        return good;                                                                                \
    }

typedef uint64_t (*sk_array_add_many)(void *data, uint64_t count, const int64_t *indices, uint64_t n,
                                      const void *values, uint64_t step, void *sums);

SK_ARRAY_ADD_MANY(i8, uint8_t, uint8_t)
SK_ARRAY_ADD_MANY(i16, uint16_t, uint16_t)
SK_ARRAY_ADD_MANY(i32, uint32_t, uint32_t)
SK_ARRAY_ADD_MANY(i64, uint64_t, uint64_t)
SK_ARRAY_ADD_MANY(f32, uint32_t, float)
SK_ARRAY_ADD_MANY(f64, uint64_t, double)

#endif
