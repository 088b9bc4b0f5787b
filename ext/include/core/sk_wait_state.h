/* The state of one thread's wait, over all its slices. While the thread sleeps, it is counted among the waiters; if it
 * waits for long, the fairness token gives it the next chance.
 *
 *   token, 64 bits   the fairness token: 0, or owner << 32 | thread of the thread that has the next chance, because it
 *                    has waited for SK_WAIT_STATE_LONG_NS. All writes are compare-and-swaps. The thread replaces 0 by
 *                    its own value, and writes 0 when it has taken the thing or given up. A waiter writes 0 if it finds
 *                    that the process of that thread is dead, or if it has honoured the token in vain.
 *
 * A token is a courtesy and not ownership: any thread may take what is free. But a waiter that would overtake yields to
 * the thread that the token names: once, until it has seen the thing free for SK_WAIT_STATE_HONOUR_NS. So no waiter
 * starves, and a named thread that is stopped or dead delays the others once and does not block them. Until a waiter
 * has waited for SK_WAIT_STATE_LONG_NS, a running thread may take the thing again and again while its cache line is
 * warm: a handover each time would cost a switch of processes each time. (PyMutex and parking_lot decide alike, after
 * 1 and 0.5 ms.)
 *
 * Looking. A thread of Python waits without the GIL. If it took the thing before it has the GIL again, no thread of its
 * process could use the thing meanwhile, so threads that contend would hand over the thing and the GIL at each release:
 * a convoy. Such a thread looks (`look`), gets the GIL, and then takes the thing if it is still free. In the meantime
 * the running thread may have taken it many times.
 *
 * Deaths. A waiter clears the token of a dead process, as above. The seat counts ignore the entry of a dead process
 * (sk_seat_counts.h). */
#ifndef SK_WAIT_STATE_H
#define SK_WAIT_STATE_H

#include "core/sk_seat_counts.h"
#include "core/sk_stall.h"

#define SK_WAIT_STATE_LONG_NS 1000000u
#define SK_WAIT_STATE_HONOUR_NS 10000000u
/* A waiter that yields sleeps at most this long at a time. So it needs no wake-up when the named thread has taken the
 * thing and given it back. */
#define SK_WAIT_STATE_STEP_NS 500000u

/* Private to the thread. `thread` distinguishes it from other threads of its process; the rest starts as 0. */
typedef struct sk_wait_state {
    uint32_t thread;
    bool enrolled;
    bool look; /* do not take what is free, but return SK_FREE: see above */
    uint64_t began; /* monotonic: when it first had to wait */
    uint64_t yielding_since; /* when this wait began to yield, having seen the thing free; 0: it does not yield */
    sk_aside *aside; /* of a wait that must not sleep: receives the word to watch; otherwise NULL */
    sk_stall stall; /* detects that the holder of an inner lock makes no progress */
    uint64_t *prior_token; /* another token that this wait honours before its own, or NULL */
    uint64_t seen; /* the head of a queue when this wait last found it full, if `waited` */
    bool waited;
    bool overtaken; /* the queue was full again, with other items in it */
} sk_wait_state;

static inline uint64_t sk_wait_state_token_value(const sk_segment *s, const sk_wait_state *wait) {
    return (uint64_t)sk_me(s) << 32 | wait->thread;
}

/* Whether a wait that got `rc` is not over. */
static inline bool sk_wait_state_goes_on(int rc) { return rc == SK_INTERRUPTED || rc == SK_FREE; }

/* sk_check_deadline, which also notes when the thread first had to wait. */
static inline int sk_wait_state_check_deadline(sk_wait_state *wait, uint64_t *began, uint64_t until) {
    int rc = sk_check_deadline(began, until);
    if (wait->began == 0) wait->began = *began;
    return rc;
}

/* Before parking: count this thread among the waiters. */
static inline void sk_wait_state_register(const sk_segment *s, uint64_t *counts, sk_wait_state *wait) {
    if (wait->enrolled) return;
    sk_seat_counts_add(s, counts, 1);
    wait->enrolled = true;
}

/* The thread has what it waited for, or waits no longer. */
static inline void sk_wait_state_end(const sk_segment *s, uint64_t *token, uint64_t *counts, sk_wait_state *wait) {
    uint64_t name = sk_wait_state_token_value(s, wait);
    if (sk_load64_relaxed(token) == name) sk_cas64_seq_cst(token, &name, 0);
    if (!wait->enrolled) return;
    sk_seat_counts_add(s, counts, -1);
    wait->enrolled = false;
}

/* Whether the token gives another thread the next chance to take what is free. */
static inline bool sk_wait_state_must_yield(const sk_segment *s, uint64_t *token, sk_wait_state *wait) {
    if (__builtin_expect(wait->prior_token != NULL && sk_load64_relaxed(wait->prior_token) != 0, 0))
        token = wait->prior_token;
    uint64_t whose = sk_load64_relaxed(token);
    if (__builtin_expect(whose == 0, 1) || whose == sk_wait_state_token_value(s, wait)) return false;
    uint64_t now = sk_now_ns();
    if (wait->yielding_since == 0) wait->yielding_since = now;
    if (now - wait->yielding_since < SK_WAIT_STATE_HONOUR_NS) return true;
    sk_cas64_seq_cst(token, &whose, 0);
    wait->yielding_since = 0;
    return false;
}

/* Before parking: take the token if this thread has waited for `ns` and no living process holds the token. Returns the
 * longest time to sleep. */
static inline uint64_t sk_wait_state_take_token_after(const sk_segment *s, uint64_t *token, sk_wait_state *wait,
                                                      uint64_t ns, uint64_t slice) {
    uint64_t now = sk_now_ns(), whose = sk_load64_relaxed(token), name = sk_wait_state_token_value(s, wait);
    if (wait->began == 0) wait->began = now;
    if (whose == name) return slice;
    sk_fence_acquire(); /* Q1 in sk_lock.h: the process that took the token had stored its epoch before */
    if (whose != 0 && !sk_lives(s, (uint32_t)(whose >> 32)) && sk_cas64_seq_cst(token, &whose, 0)) whose = 0;
    if (now - wait->began < ns) return ns;
    if (whose == 0) sk_cas64_seq_cst(token, &whose, name);
    return slice;
}

static inline uint64_t sk_wait_state_take_token(const sk_segment *s, uint64_t *token, sk_wait_state *wait,
                                                uint64_t slice) {
    return sk_wait_state_take_token_after(s, token, wait, SK_WAIT_STATE_LONG_NS, slice);
}

/* How many waiters to wake when one of them can go on: all if there is a token, because the thread that it names must
 * be among them. Call it after the read-modify-write that makes something free. Then, if a thread took the token and
 * afterwards saw nothing free, the load here sees its token. */
static inline int sk_wait_state_wake_count(const uint64_t *token) {
    sk_fence_after_rmw();
    return sk_load64_relaxed(token) == 0 ? 1 : SK_EVERYBODY;
}

#endif
