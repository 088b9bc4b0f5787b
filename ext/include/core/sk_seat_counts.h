/* A count for each seat. The death of the process on the seat makes the count void.
 *
 *   entry i, 64 bits   63 ... 32   31 ... 0
 *                      epoch       count       of the process on seat i; under another epoch it counts as 0
 *
 *   written by         threads of the process on that seat, by compare-and-swap, which commits. In sk_bounded.h, where
 *                      the entries are permits: the holder of its lock, by one store, which commits
 *
 * Deaths. The entry of a dead process stays as it was and counts as 0: the seat has another epoch, or is free. */
#ifndef SK_SEAT_COUNTS_H
#define SK_SEAT_COUNTS_H

#include "core/sk_lock.h"

static inline uint64_t *sk_seat_counts_entry(const sk_segment *s, uint64_t *counts) {
    return &counts[sk_owner_seat(sk_me(s))];
}

/* The owner word of the process that wrote `seen`, which was read from entry `seat`. */
static inline uint32_t sk_seat_counts_owner(uint64_t seen, uint32_t seat) {
    return (uint32_t)(seen >> 32) << SK_SEAT_BITS | seat;
}

/* This process's own count. */
static inline uint32_t sk_seat_counts_mine(const sk_segment *s, uint64_t *counts) {
    uint64_t seen = sk_load64_relaxed(sk_seat_counts_entry(s, counts));
    return seen >> 32 == sk_owner_epoch(sk_me(s)) ? (uint32_t)seen : 0;
}

/* Add n to this process's own count. */
static inline void sk_seat_counts_add(const sk_segment *s, uint64_t *counts, int32_t n) {
    if (sk_me(s) == 0) return;
    uint64_t *entry = sk_seat_counts_entry(s, counts), epoch = sk_owner_epoch(sk_me(s));
    uint64_t seen = sk_load64_relaxed(entry);
    uint32_t count;
    do {
        count = (seen >> 32 == epoch ? (uint32_t)seen : 0) + (uint32_t)n;
    } while (!sk_cas64_seq_cst(entry, &seen, epoch << 32 | count));
}

/* The count in entry `seat`, and the owner word of the process that wrote it; 0 if that process is dead. */
static inline uint32_t sk_seat_counts_ask(sk_asker *asker, const uint64_t *counts, uint32_t seat, uint32_t *owner) {
    uint64_t seen = sk_load64_acquire(&counts[seat]);
    *owner = sk_seat_counts_owner(seen, seat);
    return (uint32_t)seen != 0 && sk_asker_lives(asker, *owner) ? (uint32_t)seen : 0;
}

static inline uint32_t sk_seat_counts_of(const sk_segment *s, const uint64_t *counts, uint32_t seat, uint32_t *owner) {
    sk_asker asker = sk_ask(&s->seats);
    uint32_t count = sk_seat_counts_ask(&asker, counts, seat, owner);
    sk_asker_end(&asker);
    return count;
}

/* The sum over all living processes. */
static inline uint64_t sk_seat_counts_sum(const sk_segment *s, const uint64_t *counts) {
    sk_asker asker = sk_ask(&s->seats);
    uint64_t sum = 0;
    for (uint32_t seat = 0; seat < s->seats.count; seat++) {
        uint32_t owner;
        sum += sk_seat_counts_ask(&asker, counts, seat, &owner);
    }
    sk_asker_end(&asker);
    return sum;
}

#endif
