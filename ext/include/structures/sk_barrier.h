/* A barrier: parties take slots, and one word says whether they may go.
 *
 *   offset    what                                                 written by
 *   0         state                                                see below; its changes commit
 *   128       lock                                                 a party that enters, resets, or repairs
 *   256       slot[parties]: the owner word of each party inside   the party: to enter, under the lock; to leave,
 *                                                                  without it; of a dead party: the holder of the lock
 *
 *   state     31 .... 4   3                        2 .. 0
 *             round       a party may be parked    phase
 *
 *   phase          parties inside  newcomers    next phase
 *   FILLING        wait            enter        ACTING or DRAINING, by the last party to enter, under the lock;
 *                                               BROKEN, by any party, if one is dead or reaches its deadline
 *   ACTING         wait            wait         DRAINING or BROKEN, by the party that ran the action; BROKEN, by any
 *                                               party, if that one is dead
 *   DRAINING       go, released    wait         FILLING of the next round, by any party that sees the last one gone
 *   RESETTING      go, broken      wait         as DRAINING
 *   BROKEN         go, broken      go, broken   RESETTING, by reset
 *   BROKEN_AFTER   go, released    go, broken   DRAINING, by reset (the barrier was broken while it drained)
 *
 * There is no separate count that could disagree: the parties inside are as many as the taken slots. The number of a
 * slot is its party's index. While a slot is taken the round cannot change, so the phase tells each party inside
 * whether it waits, is released or is broken. While a process holds the lock, others can change a FILLING barrier only
 * to BROKEN.
 *
 * Deaths. The parties inside form a circle. Each party that waits checks when its slice is over whether the next one
 * lives. So if one party is dead and another lives, a living party finds a dead one next to it. The last party to enter
 * checks all parties before it releases them.
 * A party dies while it enters, before its slot is taken: nothing has happened.
 * A party inside dies while FILLING or ACTING: the barrier breaks, and BROKEN is stored before the dead party's slot is
 * cleared.
 * A party dies while it leaves, in DRAINING or RESETTING: newcomers, which wait for its slot, clear it. If it has
 * cleared its slot and dies before it changes the phase, a newcomer finds all slots free and changes the phase.
 * A party dies between a change of phase and the wake: waiters read the state again when their slice is over. */
#ifndef SK_BARRIER_H
#define SK_BARRIER_H

#include "core/sk_lock.h"

enum sk_barrier_phase {
    SK_FILLING = 0,
    SK_ACTING = 1,
    SK_DRAINING = 2,
    SK_RESETTING = 3,
    SK_IS_BROKEN = 4,
    SK_BROKEN_AFTER = 5,
};
#define SK_BARRIER_PHASE 7u
#define SK_BARRIER_PARKED 8u
#define SK_BARRIER_ROUND 16u
#define SK_BARRIER_PARTIES 0 /* index in sk_plan.param */
#define SK_PARTIES_MAX (1u << 24)

typedef struct sk_barrier {
    uint32_t state;
    unsigned char line[SK_LINE - 4];
    uint32_t lock;
    unsigned char line2[SK_LINE - 4];
    uint32_t slot[];
} sk_barrier;
_Static_assert(offsetof(sk_barrier, slot) == 2 * SK_LINE, "diagram and struct agree");

static inline uint64_t sk_barrier_body_len(uint32_t parties) { return sizeof(sk_barrier) + (uint64_t)parties * 4; }
static inline sk_barrier *sk_barrier_of(const sk_segment *s) { return sk_body_of(s); }
static inline uint32_t sk_barrier_parties(const sk_segment *s) {
    return (uint32_t)sk_header_of(s)->param[SK_BARRIER_PARTIES];
}

