/* The sleepers of a condition: each waits on a word of its own. They are notified by ticket, first come, first served.
 *
 *   offset    what                                             written by
 *   -         sk_mutex: the lock of its own, if it has one     see sk_mutex.h
 *   0         next: how many tickets were given out            a thread that comes, under the condition's lock
 *   8         high: slots beyond this were never taken         a thread that comes, before it takes one beyond
 *   12        keeper: lock of the threads that pass on the     a thread that passes on
 *             notifications of the dead
 *   16        grown, 24 more: further slots, in memory of one  a thread that comes, under the condition's lock; slots
 *             process (sk_private.h) alone, 16, 32, 64 ... at a  first
 *             time; never read in a file
 *   128       slot[]: param[SK_CONDITION_SLOTS] of them        see below
 *
 *   slot      0   word                                         see below; that commits
 *             4   parked: 1 once it may sleep on the word      the sleeper
 *             8   ticket                                       the sleeper, before the word
 *             16  before: tickets given out when it was        its notifier, before the word, by compare-and-swap; it
 *                 notified or later, and never fewer than at   only grows
 *                 any time it was notified earlier
 *             24  stuck: a keeper that the sleeper has found   the sleeper
 *                 holding the lock for a whole slice
 *
 *   word                 meaning               who changes it next
 *   0                    free                  a thread that comes, to its owner word
 *   owner                waits                 a notifier, to notified; the sleeper, to free: out of time, or it leaves
 *   owner | SK_NOTIFIED  notified              the sleeper, to free, once it has the lock again
 *   (either), dead       left behind           waiting: a notifier, to free; notified: the thread that passes the
 *                                              notification on, to free
 *
 * A thread that finds the notification of a dead sleeper passes it on to the oldest sleeper that still waits and came
 * before it was given; later ones have seen what it was about, because they looked at it under the lock.
 * A notifier and a keeper may notify one sleeper at once, and only one of them succeeds. The other has stored its
 * `before` already: so that word only grows, and the one that succeeds leaves the larger of the two. (It was a plain
 * store: the loser's smaller value shut out a sleeper that the winner's notification was meant for.) Too large a value
 * lets a sleeper be notified that came a moment later, and only when no older one is left; a value from an earlier wait
 * in the slot is below the ticket of this wait, so it has no effect.
 *
 * Deaths. Coming, before the word is taken: nothing has happened. Waiting: a notifier asks whether the oldest sleeper
 * lives before it notifies that sleeper; if not, it frees the slot and goes on to the next. Notified, at any time
 * before the slot is free: each sleeper looks for notified and dead ones when its slice is over, and passes their
 * notifications on. It first notifies the next sleeper, then frees the dead one's slot. A death in between, or one that
 * comes after the sleeper took its lock, notifies one sleeper more than was asked for; no notification is ever lost.
 * Notifying: some sleepers are notified and the rest are not, as if the notifier had asked for fewer. Between
 * notification and wake: the sleeper looks again when its slice is over.
 * Nobody waits for an answer of a sleeper, so a stopped or dead sleeper never holds up a notifier. Nor does a stopped
 * keeper: a sleeper that finds the same keeper for two slices passes on beside it, which may notify one sleeper more
 * than was asked for. */
#ifndef SK_CONDITION_H
#define SK_CONDITION_H

#include "structures/sk_mutex.h"

#define SK_NOTIFIED 0x80000000u
#define SK_SLEEPERS 1024u         /* slots in a file */
#define SK_SLEEPERS_PRIVATE 16u   /* slots at first in memory of one process, where their number may double */
#define SK_SLEEPERS_DOUBLED 12u   /* this often */
#define SK_CONDITION_SLOTS 1     /* header.param */

typedef struct sk_sleeper {
    uint32_t word;
    uint32_t parked;
    uint64_t ticket;
    uint64_t before;
    uint32_t stuck;
    uint32_t unused;
} sk_sleeper;

