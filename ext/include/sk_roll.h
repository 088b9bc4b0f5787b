/* A roll: a count for each process, which dies with it.
 *
 *   entry i, 64 bits   63 ... 32   31 ... 0
 *                      epoch       count       of whoever sits on seat i; of another epoch it counts as 0 */
#ifndef SK_ROLL_H
#define SK_ROLL_H

#include "sk_segment.h"

static inline uint64_t *sk_roll_entry(const sk_segment *s, uint64_t *roll) {
    return &roll[sk_owner_seat(s->seats.me)];
}

/* Add n to this process's own count. */
static inline void sk_roll_add(const sk_segment *s, uint64_t *roll, int32_t n) {
    uint64_t *entry = sk_roll_entry(s, roll), epoch = sk_owner_epoch(s->seats.me);
    if (s->seats.me == 0) return;
    uint64_t seen = sk_load64_relaxed(entry);
    uint32_t count;
    do {
        count = (seen >> 32 == epoch ? (uint32_t)seen : 0) + (uint32_t)n;
    } while (!sk_cas64_seq_cst(entry, &seen, epoch << 32 | count));
}

/* The sum over all who live. */
static inline uint64_t sk_roll_sum(const sk_segment *s, const uint64_t *roll) {
    uint64_t sum = 0;
    for (uint32_t seat = 0; seat < s->seats.count; seat++) {
        uint64_t seen = sk_load64_acquire(&roll[seat]);
        if ((uint32_t)seen == 0) continue;
        if (sk_seat_lives(&s->seats, (uint32_t)(seen >> 32) << SK_SEAT_BITS | seat)) sum += (uint32_t)seen;
    }
    return sum;
}

#endif
