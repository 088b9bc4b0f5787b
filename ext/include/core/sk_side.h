/* One side of a queue of references in memory of one process: its waiters for an item, for room, or until all items are
 * done.
 *
 *   offset  what                                                      written by
 *   0       eventcount of the waiters: see sk_wait.h                  waiters and wakers
 *   8       token: see sk_wait_state.h                                waiters, by compare-and-swap
 *   16      waiters: how many wait (sk_seat_counts.h); one process,   waiters, by compare-and-swap
 *           one entry
 *
 * The condition of a wait changes under the structure's own exclusion (the GIL, or a critical section). If a waiter
 * finds the condition false, it prepares the eventcount before it leaves the exclusion; a thread that changes the
 * condition notifies afterwards. So no notification is lost. Nothing is handed over to a waiter: it wakes, enters the
 * exclusion, and checks the condition again. A waiter that has waited for one millisecond gets the next chance. */
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

/* Called inside the exclusion, after the waiter found its condition false: prepare. Returns the value to park on. */
static inline uint32_t sk_side_raise(sk_side *d) { return sk_eventcount_prepare(&d->event); }

/* Sleep for one slice at most, unless a thread has notified since `raised` was returned. SK_OK: check the condition
 * again; SK_TIMEOUT; SK_INTERRUPTED. */
static inline int sk_side_park(sk_segment *s, sk_side *d, uint32_t raised, uint64_t until, sk_wait_state *wait) {
    uint64_t slice = sk_wait_state_take_token(s, &d->token, wait, SK_PARK_SLICE_NS);
    if (wait->yielding_since != 0) slice = SK_WAIT_STATE_STEP_NS;
    sk_wait_state_register(s, d->waiters, wait);
    if (sk_spin_while(&s->waiter, &d->event, raised)) return SK_OK;
    return sk_park_slice(&s->waiter, &d->event, raised, slice, until);
}

/* Sleep as sk_side_park does, but for a waiter that takes nothing: it gets no token. */
static inline int sk_side_watch(sk_segment *s, sk_side *d, uint32_t raised, uint64_t until) {
    return sk_park_slice(&s->waiter, &d->event, raised, SK_PARK_SLICE_NS, until);
}

/* End the wait: the waiter has got what it waited for, or waits no longer. */
static inline void sk_side_end(const sk_segment *s, sk_side *d, sk_wait_state *wait) { sk_wait_state_end(s, &d->token, d->waiters, wait); }

/* Whether a waiter must leave the item or room to another one. sk_side_awaited: the same for a caller that does not
 * wait yet. */
static inline bool sk_side_must_yield(const sk_segment *s, sk_side *d, sk_wait_state *wait) { return sk_wait_state_must_yield(s, &d->token, wait); }
static inline bool sk_side_awaited(const sk_side *d) { return sk_load64_relaxed(&d->token) != 0; }

/* After a change that lets n waiters go on: notify. */
static inline void sk_side_notify(sk_side *d, uint32_t n) {
    sk_eventcount_notify(&d->event, n == 1 ? sk_wait_state_wake_count(&d->token) : SK_EVERYBODY);
}

static inline uint64_t sk_side_waiting(const sk_segment *s, const sk_side *d) { return sk_seat_counts_sum(s, d->waiters); }

#endif
