/* The waiters of a condition: each waits on a word of its own. They are notified in the order of their tickets.
 *
 *   offset    what                                             written by
 *   -         sk_mutex: the condition's own lock, if any       see sk_mutex.h
 *   0         next: how many tickets were given out            a thread that begins to wait, under the condition's lock
 *   8         high: slots beyond this were never taken         a thread that begins to wait, before it takes one
 *   12        keeper: lock word. Its holder, the *keeper*,     the keeper
 *             passes on the notifications of dead waiters
 *   16        grown: how often the slots were doubled          a thread that begins to wait, under the condition's
 *                                                              lock, after `more`
 *   24        more: the added slots, 16, 32, 64 ... (only in   the same thread, before `grown`
 *             memory of one process, sk_private.h; a file
 *             has none)
 *   128       slot[]: their number is                          see below
 *             header.param[SK_CONDITION_SLOTS]
 *
 *   slot      0   word                                         see below; a change of the word commits
 *             4   parked: 1: the waiter may sleep on `word`   the waiter
 *             8   ticket                                       the waiter, before the word
 *             16  before: a notification that is passed on     its notifier, before the word, by compare-and-swap
 *                 may go only to a waiter with a ticket
 *                 below this value, which never decreases
 *             24  stuck: the keeper that the waiter found     the waiter
 *                 one slice ago, or 0
 *
 *   word                 meaning               changed next by
 *   0                    free                  a thread that begins to wait, to its owner word
 *   owner                waits                 a notifier, to notified; the waiter, to free: timeout or cancellation
 *   owner | SK_NOTIFIED  notified              the waiter, to free, once it has the lock again
 *   a dead owner         left behind           a notifier, to free
 *   a dead owner |       left behind           the thread that passes the notification on, to free
 *   SK_NOTIFIED
 *
 * A thread that finds the notification of a dead waiter passes it on to the oldest waiter that still waits and that
 * began to wait before the notification. Later waiters have already seen the change, because they checked their
 * condition under the lock.
 * A notifier and a keeper may try to notify one waiter at the same time, and only one of them succeeds. The other one
 * has already stored its `before`. So `before` only grows, and afterwards holds the larger of their two values. (A
 * plain store would not do: the loser's smaller value could shut out a waiter that the winner's notification was meant
 * for.) If the larger value is the loser's, a waiter that began to wait after the winner's notification can get that
 * notification when it is passed on, but only if no older waiter is left. A value that an earlier wait left in the
 * slot is below the ticket of this wait, so it has no effect.
 *
 * Deaths.
 * A process dies while it begins to wait, before it has stored the word: nothing has happened.
 * A waiter dies while it waits: a notifier asks whether the oldest waiter lives before it notifies that waiter. If
 * the waiter is dead, the notifier frees the slot and goes on to the next waiter.
 * A notified waiter dies before its slot is free: each waiter searches for such slots when its slice is over, and
 * passes the notifications on. It notifies the next waiter before it frees the slot. If the waiter that passes a
 * notification on dies between these two steps, or if the first waiter died after it had taken the condition's lock
 * again, one waiter more is notified than the notifier asked for. No notification is ever lost.
 * A notifier dies: some waiters are notified and the rest are not, as if it had asked for fewer. If the notifier dies
 * between a notification and the wake, the waiter reads its word again when its slice is over.
 * No thread waits for a waiter to act, so a stopped or dead waiter never holds up a notifier. Nor does a stopped
 * keeper: a waiter that finds the same keeper in two consecutive slices passes the notifications on without the
 * keeper's lock. This may notify one waiter more than the notifier asked for. */
#ifndef SK_CONDITION_H
#define SK_CONDITION_H

#include "structures/sk_mutex.h"

#define SK_NOTIFIED 0x80000000u
#define SK_CONDITION_WAITERS 1024u       /* slots in a file */
#define SK_CONDITION_WAITERS_PRIVATE 16u /* slots at first in memory of one process */
#define SK_CONDITION_WAITERS_DOUBLED 12u /* how often their number can double there */
#define SK_CONDITION_SLOTS 1             /* header.param */

