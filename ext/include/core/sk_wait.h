/* Waiting for a 32-bit word to change: spin a little, then park; every park is bounded.
 *
 * A thread that parked reads its condition again, whatever woke it. So a wake-up that died with its sender, or that
 * went to a sleeper which died, costs the rest of one slice and never a hang.
 *
 * There are two back ends: futexes, and polling with growing naps. A process may force polling (tests do). Both may
 * meet on one word, because a poller needs no wake-up and a sleeper's slice is bounded. */
#ifndef SK_WAIT_H
#define SK_WAIT_H

#include "platform/sk_atomic.h"
#include "platform/sk_platform.h"
#include "platform/sk_status.h"

/* While another process owns a lock word: the time until a waiter asks whether the owner lives. */
#define SK_LOCK_SLICE_NS 10000000u
/* Longest park for a condition (an item, room): bounds what a lost wake-up costs. */
#define SK_PARK_SLICE_NS 50000000u

/* How one process waits. Private to the process; racy updates only cost speed. */
typedef struct sk_waiter {
    uint32_t polling;  /* 1: never sleep on the word, poll */
    uint32_t patience; /* how many spins to try before parking; adapts */
    uint32_t one_core; /* 1: the process that we wait for seems to share our core */
    uint32_t hasty;    /* 1: neither spin nor park: answer SK_INTERRUPTED at once: others of this thread are to run */
    uint32_t short_ns; /* after a park that was shorter than this, more spins would have been better */
} sk_waiter;

/* A wait put aside: what the thread would have slept on. A thread that may not sleep (an event loop) first calls
 * sk_waits_aside and then the kernel. Where the kernel would have slept, it answers SK_INTERRUPTED; the thread has the
 * word watched (sk_watch.h) before it calls again. */
typedef struct sk_aside {
    uint32_t *word;  /* NULL until the kernel would sleep */
    uint32_t seen;   /* sleep while the word is this, */
    uint64_t until;  /* and no longer (monotonic ns) */
} sk_aside;

static _Thread_local sk_aside *sk_put_aside; /* of this thread, while it may not sleep */

static inline void sk_waits_aside(sk_aside *aside) { sk_put_aside = aside; }

#define SK_PATIENCE_MIN 16u
#define SK_PATIENCE_MAX 1024u
#define SK_PATIENCE_START 256u
/* After this many spins the spinner starts to offer its core to others between its looks. */
#define SK_SPINS_BEFORE_YIELD 256u
/* The first value of short_ns: a wake-up alone costs 5 to 50 us. */
#define SK_SHORT_PARK_NS 40000u
/* A spinner that gets its core back later than this after an offer shares it with strangers. */
#define SK_LATE_NS 40000u

/* Spin while *word is `seen`. True when it changed. The caller reads `next` afterwards: each look fetches it, so that
 * both lines come over from the other core at once and not one after the other (a tenth of a round trip).
 * If the change came with an offer of the core, the other end shares it with us: the next spin offers it at once.
 * If the offer brought a long absence and no change, strangers have the core. Then the spin ends: each offer costs a
 * slice of theirs (with three of them a spin in vain took 1.1 s, and a dead owner, a timeout and Ctrl-C had to wait for
 * that long), and a sleeper is woken in time. */
static inline bool sk_spin_for(sk_waiter *w, const uint32_t *word, uint32_t seen, const void *next) {
    uint32_t patience = sk_load32_relaxed(&w->patience);
    uint32_t offer = sk_load32_relaxed(&w->one_core) ? 0 : SK_SPINS_BEFORE_YIELD;
    bool offered = false;
    if (__builtin_expect(sk_put_aside != NULL || sk_load32_relaxed(&w->hasty), 0)) return false;
    for (uint32_t i = 0; i < patience; i++) {
        __builtin_prefetch(next);
        if (sk_load32_relaxed(word) != seen) {
            if (i > 0) sk_store32_relaxed(&w->one_core, offered);
            return true;
        }
        offered = i == offer;
        if (offered) {
            offer += 16;
            uint64_t left = sk_now_ns();
            sk_yield();
            if (sk_load32_relaxed(word) == seen && sk_now_ns() - left > SK_LATE_NS) return false;
        } else sk_relax();
    }
    return false;
}

static inline bool sk_spin_while(sk_waiter *w, const uint32_t *word, uint32_t seen) {
    return sk_spin_for(w, word, seen, word);
}