typedef struct sk_condition {
    uint64_t next;
    uint32_t high;
    uint32_t keeper;
    uint32_t grown;
    uint32_t unused;
    sk_sleeper *more[SK_SLEEPERS_DOUBLED];
    unsigned char line[SK_LINE - 24 - SK_SLEEPERS_DOUBLED * 8];
    sk_sleeper slot[];
} sk_condition;
_Static_assert(sizeof(sk_sleeper) == 32 && offsetof(sk_sleeper, ticket) == 8 && offsetof(sk_condition, keeper) == 12 &&
                   offsetof(sk_condition, more) == 24 && sizeof(void *) == 8 &&
                   offsetof(sk_condition, slot) == SK_LINE,
               "diagram and struct agree");

static inline uint64_t sk_condition_body_len(uint32_t seats, uint32_t slots) {
    return sk_mutex_len(seats) + sizeof(sk_condition) + slots * sizeof(sk_sleeper);
}

/* How many slots lie in the body. */
static inline uint32_t sk_condition_first(const sk_segment *s) {
    return (uint32_t)sk_header_of(s)->param[SK_CONDITION_SLOTS];
}

static inline uint32_t sk_condition_slots(const sk_segment *s, const sk_condition *c) {
    return sk_segment_is_private(s) ? sk_condition_first(s) << sk_load32_acquire(&c->grown) : sk_condition_first(s);
}

static inline sk_sleeper *sk_condition_slot(const sk_segment *s, const sk_condition *c, uint32_t i) {
    uint32_t first = sk_condition_first(s);
    if (__builtin_expect(i < first, 1)) return (sk_sleeper *)&c->slot[i];
    uint32_t doubled = 31u - (uint32_t)__builtin_clz(i / first);
    return &c->more[doubled][i - (first << doubled)];
}

/* Double the slots: the new ones, as many as there are now, lie zeroed in `memory`, which must live as long as the
 * segment. For a private segment, under the condition's lock. False: there are as many as possible. */
static inline bool sk_condition_grow(const sk_segment *s, sk_condition *c, void *memory) {
    if (!sk_segment_is_private(s) || c->grown == SK_SLEEPERS_DOUBLED) return false;
    c->more[c->grown] = memory;
    sk_store32_release(&c->grown, c->grown + 1);
    return true;
}

static inline sk_condition *sk_condition_of(const sk_segment *s) {
    return (sk_condition *)(void *)((unsigned char *)sk_body_of(s) + sk_mutex_len(s->seats.count));
}

/* What a process that attaches must find; words that change are checked where they are used. */
static inline int sk_condition_refuse(const sk_segment *s) {
    uint64_t slots = sk_header_of(s)->param[SK_CONDITION_SLOTS];
    if (slots < 1 || slots > SK_SLEEPERS) return SK_CORRUPT;
    uint64_t needed = sk_condition_body_len(s->seats.count, (uint32_t)slots);
    return needed <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

static inline uint32_t sk_condition_high(const sk_segment *s, const sk_condition *c) {
    uint32_t high = sk_load32_acquire(&c->high), slots = sk_condition_slots(s, c);
    return high < slots ? high : slots;
}

static inline bool sk_sleeper_waits(uint32_t word) { return word != 0 && !(word & SK_NOTIFIED); }

/* --- notifying ------------------------------------------------------------------------------------ */

/* Notify the sleeper that waits as `owner`, if it still does. Returns whether it did and its ticket is below
 * `before`. */
static inline bool sk_sleeper_notify(sk_sleeper *z, uint32_t owner, uint64_t before) {
    uint64_t there = sk_load64_relaxed(&z->before);
    while (there < before && !sk_cas64_seq_cst(&z->before, &there, before)) continue;
    if (!sk_cas32_seq_cst(&z->word, &owner, owner | SK_NOTIFIED)) return false; /* R1: pairs with A1; commits */
    sk_fence_after_rmw(); /* W2: pairs with W1 */
    if (sk_load32_relaxed(&z->parked)) sk_wake(&z->word, 1);
    return sk_load64_relaxed(&z->ticket) < before; /* without the lock: it may have left and come again */
}

/* The oldest sleeper that waits and whose ticket is below `before`, or NULL. */
static inline sk_sleeper *sk_condition_oldest(const sk_segment *s, sk_condition *c, uint64_t before, uint32_t *owner) {
    sk_sleeper *oldest = NULL;
    uint32_t high = sk_condition_high(s, c);
    for (uint32_t i = 0; i < high; i++) {
        sk_sleeper *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word); /* its ticket was written before that */
        if (!sk_sleeper_waits(word) || sk_load64_relaxed(&z->ticket) >= before) continue;
        before = sk_load64_relaxed(&z->ticket);
        *owner = word;
        oldest = z;
    }
    return oldest;
}

