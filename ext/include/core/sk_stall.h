/* Distinguishing a lock whose holder makes progress from one whose holder stands still, for calls that may not wait for
 * it.
 *
 * A call that does not wait for an item or for room does wait for the structure's own lock: its holder is about to give
 * it. But a holder may be stopped inside (SIGSTOP, a debugger, a frozen container), and then the call would wait for
 * ever. So beside such a lock is a word of `moves`:
 *
 *   moves   goes up when the lock is given while somebody waits for it, and at each step of a long        the holder
 *           operation under the lock: a few megabytes copied, a piece of memory reserved or given back
 *
 * A waiter judges whenever a slice is over. If the lock word is the same, with the flag of waiters, and `moves` is the
 * same, then nobody gave the lock in between, because giving it with the flag up changes `moves`. So one holder has
 * held the lock all the time, and it has made no progress. After SK_STALL_NS of that the lock is stalled. Contention
 * alone changes `moves`, and so does a long copy.
 *
 * The judgement asks the system nothing, so it works in any container and without /proc. A holder that is ready to run
 * and does not get to run looks the same. Two things distinguish it: only time counts during which the waiter itself
 * looked (a slice that took much longer, because the machine was busy or asleep, counts as a short one), and the caller
 * may ask the system before it believes a verdict, and call again (src/sharedkit/_core/stopped_processes.py).
 *
 * What remains: a thread gives the lock and is stopped before it changes `moves`, while another thread of its process
 * takes the lock. That hides one giving, so the times of two holders are added up. A verdict harms no more than its own
 * call: nobody takes anything over from a holder that stands still. */
#ifndef SK_STALL_H
#define SK_STALL_H

#include "core/sk_lock.h"

/* Together with the slice before the first look: less than 100 ms. */
#define SK_STALL_NS 80000000u
/* The most that one look may count. */
#define SK_STALL_LOOK_NS 20000000u
/* The holder counts up `moves` after this many bytes of a copy, or of memory reserved. */
#define SK_STALL_COPY ((uint64_t)4 << 20)
#define SK_STALL_RESERVE ((uint64_t)16 << 20)

/* The judgement of one call; begins as zeroes. Private to the thread. */
typedef struct sk_stall {
    uint32_t word;  /* the lock as it was last seen; 0: not yet */
    uint32_t moves;
    uint32_t which; /* of the structure's locks, for messages */
    bool in_time;   /* the call's own time ended at the lock */
    uint64_t last;  /* the monotonic time of the last look */
    uint64_t still; /* ns for which the holder has made no progress */
} sk_stall;

/* A sign of progress by the holder of the lock. */
static inline void sk_lock_moves(uint32_t *moves) { sk_add32_relaxed(moves, 1); }

/* Give a lock that has a word of moves. */
static inline void sk_lock_give_and_move(uint32_t *word, uint32_t *moves) {
    uint32_t was = sk_swap32_release(word, 0); /* R1, as in sk_lock_give */
    if (__builtin_expect(was & SK_LOCK_WAITED, 0)) {
        sk_lock_moves(moves);
        sk_wake(word, 1);
    }
}

/* After a slice of waiting for the lock in vain, with the answer `rc` of that wait. Returns SK_STALLED, or `rc`. */
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
