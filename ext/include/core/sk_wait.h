/* Waiting for a 32-bit word to change: spin a little, then park; every park is bounded.
 *
 * A thread that parked reads its condition again, whatever woke it. A wake-up is lost if the sender dies before sending
 * it, or if the waiter that receives it dies. This costs a waiter the rest of one slice (one bounded park), and never
 * a hang.
 *
 * There are two back ends: futexes, and polling with growing naps. A process may force polling (tests do). Threads of
 * both kinds may wait on one word, because a poller needs no wake-up and a parked waiter's slice is bounded. */
#ifndef SK_WAIT_H
#define SK_WAIT_H

#include "platform/sk_atomic.h"
#include "platform/sk_platform.h"
#include "platform/sk_status.h"

/* Longest park for a lock word; afterwards the waiter asks whether the owner lives. */
#define SK_LOCK_SLICE_NS 10000000u
/* Longest park for a condition (an item, room): bounds what a lost wake-up costs. */
#define SK_PARK_SLICE_NS 50000000u

/* How one process waits. Private to the process; racy updates only cost speed. */
typedef struct sk_waiter {
    uint32_t polling;  /* 1: never sleep on the word, poll */
    uint32_t patience; /* how many spins to try before parking; adapts */
    uint32_t one_core; /* 1: the process that this one waits for seems to run on the same core */
    uint32_t hasty;    /* 1: neither spin nor park, but return SK_INTERRUPTED, so that other greenlets can run */
    uint32_t short_ns; /* after a park that was shorter than this, more spins would have been better */
} sk_waiter;

/* A wait put aside: the word on which the thread would have slept. A thread that must not sleep (an event loop) first
 * calls sk_waits_aside and then the function that may have to wait. Where that function would sleep, it returns
 * SK_INTERRUPTED instead. The thread then registers the word with sk_watch.h, and calls again when the word has
 * changed. */
typedef struct sk_aside {
    uint32_t *word;  /* NULL until the thread would sleep */
    uint32_t seen;   /* the thread would sleep while the word has this value */
    uint64_t until;  /* the latest end of that sleep (monotonic ns) */
    uint64_t limit;  /* how long the sleep may last if somebody watches for deaths: the end of the wait. `until` if the
                      * sleep must end then in any case */
    uint32_t *also;  /* a word that changes when the wait can go on, even if the process that changed it died before the
                      * wake-up; or NULL */
    uint32_t also_seen;
} sk_aside;

static _Thread_local sk_aside *sk_put_aside; /* of this thread, while it must not sleep */

static inline void sk_waits_aside(sk_aside *aside) { sk_put_aside = aside; }

#define SK_PATIENCE_MIN 16u
#define SK_PATIENCE_MAX 1024u
#define SK_PATIENCE_START 256u
/* After this many spins the spinner also offers its core to other threads (sk_yield), once in 16 spins. */
#define SK_SPINS_BEFORE_YIELD 256u
/* The first value of short_ns: a wake-up alone costs 5 to 50 us. */
#define SK_SHORT_PARK_NS 40000u
/* If a spinner has offered its core and gets it back only after more than this, other programs want the core. */
#define SK_LATE_NS 40000u

/* Spin while *word is `seen`. True when it changed. The caller reads `next` afterwards, so each spin prefetches it:
 * then both cache lines arrive from the other core together, which saves a tenth of a round trip.
 * If the word changed while this thread had offered its core, the other process seems to run on the same core; so the
 * next spin offers the core at once.
 * If this thread got the core back late and the word had not changed, other programs want the core, and each further
 * offer would cost one of their time slices. Then the spin ends and the thread parks: a parked thread is woken in
 * time. (With three such programs a spin took 1.1 s in vain; a dead owner, a timeout and Ctrl-C had to wait for that
 * long.) */
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

/* Adapt the patience after a spin in vain and a park of `parked` ns: raise it if the park was short, lower it if the
 * park was long. On two cores a spinner may occupy the very core that the other process needs. */
static inline void sk_learn(sk_waiter *w, uint64_t parked) {
    uint32_t patience = sk_load32_relaxed(&w->patience);
    if (parked < sk_load32_relaxed(&w->short_ns)) patience *= 2;
    else patience -= patience / 4;
    if (patience < SK_PATIENCE_MIN) patience = SK_PATIENCE_MIN;
    if (patience > SK_PATIENCE_MAX) patience = SK_PATIENCE_MAX;
    sk_store32_relaxed(&w->patience, patience);
}