typedef struct sk_condition_waiter {
    uint32_t word;
    uint32_t parked;
    uint64_t ticket;
    uint64_t before;
    uint32_t stuck;
    uint32_t unused;
} sk_condition_waiter;

typedef struct sk_condition {
    uint64_t next;
    uint32_t high;
    uint32_t keeper;
    uint32_t grown;
    uint32_t unused;
    sk_condition_waiter *more[SK_CONDITION_WAITERS_DOUBLED];
    unsigned char line[SK_LINE - 24 - SK_CONDITION_WAITERS_DOUBLED * 8];
    sk_condition_waiter slot[];
} sk_condition;
_Static_assert(sizeof(sk_condition_waiter) == 32 && offsetof(sk_condition_waiter, ticket) == 8 &&
                   offsetof(sk_condition, keeper) == 12 && offsetof(sk_condition, more) == 24 && sizeof(void *) == 8 &&
                   offsetof(sk_condition, slot) == SK_LINE,
               "diagram and struct agree");

static inline uint64_t sk_condition_body_len(uint32_t seats, uint32_t slots) {
    return sk_mutex_len(seats) + sizeof(sk_condition) + slots * sizeof(sk_condition_waiter);
}

/* The number of slots in the body. */
static inline uint32_t sk_condition_first(const sk_segment *s) {
    return (uint32_t)sk_header_of(s)->param[SK_CONDITION_SLOTS];
}

static inline uint32_t sk_condition_slots(const sk_segment *s, const sk_condition *c) {
    return sk_segment_is_private(s) ? sk_condition_first(s) << sk_load32_acquire(&c->grown) : sk_condition_first(s);
}

static inline sk_condition_waiter *sk_condition_slot(const sk_segment *s, const sk_condition *c, uint32_t i) {
    uint32_t first = sk_condition_first(s);
    if (__builtin_expect(i < first, 1)) return (sk_condition_waiter *)&c->slot[i];
    uint32_t doubled = 31u - (uint32_t)__builtin_clz(i / first);
    return &c->more[doubled][i - (first << doubled)];
}

/* Double the slots of a private segment. The caller holds the condition's lock. `memory` has as many zeroed slots as
 * there are now, and must live as long as the segment. Returns false if the number cannot double any more. */
static inline bool sk_condition_grow(const sk_segment *s, sk_condition *c, void *memory) {
    if (!sk_segment_is_private(s) || c->grown == SK_CONDITION_WAITERS_DOUBLED) return false;
    c->more[c->grown] = memory;
    sk_store32_release(&c->grown, c->grown + 1);
    return true;
}

static inline sk_condition *sk_condition_of(const sk_segment *s) {
    return (sk_condition *)(void *)((unsigned char *)sk_body_of(s) + sk_mutex_len(s->seats.count));
}

