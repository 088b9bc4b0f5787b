/* Turns layouts into spans, in pieces that fit into the cache. */
#include "sk_source.h"

#include "sk_bytes.h"
#include "sk_foreign.h"

#define PIECE 1024       /* spans on the stack: 16 KiB */
#define VIEW_SIZE 16     /* Arrow: length (4), then 12 bytes inline, or prefix (4), buffer (4), offset (4) */
#define VIEW_INLINE 12

/* A reader for each layout. Each is compiled twice: with `out`, and without, to check only. */
#define READER static inline __attribute__((always_inline)) size_t

static const uint8_t NOTHING[1];

static size_t wrong(sk_bad *bad, size_t index, int64_t from, int64_t to) {
    *bad = (sk_bad){index, from, to, false};
    return index;
}

/* Neighbours share an offset. This many offsets are copied at a time and checked together. */
#define WORDS 1024
#define READ_OFFSETS(name, unsigned_word, word, fit)                                                                   \
    READER name(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad) {                      \
        const sk_extent whole = {source->data, source->size};                                                          \
        const uint8_t *const place = (const uint8_t *)source->offsets + sizeof(word) * start;                           \
        unsigned_word words[WORDS + 1];                                                                                 \
        for (size_t done = 0, n; done < count; done += n) {                                                             \
            n = count - done < WORDS ? count - done : WORDS;                                                            \
            sk_copy_foreign(words, place + sizeof(word) * done, sizeof(word) * (n + 1));                                \
            if (__builtin_expect(!fit(words, n, whole.size), 0)) {                                                      \
                for (size_t i = 0; i < n; i++) {                                                                        \
                    const word from = (word)words[i], to = (word)words[i + 1];                                          \
                    sk_span span;                                                                                       \
                    if (!sk_extent_cut(whole, from, to, &span)) return wrong(bad, start + done + i, from, to) - start;  \
                    if (out) out[done + i] = span;                                                                      \
                }                                                                                                       \
                continue;                                                                                               \
            }                                                                                                           \
            for (size_t i = 0; out && i < n; i++)                                                                       \
                out[done + i] = (sk_span){whole.data + words[i], words[i + 1] - words[i]};                              \
        }                                                                                                               \
        return count;                                                                                                   \
    }
READ_OFFSETS(read_offsets_32, uint32_t, int32_t, sk_offsets_fit_32)
READ_OFFSETS(read_offsets_64, uint64_t, int64_t, sk_offsets_fit_64)

/* One by one: checking pairs in vectors took a fifth longer. */
READER read_pairs(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad) {
    const sk_extent whole = {source->data, source->size};
    const uint8_t *place = (const uint8_t *)source->offsets + 16 * start;
    sk_span span;
    for (size_t i = 0; i < count; i++, place += 16) {
        const int64_t from = sk_load_foreign_64(place), to = sk_load_foreign_64(place + 8);
        if (__builtin_expect(!sk_extent_cut(whole, from, to, &span), 0)) return wrong(bad, start + i, from, to) - start;
        if (out) out[i] = span;
    }
    return count;
}

READER read_views(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad) {
    const uint8_t *view = source->data + VIEW_SIZE * start;
    sk_span span;
    for (size_t i = 0; i < count; i++, view += VIEW_SIZE) {
        const int32_t size = sk_load_foreign_32(view);
        if (size >= 0 && size <= VIEW_INLINE) {
            span = (sk_span){view + 4, (size_t)size};
        } else {
            const int32_t buffer = sk_load_foreign_32(view + 8);
            const int64_t from = sk_load_foreign_32(view + 12), to = from + size;
            sk_extent whole = {NOTHING, 0};
            if (buffer >= 0 && (size_t)buffer < source->buffer_count) {
                const int64_t room = sk_load_foreign_64(&source->buffer_sizes[buffer]);
                whole = (sk_extent){source->buffers[buffer], room < 0 ? 0 : (size_t)room};
            }
            if (!sk_extent_cut(whole, from, to, &span)) return wrong(bad, start + i, from, to) - start;
        }
        if (out) out[i] = span;
    }
    return count;
}

