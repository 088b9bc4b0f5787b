/* A mutex with the interface of threading.Lock: the robust word, the fairness token, and the mark of a dead owner.
 *
 *   offset  what                                                     written by
 *   0       word: see sk_lock.h                                      any thread, by compare-and-swap: this swap
 *                                                                    commits
 *   4       poisoned: how many owners died since it was 0; a         the holder; sk_mutex_mark_consistent, by
 *           holder that releases the mutex stores 0                  compare-and-swap
 *   8       token: see sk_wait_state.h                               waiters, by compare-and-swap
 *   16      since: wall clock (ns) when the mutex was taken; 0:      the holder; only statistics and tools read
 *           free, or taken and not stored yet                        it
 *   24      thread, 32 count: of a re-entrant mutex (sk_rlock.h)     the holder
 *   128     waiters: for each process, how many of its threads       the process on that seat; only statistics
 *           wait (sk_seat_counts.h)                                  and tools read it
 *
 * The word names a process, not a thread. Threads of one process exclude each other too, because a thread takes the
 * word only when it is 0. Any thread may release the mutex, as with threading.Lock, even a thread of another process.
 *
 * Deaths. If the holder dies, the next process takes the word over, adds 1 to `poisoned` and gets SK_OWNER_DIED. A
 * process may also die between two steps: between taking the word over and storing `poisoned`, or between clearing
 * `poisoned` and freeing the word. In both cases the word still names it, so the next process gets SK_OWNER_DIED. A
 * holder that got SK_OWNER_DIED may be unable to repair the data, because its program turns the OwnerDiedWarning into
 * an error. It frees the word and leaves `poisoned` as it is; then the next holder gets SK_OWNER_DIED.
 * For `token` and `waiters` see sk_wait_state.h. */
#ifndef SK_MUTEX_H
#define SK_MUTEX_H

#include "core/sk_wait_state.h"

typedef struct sk_mutex {
    uint32_t word;
    uint32_t poisoned;
    uint64_t token;
    uint64_t since;
    uint64_t thread;
    uint64_t count;
    unsigned char line[SK_LINE - 40];
    uint64_t waiters[]; /* an entry for each seat */
} sk_mutex;
_Static_assert(offsetof(sk_mutex, poisoned) == 4 && offsetof(sk_mutex, token) == 8 && offsetof(sk_mutex, since) == 16 &&
                   offsetof(sk_mutex, thread) == 24 && offsetof(sk_mutex, count) == 32 &&
                   offsetof(sk_mutex, waiters) == SK_LINE,
               "diagram and struct agree");

/* Bytes of a mutex in a segment that has `seats` seats. */
static inline uint64_t sk_mutex_len(uint32_t seats) {
    return sk_round_up(sizeof(sk_mutex) + seats * sizeof(uint64_t), SK_LINE);
}

/* Count one more dead owner; called by the process that took the word over. */
static inline void sk_mutex_poison(sk_mutex *m) {
    uint32_t deaths = sk_load32_relaxed(&m->poisoned) + 1;
    sk_store32_relaxed(&m->poisoned, deaths == 0 ? 1 : deaths);
}

/* Translate `rc`, the result of taking the word, into the caller's result: SK_OWNER_DIED if the mutex is poisoned. If
 * the word was taken, also store `since`, and count the death if its owner was dead. */
static inline int sk_mutex_outcome(sk_mutex *m, int rc) {
    if (rc != SK_OK && rc != SK_OWNER_DIED) return rc;
    sk_store64_relaxed(&m->since, sk_wall_coarse_ns());
    if (__builtin_expect(rc == SK_OWNER_DIED, 0)) sk_mutex_poison(m);
    return __builtin_expect(sk_load32_relaxed(&m->poisoned) != 0, 0) ? SK_OWNER_DIED : SK_OK;
}

/* Take the mutex in one step if it is free and no thread has the token: SK_OK, SK_OWNER_DIED (taken), SK_BUSY,
 * SK_NO_SEAT. */
static inline int sk_mutex_try(const sk_segment *s, sk_mutex *m) {
    uint32_t seen = 0;
    SK_SEATED(s);
    if (__builtin_expect(sk_load64_relaxed(&m->token) != 0, 0)) return SK_BUSY;
    if (!sk_cas32_acq_rel(&m->word, &seen, sk_me(s))) return SK_BUSY; /* A1: pairs with R1. P1: see Q1 in sk_lock.h */
    return sk_mutex_outcome(m, SK_OK);
}