static inline int sk_barrier_refuse(const sk_segment *s) {
    uint64_t parties = sk_header_of(s)->param[SK_BARRIER_PARTIES];
    if (parties < 1 || parties > SK_PARTIES_MAX) return SK_CORRUPT;
    return sk_barrier_body_len((uint32_t)parties) <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

static inline uint32_t sk_barrier_look(const sk_barrier *b) { return sk_load32_acquire(&b->state); } /* A1 */
static inline uint32_t sk_barrier_phase(uint32_t state) { return state & SK_BARRIER_PHASE; }

/* --- the phase ----------------------------------------------------------------------------------- */

/* Change the phase to `phase` if it has not changed since `seen`, and wake all parties that sleep on the state. Returns
 * whether it was changed. */
static inline bool sk_barrier_move(sk_barrier *b, uint32_t seen, uint32_t phase) {
    uint32_t now = seen, round = seen / SK_BARRIER_ROUND + (phase == SK_FILLING);
    while (!sk_cas32_seq_cst(&b->state, &now, round * SK_BARRIER_ROUND | phase)) /* R1: pairs with A1; commits */
        if ((now ^ seen) & ~SK_BARRIER_PARKED) return false;
    if (now & SK_BARRIER_PARKED) sk_wake(&b->state, SK_EVERYBODY);
    return true;
}

/* Break the barrier unless its phase is beyond `last`; parties that have been released stay released. */
static inline void sk_barrier_break(sk_barrier *b, uint32_t last) {
    for (;;) {
        uint32_t state = sk_barrier_look(b), phase = sk_barrier_phase(state);
        if (phase > last || sk_barrier_move(b, state, phase == SK_DRAINING ? SK_BROKEN_AFTER : SK_IS_BROKEN)) return;
    }
}

/* How many slots are taken. */
static inline uint32_t sk_barrier_inside(const sk_segment *s, const sk_barrier *b) {
    uint32_t parties = sk_barrier_parties(s), n = 0;
    for (uint32_t i = 0; i < parties; i++) n += sk_load32_seq_cst(&b->slot[i]) != 0;
    return n;
}

/* Begin the next round if the last party has left this one. */
static inline void sk_barrier_drained(const sk_segment *s, sk_barrier *b) {
    uint32_t state = sk_load32_seq_cst(&b->state), phase = sk_barrier_phase(state);
    if (phase != SK_DRAINING && phase != SK_RESETTING) return;
    if (sk_barrier_inside(s, b) == 0) sk_barrier_move(b, state, SK_FILLING);
}

/* Under the lock: repair after deaths. Break the barrier before clearing a slot, so that no death is forgotten if this
 * process dies in between. */
static inline void sk_barrier_repair(const sk_segment *s, sk_barrier *b) {
    uint32_t parties = sk_barrier_parties(s);
    for (uint32_t i = 0; i < parties; i++) {
        uint32_t owner = sk_load32_acquire(&b->slot[i]);
        if (owner == 0 || sk_lives(s, owner)) continue;
        sk_barrier_break(b, SK_ACTING);
        sk_cas32_seq_cst(&b->slot[i], &owner, 0);
    }
    sk_barrier_drained(s, b);
}

/* Repair after deaths, if the barrier is not broken and the lock is free or its owner dead. */
static inline void sk_barrier_notice(const sk_segment *s, sk_barrier *b) {
    uint32_t seen = 0;
    if ((sk_me(s) == 0 && sk_segment_sit(s) != SK_OK) || sk_barrier_phase(sk_barrier_look(b)) >= SK_IS_BROKEN) return;
    if (!sk_cas32_acq_rel(&b->lock, &seen, sk_me(s)) && !sk_lock_inherit(s, &b->lock, seen)) return;
    sk_barrier_repair(s, b);
    sk_lock_give(&b->lock);
}

/* --- entering, waiting, leaving -------------------------------------------------------------------- */

/* Clear the slot; the last party to leave begins the next round. No effect in a forked child, which has no slot. */
static inline void sk_barrier_detach(const sk_segment *s, sk_barrier *b, uint32_t slot) {
    uint32_t me = sk_me(s);
    if (sk_cas32_seq_cst(&b->slot[slot], &me, 0)) sk_barrier_drained(s, b);
}

/* A party: its slot, and whether it was the last to enter. The last one runs the action, if there is one. */
typedef struct sk_party {
    uint32_t slot;
    bool last;
} sk_party;

/* Under the lock: take a slot of a barrier that is FILLING. SK_OK, SK_BROKEN, SK_CORRUPT. */
static inline int sk_barrier_claim(const sk_segment *s, sk_barrier *b, uint32_t state, bool acts, sk_party *p) {
    uint32_t parties = sk_barrier_parties(s), inside = 0;
    p->slot = parties;
    for (uint32_t i = 0; i < parties; i++) {
        if (sk_load32_acquire(&b->slot[i]) != 0) inside++;
        else if (p->slot == parties) p->slot = i;
    }
    p->last = inside + 1 >= parties;
    if (p->last && parties > 1) {
        sk_barrier_repair(s, b);
        if (sk_barrier_phase(sk_barrier_look(b)) != SK_FILLING) return SK_BROKEN;
    }
    if (p->slot == parties) return SK_CORRUPT;
    sk_store32_seq_cst(&b->slot[p->slot], sk_me(s)); /* commits the entry */
    if (!p->last || sk_barrier_move(b, state, acts ? SK_ACTING : SK_DRAINING)) return SK_OK;
    sk_barrier_detach(s, b, p->slot);
    return SK_BROKEN;
}

/* Sleep on the state for one slice while it is `seen`. */
static inline int sk_barrier_park(sk_segment *s, sk_barrier *b, uint32_t seen, uint64_t until) {
    if (!(seen & SK_BARRIER_PARKED)) {
        if (!sk_cas32_seq_cst(&b->state, &seen, seen | SK_BARRIER_PARKED)) return SK_OK;
        seen |= SK_BARRIER_PARKED;
    }
    return sk_park_slice(&s->waiter, &b->state, seen, SK_PARK_SLICE_NS, until);
}

/* Enter, waiting until the monotonic time `until`; 0: do not wait (SK_BUSY). `acts`: there is an action to run.
 * SK_OK, SK_BROKEN, SK_TIMEOUT (which breaks the barrier), SK_INTERRUPTED (call again), SK_NO_SEAT, SK_CORRUPT. */
static inline int sk_barrier_enter(sk_segment *s, sk_barrier *b, bool acts, uint64_t until, sk_party *p) {
    uint64_t began = 0;
    for (;;) {
        int rc = sk_lock_take(s, &b->lock, until);
        if (rc == SK_OK || rc == SK_OWNER_DIED) {
            if (rc == SK_OWNER_DIED) sk_barrier_repair(s, b);
            uint32_t state = sk_barrier_look(b), phase = sk_barrier_phase(state);
            rc = phase >= SK_IS_BROKEN ? SK_BROKEN : SK_BUSY;
            if (phase == SK_FILLING) rc = sk_barrier_claim(s, b, state, acts, p);
            sk_lock_give(&b->lock);
            if (rc != SK_BUSY || until == 0) return rc;
            /* The deadline does not end a wait for another party's action: in threading.Barrier a caller waits for
             * the barrier's lock during the action, without its timeout. */
            uint64_t end = phase == SK_ACTING ? UINT64_MAX : until;
            rc = sk_check_deadline(&began, end);
            if (rc == SK_OK && !sk_spin_while(&s->waiter, &b->state, state)) rc = sk_barrier_park(s, b, state, end);
            if (rc == SK_OK) continue;
            if (rc == SK_INTERRUPTED) sk_barrier_notice(s, b);
        }
        if (rc == SK_TIMEOUT) sk_barrier_break(b, SK_RESETTING);
        return rc;
    }
}

/* Whether the next party inside is dead. */
static inline bool sk_barrier_neighbour_died(const sk_segment *s, const sk_barrier *b, uint32_t slot) {
    uint32_t parties = sk_barrier_parties(s);
    for (uint32_t i = 1; i < parties; i++) {
        uint32_t owner = sk_load32_acquire(&b->slot[(slot + i) % parties]);
        if (owner != 0) return !sk_lives(s, owner);
    }
    return false;
}

/* Wait inside for the next phase. `until` bounds the time of FILLING; it does not bound the time of the action.
 * SK_OK (released), SK_BROKEN, SK_INTERRUPTED (call again). */
static inline int sk_barrier_wait(sk_segment *s, sk_barrier *b, uint32_t slot, uint64_t until) {
    uint64_t began = 0;
    for (;;) {
        uint32_t state = sk_barrier_look(b), phase = sk_barrier_phase(state);
        if (sk_load32_relaxed(&b->slot[slot]) != sk_me(s)) return SK_BROKEN; /* a forked child is not inside */
        if (phase == SK_DRAINING || phase == SK_BROKEN_AFTER) return SK_OK;
        if (phase > SK_ACTING) return SK_BROKEN;
        uint64_t end = phase == SK_ACTING ? UINT64_MAX : until;
        int rc = sk_check_deadline(&began, end);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &b->state, state)) continue;
        if (rc == SK_OK) rc = sk_barrier_park(s, b, state, end);
        if (rc == SK_TIMEOUT) sk_barrier_break(b, SK_FILLING); /* no effect if all have entered by now */
        else if (rc == SK_INTERRUPTED) {
            if (!sk_barrier_neighbour_died(s, b, slot)) return rc;
            sk_barrier_break(b, SK_ACTING);
        }
    }
}

