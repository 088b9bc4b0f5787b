/* A stretch of the caller's bytes. Several, in order, are one record of a ring or one value of a dict. */
#ifndef SK_PART_H
#define SK_PART_H

#include <stdint.h>

typedef struct sk_part {
    const void *at;
    uint64_t len;
} sk_part;

#endif
