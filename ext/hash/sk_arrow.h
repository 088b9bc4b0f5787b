/* Arrow's C data and stream interfaces (a stable ABI: https://arrow.apache.org/docs/format/CDataInterface.html).
 *
 * sk_arrow_source describes an array as a source: variable-size and fixed-size binary and text, views, items with a
 * fixed number of whole bytes, and the codes of a dictionary. The structs belong to the producer and do not change. The
 * contents of the buffers may change (they may lie in a shared segment), so only sk_source_read reads them.
 *
 * The interface does not give the size of the data of variable-size items. The last offset, which is read once, is
 * taken as the size, but at most `room`: the size that the producer gives elsewhere, if it does.
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
    SK_ARROW_UNSUPPORTED,    /* a type whose items are not whole bytes: nested, bits, decimals */
    SK_ARROW_RELEASED,       /* the array was released, or moved to another consumer */
    SK_ARROW_NULL,           /* an item is missing; its index is in *bad */
    SK_ARROW_CORRUPT,        /* an item reaches outside its data or dictionary; see *bad */
} sk_arrow_status;

#define SK_ARROW_ROOM_UNKNOWN SIZE_MAX

/* `room`: the size of the data of variable-size items. `values`: the array is a dictionary, and its values may be
 * missing. */
sk_arrow_status sk_arrow_source(const struct ArrowSchema *schema, const struct ArrowArray *array, size_t room, bool values,
                                sk_source *source, sk_bad *bad);

#endif
