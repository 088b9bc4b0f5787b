/* One thread's stay in a wait, over all its slices: it is counted while it sleeps, and its turn comes.
 *
 *   turn, 64 bits   0, or owner << 32 | thread: whose turn it is, of a thread that has waited for SK_STAY_LONG_NS.
 *                   Written by compare-and-swap: from 0 by that thread, to 0 by it when it has taken or given up, and
 *                   by whoever finds it dead or has honoured it in vain.
 *
 * A turn is a courtesy and never ownership: what is free may be taken by anybody, but who would barge steps back for
 * whoever has the turn, once for at most SK_STAY_HONOUR_NS of seeing the thing free. So nobody starves, and a promised
 * one that is stopped or dead delays the others once and blocks nobody. A running holder keeps the cache line warm and may
 * take again and again until somebody has waited that long: handing over each time would cost a switch of processes each
 * time (PyMutex and parking_lot decide alike, with 1 and 0.5 ms).
 *
 * Deaths. A dead one's turn is cleared as said. A dead one's entry on the roll counts for nothing (sk_roll.h). */
#ifndef SK_STAY_H
#define SK_STAY_H

#include "sk_roll.h"
#include "sk_stall.h"

#define SK_STAY_LONG_NS 1000000u
#define SK_STAY_HONOUR_NS 10000000u
/* Who steps back sleeps for so long at a time: nobody need wake it when the one whose turn it was has come and gone. */
#define SK_STAY_STEP_NS 500000u

/* Private to the thread. `thread` tells it from the others of its process; the rest starts as 0. */
typedef struct sk_stay {
    uint32_t thread;
    bool enrolled;
    uint64_t began; /* monotonic: when it first had to wait */
    uint64_t freed; /* since when it has stepped back, or 0 */
    sk_aside *aside; /* of a wait that may not sleep; NULL: it may */
    sk_stall stall; /* of an inner lock */
    uint64_t *also; /* another turn that this wait honours before its own, or NULL */
    uint64_t seen; /* a queue's head when it was last found full, if `waited` */
    bool waited;
    bool overtaken; /* found full again, with other items in it */
} sk_stay;

static inline uint64_t sk_stay_name(const sk_segment *s, const sk_stay *stay) {
    return (uint64_t)sk_me(s) << 32 | stay->thread;
}

/* Before parking: be counted among those who wait. */
static inline void sk_stay_enrol(const sk_segment *s, uint64_t *roll, sk_stay *stay) {
    if (stay->enrolled) return;
    sk_roll_add(s, roll, 1);
    stay->enrolled = true;
}

/* It has what it waited for, or waits no longer. */
static inline void sk_stay_end(const sk_segment *s, uint64_t *turn, uint64_t *roll, sk_stay *stay) {
    uint64_t name = sk_stay_name(s, stay);
    if (sk_load64_relaxed(turn) == name) sk_cas64_seq_cst(turn, &name, 0);
    if (!stay->enrolled) return;
    sk_roll_add(s, roll, -1);
    stay->enrolled = false;
}

/* Whether it is somebody else's turn to take what is free. */
static inline bool sk_stay_barred(const sk_segment *s, uint64_t *turn, sk_stay *stay) {
    if (__builtin_expect(stay->also != NULL && sk_load64_relaxed(stay->also) != 0, 0)) turn = stay->also;
    uint64_t whose = sk_load64_relaxed(turn);
    if (__builtin_expect(whose == 0, 1) || whose == sk_stay_name(s, stay)) return false;
    uint64_t now = sk_now_ns();
    if (stay->freed == 0) stay->freed = now;
    if (now - stay->freed < SK_STAY_HONOUR_NS) return true;
    sk_cas64_seq_cst(turn, &whose, 0);
    stay->freed = 0;
    return false;
}

/* Before parking: take the turn if one has waited for so long and nobody living has it. How long to sleep at most. */
static inline uint64_t sk_stay_ask_after(const sk_segment *s, uint64_t *turn, sk_stay *stay, uint64_t ns, uint64_t slice) {
    uint64_t now = sk_now_ns(), whose = sk_load64_relaxed(turn), name = sk_stay_name(s, stay);
    if (stay->began == 0) stay->began = now;
    if (whose == name) return slice;
    sk_fence_acquire(); /* Q1 in sk_lock.h: whoever took the turn had its epoch stored before */
    if (whose != 0 && !sk_lives(s, (uint32_t)(whose >> 32)) && sk_cas64_seq_cst(turn, &whose, 0)) whose = 0;
    if (now - stay->began < ns) return ns;
    if (whose == 0) sk_cas64_seq_cst(turn, &whose, name);
    return slice;
}

static inline uint64_t sk_stay_ask(const sk_segment *s, uint64_t *turn, sk_stay *stay, uint64_t slice) {
    return sk_stay_ask_after(s, turn, stay, SK_STAY_LONG_NS, slice);
}

/* How many to wake when one could go on: all, if the one whose turn it is must be among them. After the read-modify-write
 * that lets one go on: whoever took the turn and then saw nothing free is seen to have it. */
static inline int sk_stay_call(const uint64_t *turn) {
    sk_fence_after_rmw();
    return sk_load64_relaxed(turn) == 0 ? 1 : SK_EVERYBODY;
}

#endif
