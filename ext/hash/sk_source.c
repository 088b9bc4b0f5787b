/* Turning layouts into spans, a cache-sized piece at a time. */
#include "sk_source.h"

#include "sk_bytes.h"

#define PIECE 1024       /* spans on the stack: 16 KiB */
#define VIEW_SIZE 16     /* Arrow: length (4), then 12 bytes inline, or prefix (4), buffer (4), offset (4) */
#define VIEW_INLINE 12

static inline int64_t offset_32(const sk_source *source, size_t i) {
    int32_t x;
    memcpy(&x, (const uint8_t *)source->offsets + 4 * i, 4);
    return x;
}

static inline int64_t offset_64(const sk_source *source, size_t i) {
    int64_t x;
    memcpy(&x, (const uint8_t *)source->offsets + 8 * i, 8);
    return x;
}

static inline int32_t view_field(const uint8_t *view, int at) {
    int32_t x;
    memcpy(&x, view + at, 4);
    return x;
}

static inline size_t trimmed(const uint8_t *data, size_t size) {
    while (size && data[size - 1] == 0) size--;
    return size;
}

static void fill(const sk_source *source, size_t start, size_t count, sk_span *out) {
    const uint8_t *data = source->data;
    switch (source->kind) {
    case SK_SPANS:
        memcpy(out, source->spans + start, count * sizeof *out);
        break;
    case SK_STRIDED:
        for (size_t i = 0; i < count; i++)
            out[i] = (sk_span){data + (ptrdiff_t)(start + i) * source->stride, source->size};
        break;
    case SK_TRIMMED:
        for (size_t i = 0; i < count; i++) {
            const uint8_t *item = data + (ptrdiff_t)(start + i) * source->stride;
            out[i] = (sk_span){item, trimmed(item, source->size)};
        }
        break;
    case SK_OFFSETS_32:
        for (size_t i = 0; i < count; i++) {
            int64_t from = offset_32(source, start + i), to = offset_32(source, start + i + 1);
            out[i] = (sk_span){data + from, (size_t)(to - from)};
        }
        break;
    case SK_OFFSETS_64:
        for (size_t i = 0; i < count; i++) {
            int64_t from = offset_64(source, start + i), to = offset_64(source, start + i + 1);
            out[i] = (sk_span){data + from, (size_t)(to - from)};
        }
        break;
    case SK_PAIRS_64:
        for (size_t i = 0; i < count; i++) {
            int64_t from = offset_64(source, 2 * (start + i)), to = offset_64(source, 2 * (start + i) + 1);
            out[i] = (sk_span){data + from, (size_t)(to - from)};
        }
        break;
    case SK_VIEWS:
        for (size_t i = 0; i < count; i++) {
            const uint8_t *view = data + VIEW_SIZE * (start + i);
            int32_t size = view_field(view, 0);
            out[i] = size <= VIEW_INLINE
                         ? (sk_span){view + 4, (size_t)size}
                         : (sk_span){source->buffers[view_field(view, 8)] + view_field(view, 12), (size_t)size};
        }
        break;
    }
}

sk_span sk_source_item(const sk_source *source, size_t i) {
    sk_span item;
    fill(source, i, 1, &item);
    return item;
}

static bool inside(const sk_source *source, int64_t from, int64_t to) {
    return 0 <= from && from <= to && (uint64_t)to <= source->size;
}

static bool good_view(const sk_source *source, size_t i) {
    const uint8_t *view = source->data + VIEW_SIZE * i;
    int32_t size = view_field(view, 0), buffer = view_field(view, 8), from = view_field(view, 12);
    if (size <= VIEW_INLINE) return size >= 0;
    return 0 <= buffer && (size_t)buffer < source->buffer_count && 0 <= from &&
           (int64_t)from + size <= source->buffer_sizes[buffer];
}

size_t sk_source_first_bad(const sk_source *source) {
    size_t i = 0, count = source->count;
    switch (source->kind) {
    case SK_OFFSETS_32:
        while (i < count && inside(source, offset_32(source, i), offset_32(source, i + 1))) i++;
        return i;
    case SK_OFFSETS_64:
        while (i < count && inside(source, offset_64(source, i), offset_64(source, i + 1))) i++;
        return i;
    case SK_PAIRS_64:
        while (i < count && inside(source, offset_64(source, 2 * i), offset_64(source, 2 * i + 1))) i++;
        return i;
    case SK_VIEWS:
        while (i < count && good_view(source, i)) i++;
        return i;
    default:
        return count;
    }
}

size_t sk_first_null(const uint8_t *bitmap, size_t offset, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t bit = offset + i;
        if (bit % 8 == 0 && count - i >= 8 && bitmap[bit / 8] == 0xff) {
            i += 7;
            continue;
        }
        if (!(bitmap[bit / 8] >> bit % 8 & 1)) return i;
    }
    return count;
}

size_t sk_source_bytes(const sk_source *source, size_t start, size_t count) {
    sk_span piece[PIECE];
    size_t bytes = 0;
    if (source->kind == SK_STRIDED || source->kind == SK_TRIMMED) return count * source->size;
    while (count) {
        size_t n = count < PIECE ? count : PIECE;
        fill(source, start, n, piece);
        for (size_t i = 0; i < n; i++) bytes += piece[i].size;
        start += n, count -= n;
    }
    return bytes;
}

/* Whether no item of a trimmed source ends in a NUL, so that all have one size. */
static bool are_full(const sk_source *source, size_t start, size_t count) {
    if (!source->size) return false;
    const uint8_t *last = source->data + (ptrdiff_t)start * source->stride + source->size - 1;
    for (size_t i = 0; i < count; i++)
        if (last[(ptrdiff_t)i * source->stride] == 0) return false;
    return true;
}

void sk_source_hash(const sk_source *source, const sk_hash_algorithm *algorithm, const sk_hash_key *key,
                    size_t start, size_t count, uint8_t *out) {
    const sk_hash_path *path = sk_hash_active(algorithm);
    sk_span piece[PIECE];
    if (source->kind == SK_SPANS) {
        path->batch(algorithm, key, source->spans + start, count, out);
        return;
    }
    if (source->kind == SK_STRIDED && path->column) {
        path->column(algorithm, key, source->data + (ptrdiff_t)start * source->stride, source->stride,
                     source->size, count, out);
        return;
    }
    while (count) {
        size_t n = count < PIECE ? count : PIECE;
        if (source->kind == SK_TRIMMED && path->column && are_full(source, start, n)) {
            path->column(algorithm, key, source->data + (ptrdiff_t)start * source->stride, source->stride, source->size, n, out);
        } else {
            fill(source, start, n, piece);
            path->batch(algorithm, key, piece, n, out);
        }
        start += n, count -= n, out += n * algorithm->digest_size;
    }
}