/* After a park of `parked` ns that followed `patience` spins in vain: raise the patience if the park was short, lower
 * it if it was long. On two cores a spinner may occupy the very core that the other process needs. */
static inline void sk_learn(sk_waiter *w, uint64_t parked) {
    uint32_t patience = sk_load32_relaxed(&w->patience);
    if (parked < sk_load32_relaxed(&w->short_ns)) patience *= 2;
    else patience -= patience / 4;
    if (patience < SK_PATIENCE_MIN) patience = SK_PATIENCE_MIN;
    if (patience > SK_PATIENCE_MAX) patience = SK_PATIENCE_MAX;
    sk_store32_relaxed(&w->patience, patience);
}

/* Each round of a wait but the first calls this: a waiter that is always too late must still keep its deadline and let
 * handlers run. *began is 0 before the first round. */
static inline int sk_check_deadline(uint64_t *began, uint64_t until) {
    uint64_t now = sk_now_ns();
    if (*began == 0) *began = now;
    else if (now >= until) return SK_TIMEOUT;
    else if (now - *began > SK_PARK_SLICE_NS) return SK_INTERRUPTED;
    return SK_OK;
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
    uint64_t now = sk_now_ns();
    if (__builtin_expect(sk_put_aside != NULL, 0) && now < until) {
        *sk_put_aside = (sk_aside){word, seen, until};
        return SK_INTERRUPTED;
    }
    if (__builtin_expect(sk_load32_relaxed(&w->hasty), 0) && now < until) return SK_INTERRUPTED;
    if (sk_load32_relaxed(&w->polling)) return sk_poll_while(word, seen, until);
    if (now >= until) return SK_TIMEOUT;
    int rc = sk_sleep_on(word, seen, until - now);
    if (rc == -ETIMEDOUT) return SK_TIMEOUT;
    return rc == -EINTR ? SK_INTERRUPTED : SK_OK;
}

/* The same for one slice at most, so that the caller can look around now and then: SK_INTERRUPTED when the slice is
 * over and the time is not. */
static inline int sk_park_slice(sk_waiter *w, uint32_t *word, uint32_t seen, uint64_t slice, uint64_t until) {
    uint64_t start = sk_now_ns(), end = start + slice;
    int rc = sk_park(w, word, seen, end < until ? end : until);
    if (sk_put_aside == NULL) sk_learn(w, sk_now_ns() - start);
    return rc == SK_TIMEOUT && end < until ? SK_INTERRUPTED : rc;
}

#define SK_EVERYBODY (1 << 30) /* for sk_wake */

/* --- eventcounts: "somebody may be parked", and how often it was notified ---------------------------
 *
 *   event   31 ....... 1   0
 *           calls          somebody may be parked
 *
 * Sleeper: prepare (a new value each time; a fence), re-read the condition, park on the event while it has that value.
 * Waker:   change the condition, do any atomic read-modify-write (giving a lock is one), look at bit 0; if it is up,
 *          notify: a new value, and a wake.
 * Either the sleeper sees the new condition or the waker sees the bit (W1 with W2); a sleeper between preparing and
 * parking sees another value. A waker that wakes nobody lowers the bit, unless another thread has prepared or notified
 * since. The bit is no count: a dead sleeper leaves it up, which costs one futile wake.
 *
 * Both fences are needed, because a sequentially consistent read-modify-write is no fence: on ARM64 without LSE the
 * load that follows one may be done before its store (tests/kernel/model.c takes each fence away and finds the sleeper
 * that nobody wakes). */

static inline uint32_t sk_eventcount_prepare(uint32_t *event) {
    uint32_t seen = sk_load32_relaxed(event);
    while (!sk_cas32_seq_cst(event, &seen, (seen + 2) | 1)) continue;
    sk_fence_after_rmw(); /* W1: the bit is visible before the condition is read again; pairs with W2 */
    return (seen + 2) | 1;
}

static inline void sk_eventcount_notify(uint32_t *event, int n) {
    sk_fence_after_rmw(); /* W2: the condition is visible before the bit is read; pairs with W1 */
    if (__builtin_expect((sk_load32_relaxed(event) & 1) == 0, 1)) return;
    uint32_t called = sk_add32_seq_cst(event, 2) + 2;
    if (sk_wake(event, n) == 0) sk_cas32_seq_cst(event, &called, called & ~1u);
}

#endif