/* Called by the party that ran the action; `well`: the action succeeded. SK_OK (all are released), SK_BROKEN. */
static inline int sk_barrier_acted(sk_barrier *b, bool well) {
    uint32_t state = sk_barrier_look(b);
    if (sk_barrier_phase(state) != SK_ACTING || !sk_barrier_move(b, state, well ? SK_DRAINING : SK_IS_BROKEN))
        return SK_BROKEN;
    return well ? SK_OK : SK_BROKEN;
}

/* --- from outside ---------------------------------------------------------------------------------- */

/* Make the barrier usable again; parties that wait inside get SK_BROKEN. SK_OK, or the result of sk_lock_take. */
static inline int sk_barrier_reset(sk_segment *s, sk_barrier *b, uint64_t until) {
    int rc = sk_lock_take(s, &b->lock, until);
    if (rc != SK_OK && rc != SK_OWNER_DIED) return rc;
    sk_barrier_repair(s, b);
    for (;;) {
        uint32_t state = sk_barrier_look(b), phase = sk_barrier_phase(state);
        if (phase == SK_DRAINING || phase == SK_RESETTING) break;
        if (phase == SK_FILLING && sk_barrier_inside(s, b) == 0) break;
        if (sk_barrier_move(b, state, phase == SK_BROKEN_AFTER ? SK_DRAINING : SK_RESETTING)) break;
    }
    sk_barrier_drained(s, b);
    sk_lock_give(&b->lock);
    return SK_OK;
}

#endif
