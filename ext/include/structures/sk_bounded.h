/* Permits that processes hold, for BoundedSemaphore: the permits of a dead process become free again.
 *
 *   offset  what                                                     written by
 *   0       lock: see sk_lock.h                                      any thread, by compare-and-swap
 *   4       free: permits that no process holds                      the holder of the lock; derived from `held`
 *   8       token: see sk_wait_state.h                               waiters, by compare-and-swap
 *   16      eventcount of the waiters: see sk_wait.h                 waiters and wakers
 *   20      moves of the lock: see sk_stall.h                        the holder of the lock
 *   128     held: the permits of each process                        the holder of the lock; one store commits
 *   …       waiting: the threads of each process that wait           the process on that seat; for people
 *
 * `held` decides, and `free` is derived from it: bound - the permits in `held`. The entry of a dead process counts as
 * held until a caller finds no permit free and asks whether the process lives, or until another process has that seat
 * and takes a permit. In either case the entry is cleared, which makes its permits free.
 * A release takes permits from the caller's own entry. For programs that acquire in one process and release in another,
 * it then takes them from the entries of dead processes, and then of living ones.
 *
 * Deaths. If the holder of the lock dies, the next holder recounts. If the dead one was taking a permit: before the
 * store to its entry nothing has happened, and after it the permit is held. If it was giving permits: before the store
 * to an entry they are held, and after it they are free. (If they come from several entries, some may be free and
 * others not.) If it dies between that store and the notification, waiters check again when their slice is over. Token
 * and waiting: see sk_wait_state.h. */
#ifndef SK_BOUNDED_H
#define SK_BOUNDED_H

#include "core/sk_wait_state.h"

#define SK_BOUNDED_MOST 0x7fffffffu
#define SK_BOUNDED_BOUND 0 /* header.param: how many permits there are */

typedef struct sk_bounded {
    uint32_t lock;
    uint32_t free;
    uint64_t token;
    uint32_t event;
    uint32_t moves;
    unsigned char line[SK_LINE - 24];
    uint64_t counts[]; /* held, waiting */
} sk_bounded;
_Static_assert(offsetof(sk_bounded, free) == 4 && offsetof(sk_bounded, token) == 8 &&
                   offsetof(sk_bounded, event) == 16 && offsetof(sk_bounded, counts) == SK_LINE,
               "diagram and struct agree");

static inline uint64_t sk_bounded_body_len(uint32_t seats) { return sizeof(sk_bounded) + 2 * seats * sizeof(uint64_t); }

static inline sk_bounded *sk_bounded_of(const sk_segment *s) { return sk_body_of(s); }
static inline uint64_t *sk_bounded_waiting(const sk_segment *s) {
    return sk_bounded_of(s)->counts + s->seats.count;
}
static inline uint32_t sk_bounded_bound(const sk_segment *s) {
    return (uint32_t)sk_header_of(s)->param[SK_BOUNDED_BOUND];
}

static inline int sk_bounded_fill(sk_segment *s) {
    sk_store32_relaxed(&sk_bounded_of(s)->free, sk_bounded_bound(s));
    return SK_OK;
}