/* A code as an unsigned number; a negative code becomes larger than any number of values. */
static inline __attribute__((always_inline)) uint64_t load_code(const uint8_t *place, int width) {
    switch (width) {
    case 1: return (uint8_t)sk_load_foreign_8(place);
    case 2: return (uint16_t)sk_load_foreign_16(place);
    case 4: return (uint32_t)sk_load_foreign_32(place);
    case -1: return (uint64_t)(int64_t)sk_load_foreign_8(place);
    case -2: return (uint64_t)(int64_t)sk_load_foreign_16(place);
    case -4: return (uint64_t)(int64_t)sk_load_foreign_32(place);
    default: return (uint64_t)sk_load_foreign_64(place);
    }
}

/* read_codes for one width, which is a constant for the compiler. */
READER read_codes_of(const sk_source *source, int width, size_t start, size_t count, uint32_t row, uint8_t *out, sk_bad *bad) {
    const uint8_t *place = source->data + (ptrdiff_t)start * source->stride;
    for (size_t i = 0; i < count; i++, place += source->stride) {
        const uint64_t code = load_code(place, width);
        if (__builtin_expect(code >= source->size, 0)) return wrong(bad, start + i, (int64_t)code, 0) - start;
        if (__builtin_expect(source->validity != NULL, 0) &&
            !sk_load_foreign_bit(source->validity, source->validity_start + code)) {
            wrong(bad, start + i, (int64_t)code, 0);
            bad->missing = true;
            return i;
        }
        if (out) memcpy(out + i * row, source->rows + code * row, row);
    }
    return count;
}

/* Copies the digest of each item's value, `row` bytes, to `out`; or, without `out`, only checks. Returns how many items
 * were right. */
READER read_codes(const sk_source *source, size_t start, size_t count, uint32_t row, uint8_t *out, sk_bad *bad) {
    switch (source->code_width) {
    case 1: return read_codes_of(source, 1, start, count, row, out, bad);
    case 2: return read_codes_of(source, 2, start, count, row, out, bad);
    case 4: return read_codes_of(source, 4, start, count, row, out, bad);
    case -1: return read_codes_of(source, -1, start, count, row, out, bad);
    case -2: return read_codes_of(source, -2, start, count, row, out, bad);
    case -4: return read_codes_of(source, -4, start, count, row, out, bad);
    default: return read_codes_of(source, 8, start, count, row, out, bad);
    }
}

static bool spread_digests(const sk_source *source, size_t start, size_t count, uint32_t row, uint8_t *out, sk_bad *bad) {
    switch (row) {       /* a copy of constant size is a few moves */
    case 4: return read_codes(source, start, count, 4, out, bad) == count;
    case 8: return read_codes(source, start, count, 8, out, bad) == count;
    case 16: return read_codes(source, start, count, 16, out, bad) == count;
    case 32: return read_codes(source, start, count, 32, out, bad) == count;
    default: return read_codes(source, start, count, row, out, bad) == count;
    }
}

static inline size_t trimmed(const uint8_t *data, size_t size) {
    while (size && data[size - 1] == 0) size--;
    return size;
}

READER read_items(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad) {
    switch (source->kind) {
    case SK_SPANS:
        if (out) memcpy(out, source->spans + start, count * sizeof *out);
        return count;
    case SK_STRIDED:
        for (size_t i = 0; out && i < count; i++)
            out[i] = (sk_span){source->data + (ptrdiff_t)(start + i) * source->stride, source->size};
        return count;
    case SK_TRIMMED:
        for (size_t i = 0; out && i < count; i++) {
            const uint8_t *item = source->data + (ptrdiff_t)(start + i) * source->stride;
            out[i] = (sk_span){item, trimmed(item, source->size)};
        }
        return count;
    case SK_OFFSETS_32: return read_offsets_32(source, start, count, out, bad);
    case SK_OFFSETS_64: return read_offsets_64(source, start, count, out, bad);
    case SK_PAIRS_64: return read_pairs(source, start, count, out, bad);
    case SK_VIEWS: return read_views(source, start, count, out, bad);
    case SK_CODES:
        for (size_t i = 0; out && i < count; i++) out[i] = (sk_span){NOTHING, 0};
        return read_codes(source, start, count, 0, NULL, bad);
    }
    return 0;
}

