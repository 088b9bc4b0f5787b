/* Arrow arrays as sources; see the columnar format for what each buffer is. */
#include "sk_arrow.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of an item of a fixed-size format; 0: not one. */
static size_t item_size(const char *format) {
    if (format[0] == 'w' && format[1] == ':') return (size_t)strtoul(format + 2, NULL, 10);
    if (format[0] == 't') {
        if (strncmp(format, "tdD", 3) == 0 || strncmp(format, "tts", 3) == 0 || strncmp(format, "ttm", 3) == 0) return 4;
        if (format[1] == 'd' || format[1] == 't' || format[1] == 's' || format[1] == 'D') return 8;
        return 0;
    }
    if (format[0] == 0 || format[1] != 0) return 0;
    if (strchr("cC", format[0])) return 1;
    if (strchr("sSe", format[0])) return 2;
    if (strchr("iIf", format[0])) return 4;
    if (strchr("lLg", format[0])) return 8;
    return 0;
}

static int64_t last_offset(const void *offsets, size_t width, size_t count) {
    int32_t narrow;
    int64_t wide;
    const uint8_t *place = (const uint8_t *)offsets + width * count;
    if (width == 8) return memcpy(&wide, place, 8), wide;
    return memcpy(&narrow, place, 4), narrow;
}

static bool describe(const struct ArrowSchema *schema, const struct ArrowArray *array, sk_source *source) {
    const char *format = schema->format;
    const size_t first = (size_t)array->offset;
    const uint8_t *values = array->n_buffers > 1 ? array->buffers[1] : NULL;

    if (!strcmp(format, "u") || !strcmp(format, "z") || !strcmp(format, "U") || !strcmp(format, "Z")) {
        const size_t width = format[0] == 'u' || format[0] == 'z' ? 4 : 8;
        if (array->n_buffers != 3) return false;
        source->kind = width == 4 ? SK_OFFSETS_32 : SK_OFFSETS_64;
        source->data = array->buffers[2];
        if (source->count == 0) return true;     /* the offsets may be missing too */
        if (!values) return false;
        source->offsets = values + width * first;
        int64_t end = last_offset(source->offsets, width, source->count);
        source->size = end < 0 ? 0 : (size_t)end;
        return true;
    }
    if (!strcmp(format, "vu") || !strcmp(format, "vz")) {
        if (array->n_buffers < 3) return false;
        source->kind = SK_VIEWS;
        source->data = values ? values + 16 * first : NULL;
        source->buffers = (const uint8_t *const *)(array->buffers + 2);
        source->buffer_count = (size_t)array->n_buffers - 3;
        source->buffer_sizes = array->buffers[array->n_buffers - 1];
        return true;
    }
    size_t size = item_size(format);
    if (!size && format[0] != 'w') return false;
    source->kind = SK_STRIDED;
    source->size = size;
    source->stride = (ptrdiff_t)size;
    source->data = values ? values + size * first : NULL;
    return true;
}

sk_arrow_status sk_arrow_source(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                sk_source *source, size_t *where) {
    memset(source, 0, sizeof *source);
    if (schema->dictionary || array->n_children || array->length < 0 || array->offset < 0) return SK_ARROW_UNSUPPORTED;
    source->count = (size_t)array->length;
    if (!describe(schema, array, source)) return SK_ARROW_UNSUPPORTED;
    if (array->null_count != 0 && array->buffers[0]) {
        *where = sk_first_null(array->buffers[0], (size_t)array->offset, source->count);
        if (*where < source->count) return SK_ARROW_NULL;
    }
    *where = sk_source_first_bad(source);
    return *where < source->count ? SK_ARROW_CORRUPT : SK_ARROW_FINE;
}