/* Notify all of them, in one pass. Returns how many. */
static inline uint64_t sk_condition_tell_all(const sk_segment *s, sk_condition *c, uint64_t before) {
    uint64_t notified = 0;
    uint32_t high = sk_condition_high(s, c);
    for (uint32_t i = 0; i < high; i++) {
        sk_sleeper *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word);
        if (!sk_sleeper_waits(word) || sk_load64_relaxed(&z->ticket) >= before) continue;
        if (!sk_lives(s, word)) sk_cas32_seq_cst(&z->word, &word, 0);
        else notified += sk_sleeper_notify(z, word, before);
    }
    return notified;
}

/* Notify the n oldest living sleepers with tickets below `before`. Returns how many there were. */
static inline uint64_t sk_condition_notify_some(const sk_segment *s, sk_condition *c, uint64_t before, uint64_t n) {
    uint64_t notified = 0;
    uint32_t owner = 0;
    sk_sleeper *z;
    if (n >= sk_condition_high(s, c)) return sk_condition_tell_all(s, c, before);
    while (notified < n && (z = sk_condition_oldest(s, c, before, &owner)) != NULL) {
        if (!sk_lives(s, owner)) sk_cas32_seq_cst(&z->word, &owner, 0);
        else notified += sk_sleeper_notify(z, owner, before);
    }
    return notified;
}

/* Notify n of the waiting sleepers; under the condition's lock. */
static inline void sk_condition_notify(const sk_segment *s, sk_condition *c, uint64_t n) {
    sk_condition_notify_some(s, c, sk_load64_relaxed(&c->next), n);
}

/* Pass on the notifications of dead sleepers, unless another keeper is doing just that and was not `stuck` a slice
 * ago. Returns the keeper found, or 0. */
SK_COLD static inline uint32_t sk_condition_pass_on_beside(const sk_segment *s, sk_condition *c, uint32_t stuck) {
    uint32_t high = sk_condition_high(s, c), seen = 0;
    bool kept = false, beside = false;
    for (uint32_t i = 0; i < high; i++) {
        sk_sleeper *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word);
        if (!(word & SK_NOTIFIED) || sk_lives(s, word)) continue;
        if (!kept && !beside) {
            kept = sk_cas32_acq_rel(&c->keeper, &seen, sk_me(s)) || sk_lock_inherit(s, &c->keeper, seen);
            beside = !kept && seen == stuck;
            if (!kept && !beside) return seen;
        }
        if (sk_load32_acquire(&z->word) != word) continue;
        sk_condition_notify_some(s, c, sk_load64_relaxed(&z->before), 1);
        sk_cas32_seq_cst(&z->word, &word, 0);
    }
    if (kept) sk_lock_give(&c->keeper);
    return beside ? stuck : 0;
}

static inline void sk_condition_pass_on(const sk_segment *s, sk_condition *c) { sk_condition_pass_on_beside(s, c, 0); }

/* --- waiting -------------------------------------------------------------------------------------- */

/* Free the slot of every dead sleeper, after passing on their notifications. */
SK_COLD static inline void sk_condition_sweep(const sk_segment *s, sk_condition *c) {
    uint32_t slots = sk_condition_slots(s, c);
    sk_condition_pass_on(s, c);
    for (uint32_t i = 0; i < slots; i++) {
        sk_sleeper *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word);
        if (sk_sleeper_waits(word) && !sk_lives(s, word)) sk_cas32_seq_cst(&z->word, &word, 0);
    }
}

#define SK_PROBES 64u

/* A slot that seems free, or the number of slots if there is none. It looks at some of the slots used before, which is
 * all of them where they are few, then at the next unused one. So thousands can begin to wait without each looking at
 * all the others. */