/* SK_CORRUPT if the header does not fit this structure. Words that change are checked where they are used. */
static inline int sk_condition_refuse(const sk_segment *s) {
    uint64_t slots = sk_header_of(s)->param[SK_CONDITION_SLOTS];
    if (slots < 1 || slots > SK_CONDITION_WAITERS) return SK_CORRUPT;
    uint64_t needed = sk_condition_body_len(s->seats.count, (uint32_t)slots);
    return needed <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

static inline uint32_t sk_condition_high(const sk_segment *s, const sk_condition *c) {
    uint32_t high = sk_load32_acquire(&c->high), slots = sk_condition_slots(s, c);
    return high < slots ? high : slots;
}

static inline bool sk_condition_waits(uint32_t word) { return word != 0 && !(word & SK_NOTIFIED); }

/* --- notifying ------------------------------------------------------------------------------------ */

/* Notify the waiter if its word still is `owner`. Returns true if this call notified the waiter and the waiter's
 * ticket is below `before`. */
static inline bool sk_condition_waiter_notify(sk_condition_waiter *z, uint32_t owner, uint64_t before) {
    uint64_t there = sk_load64_relaxed(&z->before);
    while (there < before && !sk_cas64_seq_cst(&z->before, &there, before)) continue;
    if (!sk_cas32_seq_cst(&z->word, &owner, owner | SK_NOTIFIED)) return false; /* R1: pairs with A1; commits */
    sk_fence_after_rmw(); /* W2: pairs with W1 */
    if (sk_load32_relaxed(&z->parked)) sk_wake(&z->word, 1);
    /* A keeper does not hold the condition's lock, so the slot may have a new wait with a later ticket by now. */
    return sk_load64_relaxed(&z->ticket) < before;
}

/* The oldest waiter that waits and whose ticket is below `before`, or NULL. */
static inline sk_condition_waiter *sk_condition_oldest(const sk_segment *s, sk_condition *c, uint64_t before,
                                                       uint32_t *owner) {
    sk_condition_waiter *oldest = NULL;
    uint32_t high = sk_condition_high(s, c);
    for (uint32_t i = 0; i < high; i++) {
        sk_condition_waiter *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word); /* its ticket was written before its word */
        if (!sk_condition_waits(word) || sk_load64_relaxed(&z->ticket) >= before) continue;
        before = sk_load64_relaxed(&z->ticket);
        *owner = word;
        oldest = z;
    }
    return oldest;
}

/* Notify all living waiters with tickets below `before`, in one pass. Returns how many. */
static inline uint64_t sk_condition_notify_all_now(const sk_segment *s, sk_condition *c, uint64_t before) {
    uint64_t notified = 0;
    uint32_t high = sk_condition_high(s, c);
    for (uint32_t i = 0; i < high; i++) {
        sk_condition_waiter *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word);
        if (!sk_condition_waits(word) || sk_load64_relaxed(&z->ticket) >= before) continue;
        if (!sk_lives(s, word)) sk_cas32_seq_cst(&z->word, &word, 0);
        else notified += sk_condition_waiter_notify(z, word, before);
    }
    return notified;
}

/* Notify the n oldest living waiters with tickets below `before`. Returns how many were notified. */
static inline uint64_t sk_condition_notify_some(const sk_segment *s, sk_condition *c, uint64_t before, uint64_t n) {
    uint64_t notified = 0;
    uint32_t owner = 0;
    sk_condition_waiter *z;
    if (n >= sk_condition_high(s, c)) return sk_condition_notify_all_now(s, c, before);
    while (notified < n && (z = sk_condition_oldest(s, c, before, &owner)) != NULL) {
        if (!sk_lives(s, owner)) sk_cas32_seq_cst(&z->word, &owner, 0);
        else notified += sk_condition_waiter_notify(z, owner, before);
    }
    return notified;
}

/* Notify n of the waiting waiters. The caller holds the condition's lock. */
static inline void sk_condition_notify(const sk_segment *s, sk_condition *c, uint64_t n) {
    sk_condition_notify_some(s, c, sk_load64_relaxed(&c->next), n);
}

/* Pass on the notifications of dead waiters. If another keeper does that already, leave it to that keeper. Exception:
 * if that keeper is `stuck`, the one that the caller also found one slice ago, do it without the keeper's lock. Returns
 * the other keeper, or 0. */
