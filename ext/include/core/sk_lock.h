/* The robust lock word: 0, or the owner and a flag that says whether a thread may be parked.
 *
 *   word                    meaning                      changed next by
 *   0                       free                         any thread, by compare-and-swap
 *   owner                   taken                        the owner, by a swap to 0
 *   owner | SK_LOCK_WAITED  taken, waiters to be woken   the owner, by a swap to 0 and a wake
 *   dead owner (| flag)     left behind                  any thread that finds the owner dead, by compare-and-swap
 *
 * Deaths. If a process dies before its compare-and-swap, nothing has happened. If it dies later, the word names a dead
 * owner: the next process takes the word over and gets SK_OWNER_DIED. If that process dies while it repairs, the one
 * after it gets SK_OWNER_DIED too. If a process dies between its swap to 0 and the wake, waiters read the word again
 * after one slice. The sleeping scheme is that of U. Drepper, "Futexes Are Tricky" (mutex 2).
 *
 * A process takes a word by an atomic operation with acquire and release ordering (P1). A reader that sees the owner in
 * the word, and reads the epoch of the owner's seat after an acquire fence (Q1), sees the epoch that this owner stored
 * when it took the seat. If P1 had acquire ordering alone, ARM64 could show the word before the epoch, and the reader
 * would take a living owner for dead. */
#ifndef SK_LOCK_H
#define SK_LOCK_H

#include "core/sk_segment.h"

#define SK_LOCK_WAITED 0x80000000u

/* Take a word whose owner is dead. */
static inline bool sk_lock_inherit(const sk_segment *s, uint32_t *word, uint32_t seen) {
    sk_fence_acquire(); /* Q1: pairs with P1; `seen` may have been read by a relaxed load */
    if (sk_lives(s, seen)) return false;
    return sk_cas32_acq_rel(word, &seen, sk_me(s) | (seen & SK_LOCK_WAITED)); /* P1 */
}

SK_COLD static inline int sk_lock_slow(sk_segment *s, uint32_t *word, uint64_t until) {
    /* Once this thread has parked, others may be parked too: from then on it takes the word with the flag set. */
    uint32_t flag = 0;
    uint64_t began = 0;
    for (;;) {
        uint32_t seen = 0;
        if (sk_cas32_acq_rel(word, &seen, sk_me(s) | flag)) return SK_OK; /* A1: pairs with R1. P1: pairs with Q1 */
        if (until == 0) return SK_BUSY;
        int late = sk_check_deadline(&began, until);
        if (late != SK_OK) return late;
        if (sk_spin_while(&s->waiter, word, seen)) continue;
        if (!(seen & SK_LOCK_WAITED)) {
            if (!sk_cas32_acq_rel(word, &seen, seen | SK_LOCK_WAITED)) continue; /* P1: the new value keeps the owner */
            seen |= SK_LOCK_WAITED;
        }
        flag = SK_LOCK_WAITED;
        int rc = sk_park_slice(&s->waiter, word, seen, SK_LOCK_SLICE_NS, until);
        sk_aside_briefly(); /* a caller may judge the holder after each slice: sk_stall.h */
        if (rc != SK_OK) return sk_lock_inherit(s, word, seen) ? SK_OWNER_DIED : rc;
    }
}

/* Take the word, waiting until the monotonic time `until`; 0: do not wait.
 * SK_OK, SK_OWNER_DIED (taken; repair first), SK_BUSY, SK_TIMEOUT, SK_INTERRUPTED (a slice is over; call again). */
static inline int sk_lock_take(sk_segment *s, uint32_t *word, uint64_t until) {
    uint32_t seen = 0;
    SK_SEATED(s);
    if (__builtin_expect(sk_cas32_acq_rel(word, &seen, sk_me(s)), 1)) return SK_OK; /* A1: pairs with R1. P1 */
    return sk_lock_slow(s, word, until);
}

static inline void sk_lock_give(uint32_t *word) {
    uint32_t was = sk_swap32_release(word, 0); /* R1: writes under the lock are visible before the 0 */
    if (__builtin_expect(was & SK_LOCK_WAITED, 0)) sk_wake(word, 1);
}

/* The owner word of the process that holds the lock now, or 0. */
static inline uint32_t sk_lock_owner(const uint32_t *word) { return sk_load32_acquire(word) & SK_OWNER_MASK; }

#endif
