/* Arrow's C data and stream interfaces (a stable ABI: https://arrow.apache.org/docs/format/CDataInterface.html).
 *
 * sk_arrow_source describes an array as a source: variable-size and fixed-size binary and text, views, and
 * whatever has a fixed number of whole bytes.
 */
#ifndef SK_ARROW_H
#define SK_ARROW_H

#include "sk_source.h"

struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

typedef enum sk_arrow_status {
    SK_ARROW_FINE,
    SK_ARROW_UNSUPPORTED,    /* a type without bytes of its own: nested, dictionary, bits, decimals */
    SK_ARROW_NULL,           /* an item is missing; its index is in *where */
    SK_ARROW_CORRUPT,        /* an item reaches outside its data; its index is in *where */
} sk_arrow_status;

sk_arrow_status sk_arrow_source(const struct ArrowSchema *schema, const struct ArrowArray *array,
                                sk_source *source, size_t *where);

#endif
