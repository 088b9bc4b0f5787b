/* A semaphore whose permits belong to no process, so it can also notify other processes of events.
 *
 *   offset  what                                                     written by
 *   0       value: free permits, 0 to SK_SEMAPHORE_MOST              any thread, by compare-and-swap, which commits
 *   8       token: see sk_wait_state.h                               waiters, by compare-and-swap
 *   16      eventcount of the waiters: see sk_wait.h                 waiters and wakers
 *   128     waiters: threads of each process that wait               the process on that seat; for people
 *           (sk_seat_counts.h)
 *
 * Deaths. If a process dies before its compare-and-swap, nothing has happened; if it dies after that, the change is
 * complete. Permits that a dead process had taken stay taken, as with POSIX semaphores (sk_bounded.h gives them back).
 * If a process dies between the compare-and-swap of a give and the notification, or if the waiter that was woken dies,
 * the other waiters check again when their slice is over. Token and counts: see sk_wait_state.h. */
#ifndef SK_SEMAPHORE_H
#define SK_SEMAPHORE_H

#include "core/sk_wait_state.h"

#define SK_SEMAPHORE_MOST 0x7fffffffu
#define SK_SEMAPHORE_FIRST 0 /* header.param: the initial value */

typedef struct sk_semaphore {
    uint32_t value;
    uint32_t unused;
    uint64_t token;
    uint32_t event;
    unsigned char line[SK_LINE - 20];
    uint64_t waiters[]; /* an entry for each seat */
} sk_semaphore;
_Static_assert(offsetof(sk_semaphore, token) == 8 && offsetof(sk_semaphore, event) == 16 &&
                   offsetof(sk_semaphore, waiters) == SK_LINE,
               "diagram and struct agree");

static inline uint64_t sk_semaphore_body_len(uint32_t seats) { return sizeof(sk_semaphore) + seats * sizeof(uint64_t); }

static inline sk_semaphore *sk_semaphore_of(const sk_segment *s) { return sk_body_of(s); }

static inline int sk_semaphore_fill(sk_segment *s) {
    sk_store32_relaxed(&sk_semaphore_of(s)->value, (uint32_t)sk_header_of(s)->param[SK_SEMAPHORE_FIRST]);
    return SK_OK;
}

/* SK_CORRUPT if the header does not fit this structure; the words can have any value. */
static inline int sk_semaphore_refuse(const sk_segment *s) {
    return sk_semaphore_body_len(s->seats.count) <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

/* How many permits are free now. */
static inline uint32_t sk_semaphore_value(const sk_semaphore *p) { return sk_load32_acquire(&p->value); }

/* Take a permit if one is free, and ignore the token: SK_OK, SK_BUSY. */
static inline int sk_semaphore_grab(sk_semaphore *p) {
    uint32_t seen = sk_load32_relaxed(&p->value);
    while (seen != 0)
        if (sk_cas32_acquire(&p->value, &seen, seen - 1)) return SK_OK; /* A1: pairs with R1; commits */
    return SK_BUSY;
}

/* Take a permit if one is free and no thread has the token: SK_OK, SK_BUSY. */
static inline int sk_semaphore_try(sk_semaphore *p) {
    return __builtin_expect(sk_load64_relaxed(&p->token) != 0, 0) ? SK_BUSY : sk_semaphore_grab(p);
}

/* Sleep for one slice at most while the value is `seen`. If `seen` is not 0, the caller leaves the permits to the
 * holder of the token. */
static inline int sk_semaphore_park(sk_segment *s, sk_semaphore *p, uint32_t seen, uint64_t until, sk_wait_state *wait) {
    uint64_t slice = sk_wait_state_take_token(s, &p->token, wait, SK_PARK_SLICE_NS);
    if (seen != 0) slice = SK_WAIT_STATE_STEP_NS;
    sk_wait_state_register(s, p->waiters, wait);
    uint32_t raised = sk_eventcount_prepare(&p->event); /* W1: pairs with W2 in sk_eventcount_notify;
                                                         * a fence, so the next load may be relaxed */
    if (sk_load32_relaxed(&p->value) != seen) return SK_OK;
    int rc = sk_park_slice(&s->waiter, &p->event, raised, slice, until);
    sk_aside_also(&p->value, seen);
    return rc;
}

static inline int sk_semaphore_slow(sk_segment *s, sk_semaphore *p, uint64_t until, sk_wait_state *wait) {
    uint64_t began = 0;
    for (;;) {
        uint32_t seen = sk_load32_relaxed(&p->value);
        if (seen == 0) wait->yielding_since = 0;
        else if (!sk_wait_state_must_yield(s, &p->token, wait)) {
            if (wait->look) return SK_FREE;
            if (sk_semaphore_grab(p) == SK_OK) return SK_OK;
        }
        int rc = sk_wait_state_check_deadline(wait, &began, until);
        if (rc == SK_OK) {
            if (seen == 0 && sk_spin_while(&s->waiter, &p->value, 0)) continue;
            rc = sk_semaphore_park(s, p, seen, until, wait);
        }
        if (rc == SK_TIMEOUT && sk_semaphore_grab(p) == SK_OK) return SK_OK;
        if (rc != SK_OK) return rc;
    }
}

/* Wait until a permit is free, and do not take it: SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again). */
static inline int sk_semaphore_ready(sk_segment *s, sk_semaphore *p, uint64_t until) {
    uint64_t began = 0;
    for (;;) {
        if (sk_semaphore_value(p) != 0) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &p->value, 0)) continue;
        if (rc != SK_OK) return rc;
        uint32_t raised = sk_eventcount_prepare(&p->event); /* W1 */
        if (sk_load32_relaxed(&p->value) != 0) continue;
        rc = sk_park_slice(&s->waiter, &p->event, raised, SK_PARK_SLICE_NS, until);
        sk_aside_also(&p->value, 0);
        if (rc != SK_OK) return rc;
    }
}

/* Take a permit, waiting until the monotonic time `until`, which is not 0.
 * SK_OK, SK_TIMEOUT, SK_NO_SEAT; SK_INTERRUPTED or SK_FREE: call again with the same wait, or end the wait by
 * sk_semaphore_cancel. */
static inline int sk_semaphore_take(sk_segment *s, sk_semaphore *p, uint64_t until, sk_wait_state *wait) {
    SK_SEATED(s);
    int rc = sk_semaphore_slow(s, p, until, wait);
    if (!sk_wait_state_goes_on(rc)) sk_wait_state_end(s, &p->token, p->waiters, wait);
    return rc;
}

/* Stop waiting. A notification that woke this thread may have been meant for the next waiter. */
static inline void sk_semaphore_cancel(const sk_segment *s, sk_semaphore *p, sk_wait_state *wait) {
    sk_wait_state_end(s, &p->token, p->waiters, wait);
    if (sk_semaphore_value(p) != 0) sk_eventcount_notify(&p->event, sk_wait_state_wake_count(&p->token));
}

/* Give n permits, which need not have been taken before: SK_OK; SK_OVERFLOW: none was given. */
static inline int sk_semaphore_give(sk_semaphore *p, uint32_t n) {
    uint32_t seen = sk_load32_relaxed(&p->value);
    do {
        if (seen > SK_SEMAPHORE_MOST || n > SK_SEMAPHORE_MOST - seen) return SK_OVERFLOW;
    } while (!sk_cas32_seq_cst(&p->value, &seen, seen + n)); /* R1: pairs with A1; commits */
    sk_eventcount_notify(&p->event, n == 1 ? sk_wait_state_wake_count(&p->token) : SK_EVERYBODY);
    return SK_OK;
}

#endif
