/* A mutex with the face of threading.Lock: the robust word, and word of a death to whoever holds it next.
 *
 *   offset  what                                                     written by
 *   0       word: see sk_lock.h                                      anybody, by compare-and-swap; that commits
 *   4       torn: 1 when an owner died and what the mutex guards     the holder
 *           was not yet released in order by somebody who was told
 *
 * The word names a process, not a thread: threads of one process exclude each other all the same, because the word
 * is taken from 0 alone, and any of them may release it, as with threading.Lock. So may another process.
 *
 * Deaths. Holding it: the next one takes the word over, stores torn and is told. Between taking over and storing torn,
 * and between clearing torn and freeing the word: the word names the dead, so the next one is told all the same.
 * Whoever was told and cannot go on (the warning was made an error) frees the word and leaves torn: the next is told. */
#ifndef SK_MUTEX_H
#define SK_MUTEX_H

#include "sk_segment.h"

typedef struct sk_mutex {
    uint32_t word;
    uint32_t torn;
    unsigned char line[SK_LINE - 8];
} sk_mutex;
_Static_assert(offsetof(sk_mutex, torn) == 4 && sizeof(sk_mutex) == SK_LINE, "diagram and struct agree");

/* What the one who has just asked for the word with this answer is told. */
static inline int sk_mutex_told(sk_mutex *m, int rc) {
    if (__builtin_expect(rc == SK_OWNER_DIED, 0)) sk_store32_relaxed(&m->torn, 1);
    else if (rc == SK_OK && __builtin_expect(sk_load32_relaxed(&m->torn) != 0, 0)) return SK_OWNER_DIED;
    return rc;
}

/* Take it if it is free, in one step: SK_OK, SK_OWNER_DIED (taken), SK_BUSY, SK_NO_SEAT. */
static inline int sk_mutex_try(const sk_segment *s, sk_mutex *m) {
    uint32_t seen = 0;
    if (__builtin_expect(s->seats.me == 0, 0)) return SK_NO_SEAT;
    if (!sk_cas32_acquire(&m->word, &seen, s->seats.me)) return SK_BUSY; /* A1: pairs with R1 in sk_lock_give */
    return sk_mutex_told(m, SK_OK);
}

/* The same, waiting until the monotonic time `until`; 0: only long enough to ask whether the owner lives.
 * Also SK_TIMEOUT and SK_INTERRUPTED (come again). */
static inline int sk_mutex_take(sk_segment *s, sk_mutex *m, uint64_t until) {
    int rc = sk_lock_take(&s->seats, &s->waiter, &m->word, until);
    if (rc == SK_BUSY) {
        uint32_t seen = sk_load32_relaxed(&m->word);
        if (seen != 0 && sk_lock_inherit(&s->seats, &m->word, seen)) rc = SK_OWNER_DIED;
    }
    return sk_mutex_told(m, rc);
}

/* Free what another process took. If that one is dead, this one takes it over first, so that its death is not lost. */
static inline int sk_mutex_give_slow(const sk_segment *s, sk_mutex *m) {
    if (s->seats.me == 0) return SK_NO_SEAT;
    uint32_t seen;
    while ((seen = sk_load32_acquire(&m->word)) != 0) {
        if (sk_lock_inherit(&s->seats, &m->word, seen)) {
            sk_store32_relaxed(&m->torn, 1);
            sk_lock_give(&m->word);
            return SK_OK;
        }
        if (!sk_seat_lives(&s->seats, seen) || !sk_cas32_seq_cst(&m->word, &seen, 0)) continue;
        if (seen & SK_LOCK_WAITED) sk_wake(&m->word, 1);
        return SK_OK;
    }
    return SK_EXCESS;
}

/* SK_OK; SK_EXCESS when nobody holds it; SK_NO_SEAT. */
static inline int sk_mutex_give(const sk_segment *s, sk_mutex *m) {
    uint32_t owner = sk_lock_owner(&m->word);
    if (__builtin_expect(owner == 0 || owner != s->seats.me, 0)) return sk_mutex_give_slow(s, m);
    if (__builtin_expect(sk_load32_relaxed(&m->torn) != 0, 0)) sk_store32_relaxed(&m->torn, 0);
    sk_lock_give(&m->word);
    return SK_OK;
}

/* Free it although what it guards was not looked after: the next holder is told again. */
static inline void sk_mutex_pass_on(sk_mutex *m) { sk_lock_give(&m->word); }

/* Whether somebody alive holds it. */
static inline bool sk_mutex_taken(const sk_segment *s, const sk_mutex *m) {
    uint32_t owner = sk_lock_owner(&m->word);
    return owner != 0 && sk_seat_lives(&s->seats, owner);
}

#endif