/* SK_CORRUPT if the header does not fit this structure; the words can have any value. */
static inline int sk_bounded_refuse(const sk_segment *s) {
    if (sk_header_of(s)->param[SK_BOUNDED_BOUND] > SK_BOUNDED_MOST) return SK_CORRUPT;
    return sk_bounded_body_len(s->seats.count) <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

/* How many permits are free, including the permits of dead processes. Read without the lock, so it may be out of
 * date. */
static inline uint32_t sk_bounded_value(const sk_segment *s) {
    uint64_t held = sk_seat_counts_sum(s, sk_bounded_of(s)->counts), bound = sk_bounded_bound(s);
    return held < bound ? (uint32_t)(bound - held) : 0;
}

/* --- under the lock ------------------------------------------------------------------------------- */

/* Clear the entries of dead processes and count the permits of living ones. Returns how many permits became free. */
static inline uint32_t sk_bounded_recount(const sk_segment *s, sk_bounded *p) {
    uint64_t sum = 0, bound = sk_bounded_bound(s);
    for (uint32_t seat = 0; seat < s->seats.count; seat++) {
        uint32_t owner, count = sk_seat_counts_of(s, p->counts, seat, &owner);
        sum += count;
        if (count == 0) sk_store64_relaxed(&p->counts[seat], 0);
    }
    uint32_t was = sk_load32_relaxed(&p->free), now = sum < bound ? (uint32_t)(bound - sum) : 0;
    sk_store32_relaxed(&p->free, now);
    return now > was ? now - was : 0;
}

/* SK_OK: the caller has the lock; or SK_BUSY, SK_TIMEOUT, SK_INTERRUPTED, SK_NO_SEAT. */
static inline int sk_bounded_lock(sk_segment *s, sk_bounded *p, uint64_t until) {
    int rc = sk_lock_take(s, &p->lock, until);
    if (rc == SK_OWNER_DIED) sk_bounded_recount(s, p);
    return rc == SK_OWNER_DIED ? SK_OK : rc;
}

static inline void sk_bounded_unlock(sk_bounded *p) { sk_lock_give_and_move(&p->lock, &p->moves); }

static inline uint32_t sk_bounded_free(const sk_segment *s, const sk_bounded *p) {
    uint32_t unheld = sk_load32_relaxed(&p->free), bound = sk_bounded_bound(s);
    return unheld < bound ? unheld : bound;
}

/* Add one permit to this process's entry. If the entry still belongs to a dead process that had this seat, recount
 * first. */
static inline void sk_bounded_hold_one(const sk_segment *s, sk_bounded *p) {
    uint64_t *entry = sk_seat_counts_entry(s, p->counts), epoch = sk_owner_epoch(sk_me(s));
    uint64_t seen = sk_load64_relaxed(entry);
    if (seen >> 32 != epoch && (uint32_t)seen != 0) sk_bounded_recount(s, p);
    uint32_t unheld = sk_bounded_free(s, p);
    sk_store64_release(entry, epoch << 32 | (sk_seat_counts_mine(s, p->counts) + 1)); /* commits */
    sk_store32_relaxed(&p->free, unheld > 0 ? unheld - 1 : 0);
}

/* Take at most n permits out of the entries of dead processes, or, if `living`, of other living processes. Returns how
 * many it took. */
static inline uint32_t sk_bounded_take_from(const sk_segment *s, sk_bounded *p, uint32_t n, bool living) {
    uint32_t taken = 0;
    for (uint32_t seat = 0; seat < s->seats.count && taken < n; seat++) {
        uint64_t seen = sk_load64_relaxed(&p->counts[seat]);
        uint32_t count = (uint32_t)seen, owner = sk_seat_counts_owner(seen, seat);
        if (count == 0 || owner == sk_me(s) || sk_lives(s, owner) != living) continue;
        uint32_t some = count < n - taken ? count : n - taken;
        sk_store64_release(&p->counts[seat], seen - some); /* commits */
        taken += some;
    }
    return taken;
}

/* --- taking and giving ------------------------------------------------------------------------------ */

/* Take a permit if one is free and no thread has the token; for a caller's first attempt. SK_OK, SK_BUSY,
 * SK_NO_SEAT. */
static inline int sk_bounded_try(sk_segment *s, sk_bounded *p) {
    if (__builtin_expect(sk_load64_relaxed(&p->token) != 0 || sk_load32_relaxed(&p->free) == 0, 0)) return SK_BUSY;
    int rc = sk_bounded_lock(s, p, 0);
    if (rc != SK_OK) return rc;
    rc = sk_bounded_free(s, p) > 0 ? SK_OK : SK_BUSY;
    if (rc == SK_OK) sk_bounded_hold_one(s, p);
    sk_bounded_unlock(p);
    return rc;
}

/* Whether a dead process holds any permits. */
static inline bool sk_bounded_abandoned(const sk_segment *s, const sk_bounded *p) {
    for (uint32_t seat = 0; seat < s->seats.count; seat++) {
        uint32_t owner;
        if ((uint32_t)sk_load64_relaxed(&p->counts[seat]) != 0 && sk_seat_counts_of(s, p->counts, seat, &owner) == 0) return true;
    }
    return false;
}

/* Make the permits of dead processes free. Returns whether any became free; false too if the lock was not available. */
static inline bool sk_bounded_reclaim(sk_segment *s, sk_bounded *p, uint64_t until) {
    if (!sk_bounded_abandoned(s, p) || sk_bounded_lock(s, p, until) != SK_OK) return false;
    uint32_t came = sk_bounded_recount(s, p);
    sk_bounded_unlock(p);
    if (came > 0) sk_eventcount_notify(&p->event, SK_EVERYBODY);
    return came > 0;
}

/* Sleep for one slice at most while `seen` permits are free. If `seen` is not 0, the caller leaves them to the holder
 * of the token. */
static inline int sk_bounded_park(sk_segment *s, sk_bounded *p, uint32_t seen, uint64_t until, sk_wait_state *wait) {
    uint64_t slice = sk_wait_state_take_token(s, &p->token, wait, SK_LOCK_SLICE_NS);
    if (seen != 0) slice = SK_WAIT_STATE_STEP_NS;
    sk_wait_state_register(s, sk_bounded_waiting(s), wait);
    uint32_t raised = sk_eventcount_prepare(&p->event); /* W1: pairs with W2 in sk_eventcount_notify;
                                                         * a fence, so the next load may be relaxed */
    if (sk_load32_relaxed(&p->free) != seen) return SK_OK;
    int rc = sk_park_slice(&s->waiter, &p->event, raised, slice, until);
    sk_aside_also(&p->free, seen);
    return rc;
}

/* One attempt. SK_OK: it took a permit; SK_BUSY: *unheld permits are free; or the result of sk_bounded_lock. A caller
 * that `barges` ignores the token, and gets SK_STALLED if the holder of the lock makes no progress. */
static inline int sk_bounded_poll(sk_segment *s, sk_bounded *p, bool barges, uint64_t until, sk_wait_state *wait,
                                  uint32_t *unheld) {
    int rc = sk_bounded_lock(s, p, until);
    if (rc == SK_INTERRUPTED && barges) return sk_stall_judge(&wait->stall, &p->lock, &p->moves, 0, rc);
    if (rc != SK_OK) return rc;
    *unheld = sk_bounded_free(s, p);
    if (*unheld == 0) wait->yielding_since = 0;
    rc = *unheld > 0 && (barges || !sk_wait_state_must_yield(s, &p->token, wait)) ? SK_OK : SK_BUSY;
    if (rc == SK_OK) sk_bounded_hold_one(s, p);
    sk_bounded_unlock(p);
    return rc;
}

static inline int sk_bounded_slow(sk_segment *s, sk_bounded *p, bool willing, uint64_t until, sk_wait_state *wait) {
    uint64_t began = 0;
    for (bool asked = false;;) {
        uint32_t seen = 0;
        if (wait->look && willing && sk_load32_relaxed(&p->free) != 0 && !sk_wait_state_must_yield(s, &p->token, wait))
            return SK_FREE;
        int rc = sk_bounded_poll(s, p, !willing, until, wait, &seen);
        if (rc != SK_BUSY) return rc;
        if (seen == 0 && !asked) {
            asked = true;
            if (sk_bounded_reclaim(s, p, until)) continue;
        }
        if (!willing) return SK_BUSY;
        rc = sk_wait_state_check_deadline(wait, &began, until);
        if (rc == SK_OK) {
            if (seen == 0 && sk_spin_while(&s->waiter, &p->free, 0)) continue;
            rc = sk_bounded_park(s, p, seen, until, wait);
        }
        if (rc == SK_OK) continue;
        if (rc == SK_TIMEOUT && sk_bounded_poll(s, p, true, 0, wait, &seen) == SK_OK) return SK_OK;
        return rc;
    }
}

/* Take a permit. A `willing` caller waits for a permit; another one waits only for the lock, and gets SK_BUSY if living
 * processes hold all permits. SK_OK, SK_BUSY, SK_TIMEOUT, SK_NO_SEAT; SK_STALLED: not willing, and the holder of the
 * lock makes no progress; SK_INTERRUPTED or SK_FREE: call again with the same wait, or end the wait by
 * sk_bounded_cancel. */
static inline int sk_bounded_take(sk_segment *s, bool willing, uint64_t until, sk_wait_state *wait) {
    sk_bounded *p = sk_bounded_of(s);
    int rc = sk_bounded_slow(s, p, willing, until, wait);
    if (!sk_wait_state_goes_on(rc)) sk_wait_state_end(s, &p->token, sk_bounded_waiting(s), wait);
    return rc;
}

/* Wait until a permit is free, or a dead process holds one, and do not take it: SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call
 * again). */
static inline int sk_bounded_ready(sk_segment *s, uint64_t until) {
    sk_bounded *p = sk_bounded_of(s);
    uint64_t began = 0;
    for (;;) {
        if (sk_bounded_free(s, p) > 0) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &p->free, 0)) continue;
        if (rc == SK_OK) {
            uint32_t raised = sk_eventcount_prepare(&p->event); /* W1 */
            if (sk_load32_relaxed(&p->free) != 0) continue;
            rc = sk_park_slice(&s->waiter, &p->event, raised, SK_LOCK_SLICE_NS, until);
            sk_aside_also(&p->free, 0);
        }
        if (rc != SK_OK) return sk_bounded_abandoned(s, p) ? SK_OK : rc;
    }
}

