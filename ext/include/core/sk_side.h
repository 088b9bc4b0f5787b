/* One side of a queue of references in memory of one process: the waiters for an item, for room, or for the end.
 *
 *   offset  what                                                      written by
 *   0       eventcount of the waiters: see sk_wait.h                  sleepers and wakers
 *   8       token: see sk_wait_state.h                                waiters, by compare-and-swap
 *   16      waiters: how many wait (sk_seat_counts.h); one process,   waiters, by compare-and-swap
 *           one entry
 *
 * The condition of a wait changes under the structure's own exclusion (the GIL, or a critical section). A waiter that
 * finds it false prepares the eventcount before it leaves the exclusion; a thread that changes it notifies afterwards.
 * So no notification is lost. A waiter takes nothing while it sleeps: it wakes, enters the exclusion, and looks again.
 * A waiter that has waited for one millisecond gets the next chance. */
#ifndef SK_SIDE_H
#define SK_SIDE_H

#include "core/sk_wait_state.h"

typedef struct sk_side {
    uint32_t event;
    uint32_t unused;
    uint64_t token;
    uint64_t waiters[1];
    unsigned char line[SK_LINE - 24];
} sk_side;
_Static_assert(sizeof(sk_side) == SK_LINE && offsetof(sk_side, token) == 8 && offsetof(sk_side, waiters) == 16,
               "diagram and struct agree");

/* Inside the exclusion, after the waiter found its condition false: the value to park on. */
static inline uint32_t sk_side_raise(sk_side *d) { return sk_eventcount_prepare(&d->event); }

/* Sleep for one slice at most unless somebody notified since `raised`. SK_OK: look again; SK_TIMEOUT;
 * SK_INTERRUPTED. */
static inline int sk_side_park(sk_segment *s, sk_side *d, uint32_t raised, uint64_t until, sk_wait_state *wait) {
    uint64_t slice = sk_wait_state_ask(s, &d->token, wait, SK_PARK_SLICE_NS);
    if (wait->freed != 0) slice = SK_WAIT_STATE_STEP_NS;
    sk_wait_state_register(s, d->waiters, wait);
    if (sk_spin_while(&s->waiter, &d->event, raised)) return SK_OK;
    return sk_park_slice(&s->waiter, &d->event, raised, slice, until);
}

/* The waiter has what it waited for, or waits no longer. */
static inline void sk_side_end(const sk_segment *s, sk_side *d, sk_wait_state *wait) { sk_wait_state_end(s, &d->token, d->waiters, wait); }

/* Whether what is there is for another waiter; a newcomer has no wait of its own yet. */
static inline bool sk_side_must_yield(const sk_segment *s, sk_side *d, sk_wait_state *wait) { return sk_wait_state_must_yield(s, &d->token, wait); }
static inline bool sk_side_awaited(const sk_side *d) { return sk_load64_relaxed(&d->token) != 0; }

/* After a change: n waiters may go on. */
static inline void sk_side_notify(sk_side *d, uint32_t n) {
    sk_eventcount_notify(&d->event, n == 1 ? sk_wait_state_notify(&d->token) : SK_EVERYBODY);
}

static inline uint64_t sk_side_waiting(const sk_segment *s, const sk_side *d) { return sk_seat_counts_sum(s, d->waiters); }

#endif
