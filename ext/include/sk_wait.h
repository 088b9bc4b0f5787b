/* Waiting for a 32-bit word to change: spin a little, then park; every park is bounded.
 *
 * Whoever parks re-reads its condition afterwards, whatever woke it. So a wake-up that died with its
 * sender, or that went to a sleeper which died, costs the rest of one slice and never a hang.
 *
 * Two back ends answer: futexes, and polling with growing naps. A process may force polling (tests do);
 * both may meet on one word, because a poller needs no wake-up and a sleeper's slice is bounded. */
#ifndef SK_WAIT_H
#define SK_WAIT_H

#include "sk_atomic.h"
#include "sk_platform.h"
#include "sk_status.h"

/* While somebody else owns a lock word: how long until we ask whether the owner lives. */
#define SK_LOCK_SLICE_NS 10000000u
/* Longest park for a condition (an item, room): bounds what a lost wake-up costs. */
#define SK_PARK_SLICE_NS 50000000u

/* How one process waits. Private to the process; racy updates of `patience` only cost speed. */
typedef struct sk_waiter {
    uint32_t polling;  /* 1: never sleep on the word, poll */
    uint32_t patience; /* how many spins to try before parking; adapts */
} sk_waiter;

#define SK_PATIENCE_MIN 16u
#define SK_PATIENCE_MAX 1024u
#define SK_PATIENCE_START 256u
/* Spins before the spinner starts to offer its core to others between looks. */
#define SK_SPINS_BEFORE_YIELD 256u
/* A park that was over so soon would have been spared by more spinning (a wake-up alone costs 5 to 50 us). */
#define SK_SHORT_PARK_NS 40000u

/* Spin while *word is `seen`. True when it changed. */
static inline bool sk_spin_while(const sk_waiter *w, const uint32_t *word, uint32_t seen) {
    uint32_t patience = sk_load32_relaxed(&w->patience);
    for (uint32_t i = 0; i < patience; i++) {
        if (sk_load32_relaxed(word) != seen) return true;
        if (i >= SK_SPINS_BEFORE_YIELD && i % 16 == 0) sk_yield();
        else sk_relax();
    }
    return false;
}

/* After a park of so many ns that followed `patience` spins in vain: more patience if it was short, less if it was long.
 * On two cores a spinner may be holding the very core that the other needs. */
static inline void sk_learn(sk_waiter *w, uint64_t parked) {
    uint32_t patience = sk_load32_relaxed(&w->patience);
    if (parked < SK_SHORT_PARK_NS) patience *= 2;
    else patience -= patience / 4;
    if (patience < SK_PATIENCE_MIN) patience = SK_PATIENCE_MIN;
    if (patience > SK_PATIENCE_MAX) patience = SK_PATIENCE_MAX;
    sk_store32_relaxed(&w->patience, patience);
}

/* Poll while *word is `seen`, napping longer and longer. */
static inline int sk_poll_while(const uint32_t *word, uint32_t seen, uint64_t until) {
    uint64_t nap = 20000;
    for (;;) {
        if (sk_load32_acquire(word) != seen) return SK_OK;
        uint64_t now = sk_now_ns();
        if (now >= until) return SK_TIMEOUT;
        if (sk_nap(nap < until - now ? nap : until - now) == -EINTR) return SK_INTERRUPTED;
        if (nap < 1000000) nap *= 2;
    }
}

/* Park while *word is `seen`, at most until the monotonic time `until` (ns).
 * SK_OK: something may have changed, look again. SK_TIMEOUT. SK_INTERRUPTED: a signal wants its handler. */
static inline int sk_park(const sk_waiter *w, uint32_t *word, uint32_t seen, uint64_t until) {
    if (w->polling) return sk_poll_while(word, seen, until);
    uint64_t now = sk_now_ns();
    if (now >= until) return SK_TIMEOUT;
    int rc = sk_sleep_on(word, seen, until - now);
    if (rc == -ETIMEDOUT) return SK_TIMEOUT;
    return rc == -EINTR ? SK_INTERRUPTED : SK_OK;
}

/* The same for one slice at most, so that the caller looks up now and then: SK_INTERRUPTED when the slice is over
 * and the time is not. */
static inline int sk_park_slice(sk_waiter *w, uint32_t *word, uint32_t seen, uint64_t slice, uint64_t until) {
    uint64_t start = sk_now_ns(), end = start + slice;
    int rc = sk_park(w, word, seen, end < until ? end : until);
    sk_learn(w, sk_now_ns() - start);
    return rc == SK_TIMEOUT && end < until ? SK_INTERRUPTED : rc;
}

/* Wake at most n sleepers of *word. */
static inline int sk_wake(uint32_t *word, int n) { return sk_rouse(word, n); }

/* --- a flag that says "somebody may be parked" --------------------------------------------------
 *
 * Sleeper: raise the flag, then re-read the condition, then park on the word it read.
 * Waker:   change the word, full fence, then look at the flag.
 * One of the two sees the other. The flag is no count: a dead sleeper leaves it up, and the next waker,
 * finding nobody, takes it down again. */

static inline void sk_flag_raise(uint32_t *flag) { sk_store32_seq_cst(flag, 1); /* W1: pairs with W2 */ }

static inline void sk_flag_wake(uint32_t *flag, uint32_t *word, int n) {
    sk_fence_seq_cst(); /* W2: the word's new value is out before the flag is read */
    if (sk_load32_relaxed(flag) == 0) return;
    sk_store32_seq_cst(flag, 0);
    /* Somebody was asleep: others may be, so the flag goes up again until a waker finds nobody. */
    if (sk_wake(word, n) > 0) sk_store32_seq_cst(flag, 1);
}

#endif