/* Stop waiting. A notification that woke this thread may have been meant for the next waiter. */
static inline void sk_bounded_cancel(const sk_segment *s, sk_wait_state *wait) {
    sk_bounded *p = sk_bounded_of(s);
    sk_wait_state_end(s, &p->token, sk_bounded_waiting(s), wait);
    if (sk_load32_relaxed(&p->free) != 0) sk_eventcount_notify(&p->event, sk_wait_state_wake_count(&p->token));
}

/* Give n permits back: SK_OK; SK_EXCESS: fewer are held, so none was given back; SK_NO_SEAT, SK_BUSY, SK_TIMEOUT,
 * SK_INTERRUPTED. */
static inline int sk_bounded_give(sk_segment *s, uint32_t n, uint64_t until) {
    sk_bounded *p = sk_bounded_of(s);
    int rc = sk_bounded_lock(s, p, until);
    if (rc != SK_OK) return rc;
    uint32_t unheld = sk_bounded_free(s, p);
    if (n > sk_bounded_bound(s) - unheld) {
        sk_bounded_unlock(p);
        return SK_EXCESS;
    }
    uint64_t *entry = sk_seat_counts_entry(s, p->counts), epoch = sk_owner_epoch(sk_me(s));
    uint32_t mine = sk_seat_counts_mine(s, p->counts), own = n < mine ? n : mine;
    if (own > 0) sk_store64_release(entry, epoch << 32 | (mine - own)); /* commits */
    if (own < n) own += sk_bounded_take_from(s, p, n - own, false);
    if (own < n) own += sk_bounded_take_from(s, p, n - own, true);
    sk_store32_relaxed(&p->free, unheld + own);
    sk_bounded_unlock(p);
    sk_eventcount_notify(&p->event, n == 1 ? sk_wait_state_wake_count(&p->token) : SK_EVERYBODY);
    return SK_OK;
}

#endif