/* Each round of a wait calls this. The first call (*began is 0) only stores the time; later calls end the wait at
 * `until`, and interrupt it after SK_PARK_SLICE_NS. So a waiter that loses every race for the word still meets its
 * deadline and lets signal handlers run. */
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
 * SK_OK: the word may have changed; read it again. SK_TIMEOUT. SK_INTERRUPTED: a signal handler must run, or the wait
 * was put aside, or this process is `hasty` and does not park. */
static inline int sk_park(const sk_waiter *w, uint32_t *word, uint32_t seen, uint64_t until) {
    uint64_t now = sk_now_ns();
    if (__builtin_expect(sk_put_aside != NULL, 0) && now < until) {
        *sk_put_aside = (sk_aside){.word = word, .seen = seen, .until = until, .limit = until};
        return SK_INTERRUPTED;
    }
    if (__builtin_expect(sk_load32_relaxed(&w->hasty), 0) && now < until) return SK_INTERRUPTED;
    if (sk_load32_relaxed(&w->polling)) return sk_poll_while(word, seen, until);
    if (now >= until) return SK_TIMEOUT;
    int rc = sk_sleep_on(word, seen, until - now);
    if (rc == -ETIMEDOUT) return SK_TIMEOUT;
    return rc == -EINTR ? SK_INTERRUPTED : SK_OK;
}

/* Park as sk_park does, but for one slice at most, so that the caller can check other things between slices.
 * SK_INTERRUPTED can also mean that the slice is over and `until` is not reached. */
static inline int sk_park_slice(sk_waiter *w, uint32_t *word, uint32_t seen, uint64_t slice, uint64_t until) {
    uint64_t start = sk_now_ns(), end = start + slice;
    int rc = sk_park(w, word, seen, end < until ? end : until);
    if (sk_put_aside == NULL) sk_learn(w, sk_now_ns() - start);
    else if (slice == SK_LOCK_SLICE_NS || slice == SK_PARK_SLICE_NS) sk_put_aside->limit = until;
    return rc == SK_TIMEOUT && end < until ? SK_INTERRUPTED : rc;
}

/* Whether what was put aside may go on, as far as words tell. */
static inline bool sk_aside_changed(const sk_aside *aside) {
    return sk_load32_seq_cst(aside->word) != aside->seen ||
           (aside->also != NULL && sk_load32_seq_cst(aside->also) != aside->also_seen);
}

/* After sk_park_slice: what was put aside may go on when *word is not `seen`. */
static inline void sk_aside_also(uint32_t *word, uint32_t seen) {
    if (__builtin_expect(sk_put_aside == NULL, 1)) return;
    sk_put_aside->also = word;
    sk_put_aside->also_seen = seen;
}

/* After sk_park_slice: what was put aside must be called again when the slice is over, because something that is no
 * word and no death may let it go on. */
static inline void sk_aside_briefly(void) {
    if (__builtin_expect(sk_put_aside != NULL, 0)) sk_put_aside->limit = sk_put_aside->until;
}

#define SK_EVERYBODY (1 << 30) /* for sk_wake */

/* --- eventcounts: a bit (a thread may be parked) and a count (how often prepare and notify were called) ---
 *
 *   event   31 ....... 1   0
 *           count          a thread may be parked
 *
 * Waiter: call prepare (it stores a new value, with a fence), read the condition again, then park on the event while
 *          it has that value.
 * Waker:   change the condition, do any atomic read-modify-write (releasing a lock is one), then call notify: it reads
 *          bit 0, and if the bit is set, it stores a new value and wakes.
 * Either the waiter sees the new condition or the waker sees the bit (W1 with W2). If the waker notifies after the
 * waiter has prepared and before it parks, the waiter finds another value and does not park. A waker that finds no
 * waiter to wake clears the bit, unless another thread has called prepare or notify since. A dead waiter leaves the
 * bit set, which costs one needless wake.
 *
 * Both fences are needed, because a sequentially consistent read-modify-write is no fence: on ARM64 without LSE a load
 * that follows it may be done before its store. (tests/kernel/model.c removes each fence and finds a waiter that is
 * never woken.) */

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