static inline uint32_t sk_condition_find(const sk_segment *s, const sk_condition *c) {
    uint32_t high = sk_condition_high(s, c), slots = sk_condition_slots(s, c);
    uint32_t looks = high < SK_PROBES ? high : SK_PROBES, i = high < SK_PROBES ? 0 : (uint32_t)(sk_load64_relaxed(&c->next) % high);
    for (; looks > 0; looks--, i = i + 1 == high ? 0 : i + 1)
        if (sk_load32_acquire(&sk_condition_slot(s, c, i)->word) == 0) return i;
    if (high < slots) return high;
    for (i = 0; i < slots && sk_load32_acquire(&sk_condition_slot(s, c, i)->word) != 0; i++) {}
    return i;
}

/* Take a slot, under the condition's lock: SK_OK, SK_FULL, SK_NO_SEAT. */
static inline int sk_condition_enter(const sk_segment *s, sk_condition *c, sk_sleeper **mine) {
    SK_SEATED(s);
    for (int tries = 0; tries < 2; tries++) {
        uint32_t i;
        while ((i = sk_condition_find(s, c)) < sk_condition_slots(s, c)) {
            sk_sleeper *z = sk_condition_slot(s, c, i);
            uint32_t word = 0;
            if (i >= sk_condition_high(s, c)) sk_store32_release(&c->high, i + 1);
            /* Under the lock no other thread takes a slot, so these stores hit no other's slot, and the swap does not
             * fail. */
            sk_store32_relaxed(&z->parked, 0);
            sk_store32_relaxed(&z->stuck, 0);
            sk_store64_relaxed(&z->ticket, sk_add64_seq_cst(&c->next, 1));
            if (!sk_cas32_seq_cst(&z->word, &word, sk_me(s))) continue; /* commits */
            *mine = z;
            return SK_OK;
        }
        sk_condition_sweep(s, c);
    }
    return SK_FULL;
}

/* Sleep until notified, or until the monotonic time `until`. `me` is the owner word that took the slot.
 * SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again), SK_BUSY (in the child of a fork, which does not wait). */
static inline int sk_condition_wait(sk_segment *s, sk_condition *c, sk_sleeper *z, uint32_t me, uint64_t until) {
    uint64_t began = 0;
    for (;;) {
        if (sk_me(s) != me) return SK_BUSY;
        if (sk_load32_acquire(&z->word) != me) return SK_OK; /* A1: pairs with R1 */
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK) {
            if (sk_spin_while(&s->waiter, &z->word, me)) continue;
            sk_store32_seq_cst(&z->parked, 1); /* W1: visible before the system compares the word */
            rc = sk_park_slice(&s->waiter, &z->word, me, SK_PARK_SLICE_NS, until);
        }
        if (rc == SK_INTERRUPTED)
            sk_store32_relaxed(&z->stuck, sk_condition_pass_on_beside(s, c, sk_load32_relaxed(&z->stuck)));
        if (rc != SK_OK) return sk_load32_acquire(&z->word) != me ? SK_OK : rc;
    }
}

/* Stop waiting without a notification; false when one has come first. */
static inline bool sk_condition_cancel(sk_sleeper *z, uint32_t me) { return sk_cas32_seq_cst(&z->word, &me, 0); }

/* The sleeper was notified and has the lock again: free its slot. */
static inline void sk_condition_detach(sk_sleeper *z) { sk_store32_release(&z->word, 0); }

/* Leave before the wait has ended: its notification goes to the next sleeper. Not in the child of a fork. */
SK_COLD static inline void sk_condition_abandon(const sk_segment *s, sk_condition *c, sk_sleeper *z, uint32_t me) {
    if (sk_me(s) != me || sk_condition_cancel(z, me)) return;
    sk_condition_notify_some(s, c, sk_load64_relaxed(&z->before), 1);
    sk_condition_detach(z);
}

/* How many living sleepers wait, and how many were notified and have not come back. */
static inline void sk_condition_count(
    const sk_segment *s, const sk_condition *c, uint32_t *waiting, uint32_t *notified) {
    uint32_t high = sk_condition_high(s, c);
    *waiting = *notified = 0;
    for (uint32_t i = 0; i < high; i++) {
        uint32_t word = sk_load32_acquire(&sk_condition_slot(s, c, i)->word);
        if (word == 0 || !sk_lives(s, word)) continue;
        if (word & SK_NOTIFIED) ++*notified;
        else ++*waiting;
    }
}

#endif