/* Take the mutex if it is free or its owner is dead; do not wait, and ignore the token. */
static inline int sk_mutex_grab(const sk_segment *s, sk_mutex *m) {
    uint32_t seen = 0;
    SK_SEATED(s);
    if (sk_cas32_acq_rel(&m->word, &seen, sk_me(s))) return sk_mutex_outcome(m, SK_OK); /* A1: pairs with R1 */
    return sk_mutex_outcome(m, sk_lock_inherit(s, &m->word, seen) ? SK_OWNER_DIED : SK_BUSY);
}

/* Sleep while the word is *seen, for a slice at most. *seen is 0 if this thread yields to the waiter that the token
 * names. In that case do not set the flag, and sleep for one SK_WAIT_STATE_STEP_NS at most. */
static inline int sk_mutex_park(sk_segment *s, sk_mutex *m, uint32_t *seen, uint64_t until, sk_wait_state *wait) {
    uint64_t slice = sk_wait_state_take_token(s, &m->token, wait, SK_LOCK_SLICE_NS);
    if (*seen == 0) slice = SK_WAIT_STATE_STEP_NS;
    else if (!(*seen & SK_LOCK_WAITED)) {
        if (!sk_cas32_acq_rel(&m->word, seen, *seen | SK_LOCK_WAITED)) return SK_OK;
        *seen |= SK_LOCK_WAITED;
    }
    sk_wait_state_register(s, m->waiters, wait);
    return sk_park_slice(&s->waiter, &m->word, *seen, slice, until);
}

static inline int sk_mutex_slow(sk_segment *s, sk_mutex *m, uint64_t until, sk_wait_state *wait) {
    /* Once this thread has parked, other threads may be parked too. From then on this thread takes the word with the
     * flag set. */
    uint32_t flag = wait->enrolled ? SK_LOCK_WAITED : 0;
    uint64_t began = 0;
    for (;;) {
        uint32_t seen = sk_load32_relaxed(&m->word);
        if (seen == 0 && !sk_wait_state_must_yield(s, &m->token, wait)) {
            if (wait->look) return SK_FREE;
            if (sk_cas32_acq_rel(&m->word, &seen, sk_me(s) | flag)) return SK_OK; /* A1: pairs with R1 */
        }
        if (seen != 0) wait->yielding_since = 0;
        int rc = sk_wait_state_check_deadline(wait, &began, until);
        if (rc == SK_OK) {
            if (sk_spin_while(&s->waiter, &m->word, seen)) continue;
            flag = SK_LOCK_WAITED;
            rc = sk_mutex_park(s, m, &seen, until, wait);
        }
        if (rc == SK_OK) continue;
        if (seen != 0 && sk_lock_inherit(s, &m->word, seen)) return SK_OWNER_DIED;
        seen = 0;
        if (rc == SK_TIMEOUT && sk_cas32_acq_rel(&m->word, &seen, sk_me(s) | flag)) return SK_OK; /* A1 */
        return rc;
    }
}

/* Take the mutex, waiting until the monotonic time `until`. If `until` is 0, do not wait, but still take the mutex over
 * from a dead owner.
 * SK_OK, SK_OWNER_DIED (taken), SK_BUSY, SK_TIMEOUT, SK_NO_SEAT; SK_INTERRUPTED or SK_FREE: call again with the same
 * wait, or end the wait by sk_mutex_cancel. */
static inline int sk_mutex_take(sk_segment *s, sk_mutex *m, uint64_t until, sk_wait_state *wait) {
    if (until == 0) return sk_mutex_grab(s, m);
    SK_SEATED(s);
    int rc = sk_mutex_outcome(m, sk_mutex_slow(s, m, until, wait));
    if (!sk_wait_state_goes_on(rc)) sk_wait_state_end(s, &m->token, m->waiters, wait);
    return rc;
}

/* Stop waiting. */
static inline void sk_mutex_cancel(const sk_segment *s, sk_mutex *m, sk_wait_state *wait) {
    sk_wait_state_end(s, &m->token, m->waiters, wait);
}

/* Free the word by a swap, and wake a waiter. */
static inline void sk_mutex_free(sk_mutex *m) {
    sk_store64_relaxed(&m->since, 0);
    uint32_t was = sk_swap32_release(&m->word, 0); /* R1: writes under the lock are visible before the 0 */
    if (__builtin_expect(was & SK_LOCK_WAITED, 0)) sk_wake(&m->word, sk_wait_state_wake_count(&m->token));
}

