/* A range of bytes in the caller's memory. A record of a ring, or a value of a dict, is a sequence of parts. */
#ifndef SK_PART_H
#define SK_PART_H

#include <stdint.h>

typedef struct sk_part {
    const void *at;
    uint64_t len;
} sk_part;

#endif
