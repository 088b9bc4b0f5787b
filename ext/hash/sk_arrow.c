/* Arrow arrays as sources; Arrow's columnar format defines the buffers of each type. */
#include "sk_arrow.h"

#include "sk_foreign.h"

#include <stdlib.h>
#include <string.h>

/* The bytes of an item of a fixed-size format; 0: the format is another one. */
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

/* The bytes of a dictionary's code, negative if codes are signed; 0: the format is no integer. */
static int code_width(const char *format) {
    static const char SIGNED[] = "csil", UNSIGNED[] = "CSIL";
    if (format[0] == 0 || format[1] != 0) return 0;
    const char *at = strchr(SIGNED, format[0]);
    if (at) return -(1 << (at - SIGNED));
    at = strchr(UNSIGNED, format[0]);
    return at ? 1 << (at - UNSIGNED) : 0;
}

static bool may_have_nulls(const struct ArrowArray *array) {
    return array->null_count != 0 && array->n_buffers > 0 && array->buffers[0];
}

/* The null type: all items are null, and there are no buffers. */
static bool is_null_type(const struct ArrowSchema *schema) { return !schema->dictionary && !strcmp(schema->format, "n"); }

/* Describe codes and the number of values; the values are a source of their own. */
static bool describe_codes(const struct ArrowSchema *schema, const struct ArrowArray *array, sk_source *source) {
    const struct ArrowArray *values = array->dictionary;
    const int width = code_width(schema->format);
    if (!width || array->n_buffers != 2 || !values || values->length < 0 || values->offset < 0) return false;
    const uint8_t *codes = array->buffers[1];
    if (!codes && source->count) return false;
    source->kind = SK_CODES;
    source->code_width = width;
    source->stride = width < 0 ? -width : width;
    source->data = codes ? codes + source->stride * (ptrdiff_t)array->offset : NULL;
    source->size = is_null_type(schema->dictionary) ? 0 : (size_t)values->length;
    if (may_have_nulls(values)) {
        source->validity = values->buffers[0];
        source->validity_start = (size_t)values->offset;
    }
    return true;
}

static bool describe(const struct ArrowSchema *schema, const struct ArrowArray *array, size_t room, sk_source *source) {
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
        const uint8_t *last = (const uint8_t *)source->offsets + width * source->count;
        const int64_t end = width == 4 ? sk_load_foreign_32(last) : sk_load_foreign_64(last);
        source->size = end < 0 ? 0 : (uint64_t)end < room ? (size_t)end : room;
        if (!source->data) source->data = (const uint8_t *)"", source->size = 0;
        return true;
    }
    if (!strcmp(format, "vu") || !strcmp(format, "vz")) {
        if (array->n_buffers < 3) return false;
        source->kind = SK_VIEWS;
        source->data = values ? values + 16 * first : NULL;
        source->buffers = (const uint8_t *const *)(array->buffers + 2);
        source->buffer_count = (size_t)array->n_buffers - 3;
        source->buffer_sizes = array->buffers[array->n_buffers - 1];
        return values || !source->count;
    }
    size_t size = item_size(format);
    if (!size && format[0] != 'w') return false;
    source->kind = SK_STRIDED;
    source->size = size;
    source->stride = (ptrdiff_t)size;
    source->data = values ? values + size * first : NULL;
    return values || !size || !source->count;
}

sk_arrow_status sk_arrow_source(const struct ArrowSchema *schema, const struct ArrowArray *array, size_t room, bool values,
                                sk_source *source, sk_bad *bad) {
    memset(source, 0, sizeof *source);
    if (!schema->release || !array->release) return SK_ARROW_RELEASED;
    if (array->n_children || array->length < 0 || array->offset < 0) return SK_ARROW_UNSUPPORTED;
    source->count = (size_t)array->length;
    if (is_null_type(schema)) {
        source->kind = SK_STRIDED;
        *bad = (sk_bad){.missing = true};
        return source->count && !values ? SK_ARROW_NULL : SK_ARROW_FINE;
    }
    if (schema->dictionary) {
        if (values || !describe_codes(schema, array, source)) return SK_ARROW_UNSUPPORTED;
    } else if (!describe(schema, array, room, source)) {
        return SK_ARROW_UNSUPPORTED;
    }
    if (values && may_have_nulls(array)) {
        source->validity = array->buffers[0];
        source->validity_start = (size_t)array->offset;
    } else if (may_have_nulls(array)) {
        *bad = (sk_bad){.index = sk_first_null(array->buffers[0], (size_t)array->offset, source->count), .missing = true};
        if (bad->index < source->count) return SK_ARROW_NULL;
    }
    if (sk_source_check(source, bad)) return SK_ARROW_FINE;
    return bad->missing || (schema->dictionary && is_null_type(schema->dictionary)) ? SK_ARROW_NULL : SK_ARROW_CORRUPT;
}