/* Free a mutex that another process took. If that process is dead, first take the mutex over and count the death in
 * `poisoned`. */
static SK_COLD int sk_mutex_give_slow(const sk_segment *s, sk_mutex *m) {
    SK_SEATED(s);
    uint32_t seen;
    while ((seen = sk_load32_acquire(&m->word)) != 0) {
        if (sk_lock_inherit(s, &m->word, seen)) {
            sk_mutex_poison(m);
            sk_mutex_free(m);
            return SK_OK;
        }
        if (!sk_lives(s, seen) || !sk_cas32_seq_cst(&m->word, &seen, 0)) continue;
        if (seen & SK_LOCK_WAITED) sk_wake(&m->word, sk_wait_state_wake_count(&m->token));
        return SK_OK;
    }
    return SK_EXCESS;
}

/* Release the mutex, which this process holds. */
static inline void sk_mutex_give_own(sk_mutex *m) {
    if (__builtin_expect(sk_load32_relaxed(&m->poisoned) != 0, 0)) sk_store32_relaxed(&m->poisoned, 0);
    sk_mutex_free(m);
}

/* Release the mutex: SK_OK; SK_EXCESS: it was free; SK_NO_SEAT. */
static inline int sk_mutex_give(const sk_segment *s, sk_mutex *m) {
    uint32_t owner = sk_lock_owner(&m->word);
    if (__builtin_expect(owner == 0 || owner != sk_me(s), 0)) return sk_mutex_give_slow(s, m);
    sk_mutex_give_own(m);
    return SK_OK;
}

/* Free the mutex, but leave `poisoned`, because the data that it guards have not been repaired: the next holder gets
 * SK_OWNER_DIED again. */
static inline void sk_mutex_pass_on(sk_mutex *m) {
    sk_store64_relaxed(&m->thread, 0);
    sk_mutex_free(m);
}

/* Clear `poisoned`: the data that the mutex guards are consistent again. Call this only if the caller holds the mutex,
 * or no living process does (it is free, or its holder is dead). If another owner dies during this call, `poisoned`
 * stays. */
static inline int sk_mutex_mark_consistent(const sk_segment *s, sk_mutex *m) {
    SK_SEATED(s);
    uint32_t deaths = sk_load32_relaxed(&m->poisoned), seen = sk_load32_acquire(&m->word);
    if (seen != 0 && sk_lock_inherit(s, &m->word, seen)) {
        sk_store32_relaxed(&m->poisoned, 0);
        sk_mutex_free(m);
    } else sk_cas32_seq_cst(&m->poisoned, &deaths, 0);
    return SK_OK;
}

/* Wait until the mutex is free or its owner is dead, and do not take it: SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call
 * again). */
static inline int sk_mutex_ready(sk_segment *s, sk_mutex *m, uint64_t until) {
    uint64_t began = 0;
    for (;;) {
        uint32_t seen = sk_load32_acquire(&m->word);
        if (seen == 0) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &m->word, seen)) continue;
        if (rc == SK_OK && !(seen & SK_LOCK_WAITED)) {
            if (!sk_cas32_acq_rel(&m->word, &seen, seen | SK_LOCK_WAITED)) continue; /* P1: the owner stays */
            seen |= SK_LOCK_WAITED;
        }
        if (rc == SK_OK) rc = sk_park_slice(&s->waiter, &m->word, seen, SK_LOCK_SLICE_NS, until);
        if (rc == SK_OK) continue;
        sk_fence_acquire(); /* Q1: pairs with P1 */
        return sk_lives(s, seen) ? rc : SK_OK;
    }
}

/* Stop waiting for the mutex to be free: the wake-up that this waiter got is another one's. If the mutex is taken, make
 * sure that its release wakes one. */
static inline void sk_mutex_cancel_ready(sk_mutex *m) {
    uint32_t seen = sk_load32_acquire(&m->word);
    while (seen != 0 && !(seen & SK_LOCK_WAITED))
        if (sk_cas32_acq_rel(&m->word, &seen, seen | SK_LOCK_WAITED)) return; /* P1 */
    if (seen == 0) sk_wake(&m->word, sk_wait_state_wake_count(&m->token));
}

/* Whether a living process holds the mutex. */
static inline bool sk_mutex_taken(const sk_segment *s, const sk_mutex *m) {
    uint32_t owner = sk_lock_owner(&m->word);
    return owner != 0 && sk_lives(s, owner);
}

#endif
