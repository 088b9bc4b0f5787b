/* Detecting that the holder of a lock makes no progress, for calls that must not wait long for the lock.
 *
 * A call that does not wait for an item or for room does wait for the structure's own lock, because a holder normally
 * releases it soon. But a holder may be stopped inside (SIGSTOP, a debugger, a frozen container), and then the call
 * would wait for ever. So beside such a lock is a word of `moves`:
 *
 *   moves   goes up when the lock is released while a thread waits for it, and at each step of a long     the holder
 *           operation under the lock: a few megabytes copied, a piece of memory reserved or given back
 *
 * A waiter judges whenever a slice is over. If the lock word is unchanged and has the flag of waiters, and `moves` is
 * unchanged, then the lock was not released in between, because a release with the flag set changes `moves`. So one
 * holder has held the lock all the time, and it has made no progress. If this goes on for SK_STALL_NS, the lock is
 * stalled. Contention changes `moves`, and so does a long copy: neither looks like a stall.
 *
 * The judgement does not ask the system, so it works in any container and without /proc. A holder that is ready to run
 * but gets no core looks like a stopped one. Two rules guard against this. First, a slice counts for
 * SK_STALL_LOOK_NS at most, even if it took much longer because the machine was busy or asleep. Second, the caller may
 * ask the system whether the holder is about to run, and then call again (src/sharedkit/_core/stopped_processes.py).
 *
 * One error remains possible: a thread releases the lock and is stopped before it changes `moves`, and another thread
 * of its process takes the lock. This hides one release, so the times of two holders are added up. A wrong judgement
 * affects only the call that made it: no lock is taken over from a holder that makes no progress. */
#ifndef SK_STALL_H
#define SK_STALL_H

#include "core/sk_lock.h"

/* With the slice before the first judgement this takes less than 100 ms. */
#define SK_STALL_NS 80000000u
/* The most that one slice counts. */
#define SK_STALL_LOOK_NS 20000000u
/* The holder counts up `moves` after this many bytes of a copy, or of memory reserved. */
#define SK_STALL_COPY ((uint64_t)4 << 20)
#define SK_STALL_RESERVE ((uint64_t)16 << 20)

/* The judgement of one call; begins as zeroes. Private to the thread. */
typedef struct sk_stall {
    uint32_t word;  /* the lock word at the last judgement; 0: none yet */
    uint32_t moves;
    uint32_t which; /* which of the structure's locks, for messages */
    bool in_time;   /* the deadline of the call passed while it waited for the lock */
    uint64_t last;  /* the monotonic time of the last judgement */
    uint64_t still; /* ns for which the holder has made no progress */
} sk_stall;

/* Called by the holder of the lock as a sign of progress. */
static inline void sk_lock_moves(uint32_t *moves) { sk_add32_relaxed(moves, 1); }

/* Release a lock that has a word of moves. */
static inline void sk_lock_give_and_move(uint32_t *word, uint32_t *moves) {
    uint32_t was = sk_swap32_release(word, 0); /* R1, as in sk_lock_give */
    if (__builtin_expect(was & SK_LOCK_WAITED, 0)) {
        sk_lock_moves(moves);
        sk_wake(word, 1);
    }
}

/* Judge after a slice of waiting for the lock in vain; `rc` is the result of that wait. Returns SK_STALLED, or `rc`. */
static inline int sk_stall_judge(sk_stall *t, const uint32_t *word, const uint32_t *moves, uint32_t which, int rc) {
    uint32_t held = sk_load32_acquire(word), moved = sk_load32_relaxed(moves);
    uint64_t now = sk_now_ns(), passed = now - t->last;
    bool still = (held & SK_LOCK_WAITED) && held == t->word && moved == t->moves && which == t->which;
    if (!still) t->still = 0;
    else t->still += passed < SK_STALL_LOOK_NS ? passed : SK_STALL_LOOK_NS;
    t->word = held;
    t->moves = moved;
    t->which = which;
    t->last = now;
    t->in_time = rc == SK_TIMEOUT;
    return t->still >= SK_STALL_NS ? SK_STALLED : rc;
}

#endif