SK_COLD static inline uint32_t sk_condition_pass_on_unless_busy(const sk_segment *s, sk_condition *c, uint32_t stuck) {
    uint32_t high = sk_condition_high(s, c), seen = 0;
    bool kept = false, beside = false;
    for (uint32_t i = 0; i < high; i++) {
        sk_condition_waiter *z = sk_condition_slot(s, c, i);
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

static inline void sk_condition_pass_on(const sk_segment *s, sk_condition *c) {
    sk_condition_pass_on_unless_busy(s, c, 0);
}

/* --- waiting -------------------------------------------------------------------------------------- */

/* Pass on the notifications of all dead waiters, which frees their slots; then free the slots of the waiters that
 * died while they waited. */
SK_COLD static inline void sk_condition_sweep(const sk_segment *s, sk_condition *c) {
    uint32_t slots = sk_condition_slots(s, c);
    sk_condition_pass_on(s, c);
    for (uint32_t i = 0; i < slots; i++) {
        sk_condition_waiter *z = sk_condition_slot(s, c, i);
        uint32_t word = sk_load32_acquire(&z->word);
        if (sk_condition_waits(word) && !sk_lives(s, word)) sk_cas32_seq_cst(&z->word, &word, 0);
    }
}

#define SK_PROBES 64u

/* Returns the index of a slot that seems free, or the number of slots if there is none. The function first checks up to
 * SK_PROBES of the slots that were used before. If none of these is free it returns the first slot that was never used.
 * Only if there is no such slot does it check all slots. So thousands of threads can begin to wait, and each of them
 * checks only a few slots. */
static inline uint32_t sk_condition_find(const sk_segment *s, const sk_condition *c) {
    uint32_t high = sk_condition_high(s, c), slots = sk_condition_slots(s, c);
    uint32_t looks = high < SK_PROBES ? high : SK_PROBES, i = high < SK_PROBES ? 0 : (uint32_t)(sk_load64_relaxed(&c->next) % high);
    for (; looks > 0; looks--, i = i + 1 == high ? 0 : i + 1)
        if (sk_load32_acquire(&sk_condition_slot(s, c, i)->word) == 0) return i;
    if (high < slots) return high;
    for (i = 0; i < slots && sk_load32_acquire(&sk_condition_slot(s, c, i)->word) != 0; i++) {}
    return i;
}

/* Take a slot. The caller holds the condition's lock. SK_OK, SK_FULL, SK_NO_SEAT. */
static inline int sk_condition_enter(const sk_segment *s, sk_condition *c, sk_condition_waiter **mine) {
    SK_SEATED(s);
    for (int tries = 0; tries < 2; tries++) {
        uint32_t i;
        while ((i = sk_condition_find(s, c)) < sk_condition_slots(s, c)) {
            sk_condition_waiter *z = sk_condition_slot(s, c, i);
            uint32_t word = 0;
            if (i >= sk_condition_high(s, c)) sk_store32_release(&c->high, i + 1);
            /* Under the lock no other thread takes a slot. So these stores do not touch the slot of another thread, and
             * the compare-and-swap does not fail. */
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

/* Sleep until notified, or until the monotonic time `until`. `me` is the owner word with which the slot was taken.
 * SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again), SK_BUSY (in the child of a fork, which does not wait). */
static inline int sk_condition_wait(sk_segment *s, sk_condition *c, sk_condition_waiter *z, uint32_t me,
                                    uint64_t until) {
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
            sk_store32_relaxed(&z->stuck, sk_condition_pass_on_unless_busy(s, c, sk_load32_relaxed(&z->stuck)));
        if (sk_load32_relaxed(&z->stuck) != 0) sk_aside_briefly();
        if (rc != SK_OK) return sk_load32_acquire(&z->word) != me ? SK_OK : rc;
    }
}

/* Stop waiting. Returns false if the waiter has already been notified. */
static inline bool sk_condition_cancel(sk_condition_waiter *z, uint32_t me) {
    return sk_cas32_seq_cst(&z->word, &me, 0);
}

/* The waiter was notified and has the lock again: free its slot. */
static inline void sk_condition_detach(sk_condition_waiter *z) { sk_store32_release(&z->word, 0); }

/* End a wait early. If the waiter was notified, the next waiter gets the notification. No effect in the child of a
 * fork. */
SK_COLD static inline void sk_condition_abandon(const sk_segment *s, sk_condition *c, sk_condition_waiter *z,
                                                uint32_t me) {
    if (sk_me(s) != me || sk_condition_cancel(z, me)) return;
    sk_condition_notify_some(s, c, sk_load64_relaxed(&z->before), 1);
    sk_condition_detach(z);
}

/* How many living waiters wait, and how many were notified and still have their slots. */
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