/* read_items for items that may be missing; a missing item may have any offsets or view. */
static size_t read_present(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad) {
    for (size_t i = 0; i < count; i++) {
        sk_span span = {NOTHING, 0};
        if (sk_load_foreign_bit(source->validity, source->validity_start + start + i) &&
            !read_items(source, start + i, 1, &span, bad))
            return i;
        if (out) out[i] = span;
    }
    return count;
}

size_t sk_source_read(const sk_source *source, size_t start, size_t count, sk_span *out, sk_bad *bad) {
    if (source->validity && source->kind != SK_CODES) return read_present(source, start, count, out, bad);
    return read_items(source, start, count, out, bad);
}

bool sk_source_check(const sk_source *source, sk_bad *bad) {
    if (source->validity && source->kind != SK_CODES) return read_present(source, 0, source->count, NULL, bad) == source->count;
    return read_items(source, 0, source->count, NULL, bad) == source->count;
}

bool sk_source_look_up(const sk_source *codes, const sk_source *values, sk_span *out, sk_bad *bad) {
    for (size_t i = 0; i < codes->count; i++) {
        uint64_t code = load_code(codes->data + (ptrdiff_t)i * codes->stride, codes->code_width);
        const sk_source *part = values;
        bool right = code < codes->size;
        *bad = (sk_bad){i, (int64_t)code, 0, false};
        if (right && codes->validity) right = sk_load_foreign_bit(codes->validity, codes->validity_start + code);
        for (; right && code >= part->count; part++) code -= part->count;
        if (!right || !sk_source_read(part, code, 1, &out[i], &(sk_bad){0})) return false;
    }
    return true;
}

size_t sk_first_null(const uint8_t *bitmap, size_t offset, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t bit = offset + i;
        if (bit % 8 == 0 && count - i >= 8 && bitmap[bit / 8] == 0xff) {
            i += 7;
            continue;
        }
        if (!sk_load_foreign_bit(bitmap, bit)) return i;
    }
    return count;
}

size_t sk_source_bytes(const sk_source *source, size_t start, size_t count) {
    sk_span piece[PIECE];
    sk_bad bad;
    size_t bytes = 0, read, n;
    if (source->kind == SK_STRIDED || source->kind == SK_TRIMMED) return count * source->size;
    if (source->kind == SK_CODES) return count * (size_t)(source->code_width < 0 ? -source->code_width : source->code_width);
    do {
        n = count < PIECE ? count : PIECE;
        read = sk_source_read(source, start, n, piece, &bad);
        for (size_t i = 0; i < read; i++) bytes += piece[i].size;
        start += n, count -= n;
    } while (count && read == n);
    return bytes;
}

/* Whether no item of a SK_TRIMMED source ends with a NUL, so that all have one size. */
static bool are_full(const sk_source *source, size_t start, size_t count) {
    if (!source->size) return false;
    const uint8_t *last = source->data + (ptrdiff_t)start * source->stride + source->size - 1;
    for (size_t i = 0; i < count; i++)
        if (last[(ptrdiff_t)i * source->stride] == 0) return false;
    return true;
}

bool sk_source_hash(const sk_source *source, const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                    size_t start, size_t count, uint8_t *out, sk_bad *bad) {
    const sk_hash_path *path = sk_hash_active(algorithm);
    sk_span piece[PIECE];
    if (source->kind == SK_CODES) return spread_digests(source, start, count, algorithm->digest_size, out, bad);
    if (source->kind == SK_SPANS) {
        path->batch(algorithm, key, source->spans + start, count, out);
        return true;
    }
    if (source->kind == SK_STRIDED && path->column) {
        path->column(algorithm, key, source->data + (ptrdiff_t)start * source->stride, source->stride,
                     source->size, count, out);
        return true;
    }
    while (count) {
        const size_t n = count < PIECE ? count : PIECE;
        if (source->kind == SK_TRIMMED && path->column && are_full(source, start, n)) {
            path->column(algorithm, key, source->data + (ptrdiff_t)start * source->stride, source->stride, source->size, n, out);
        } else {
            const size_t read = sk_source_read(source, start, n, piece, bad);
            path->batch(algorithm, key, piece, read, out);
            if (read < n) return false;
        }
        start += n, count -= n, out += n * algorithm->digest_size;
    }
    return true;
}
