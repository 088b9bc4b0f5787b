/* A lock that many hold to read, or one to write; who wants to write goes before who wants to read, up to a bound.
 *
 *   part      what                                                   written by
 *   writer    sk_mutex: who writes, or waits for readers to leave    see sk_mutex.h
 *   gone      event (sk_wait.h): a reader has left                   readers, the writer
 *   open      event: nobody writes, or wants to, any more            writers, readers
 *   wanted    low half: how many processes' threads want to write,   writers; readers put a stale one right
 *             the dead among them; 0 is certain. High half: how
 *             often it has changed
 *   turn      whose turn it is to read: see sk_stay.h                readers that have waited long; a writer that has
 *                                                                    honoured it in vain
 *   wanting   roll (sk_roll.h): how many want to write               the process on that seat
 *   waiting   roll: how many wait to read                            the same; for people
 *   reading   a roll whose entries have a line each: how many read   the same; that commits reading
 *
 * Reading begins by adding to one's own entry and then looking at the writer's word; writing by taking that word
 * and then looking at all entries (W1 with W2: one of the two sees the other). A reader that sees a writer takes its
 * entry back. So reading costs no line that another reader writes.
 * Nobody begins to read while `wanted` is up and the roll says that one of those lives, but for whose turn it is.
 *
 * Neither side starves. A reader cannot go before a writer that has the word, and new readers not before one that wants it:
 * so a writer waits for those who read when it came, and for readers with a turn. A reader that has waited for
 * SK_STAY_LONG_NS takes the turn: it begins to read as soon as nobody writes, whoever wants to, and who wants to write
 * steps back from a free word meanwhile, for at most SK_STAY_HONOUR_NS each time. So a reader waits for that millisecond,
 * for the readers that had the turn before it, and for one writer, the one that is in when the turn becomes its own;
 * unless it does not get to run for 10 ms when it could. A process that is stopped while it wants to write delays each
 * reader by that millisecond and no longer. In one sentence: bypassed without bound for 1 ms, then by one writer.
 *
 * Deaths. A reader's entry dies with its seat, and the writer who waits for it looks whenever a slice is over. Who
 * wants to write is counted first on the roll and then in `wanted`, and the other way round when it is over: so the
 * number is never too low, and where it is up and nobody on the roll lives, whoever waits puts it back to 0. The roll
 * is read entry by entry, so one may go and another come meanwhile, with nobody seen: but if the word is still the one
 * that was read before the roll, those who were counted in it stood on the roll all the time, and who was not seen is
 * dead. (The number alone would not do: it is the same when as many have come as gone.) A writer's word is taken over
 * by the next, reader or writer, who is told, and so is everybody until a writer has released in order; a reader that
 * takes it over lets it go at once. Between any change and its wake-up: sleepers look again. */
#ifndef SK_RWLOCK_H
#define SK_RWLOCK_H

#include "sk_mutex.h"

typedef struct sk_rwlock {
    uint32_t gone;
    unsigned char line[SK_LINE - 4];
    uint32_t open;
    uint32_t unused;
    uint64_t wanted;
    uint64_t turn;
    unsigned char line2[SK_LINE - 24];
    uint64_t rolls[]; /* wanting, waiting; then, at the next line, reading */
} sk_rwlock;
_Static_assert(offsetof(sk_rwlock, open) == SK_LINE && offsetof(sk_rwlock, wanted) == SK_LINE + 8 &&
                   offsetof(sk_rwlock, turn) == SK_LINE + 16 && offsetof(sk_rwlock, rolls) == 2 * SK_LINE,
               "diagram and struct agree");

/* What is added to `wanted` by one more and by one less: either is a change. */
#define SK_RW_ONE_MORE (((uint64_t)1 << 32) + 1)
#define SK_RW_ONE_LESS (((uint64_t)1 << 32) - 1)

/* A thread's wait for it, over all its slices. */
typedef struct sk_rw_wait {
    uint32_t me;    /* owner word of the process in which it began */
    bool writes;    /* the word is taken; readers may still be in */
    bool announced; /* on the roll of those who wait, to write or to read */
} sk_rw_wait;

static inline sk_mutex *sk_rw_writer(const sk_segment *s) { return sk_body_of(s); }
static inline sk_rwlock *sk_rw_of(const sk_segment *s) {
    return (sk_rwlock *)(void *)((unsigned char *)sk_body_of(s) + sk_mutex_len(s->seats.count));
}
static inline uint64_t *sk_rw_wanting(const sk_segment *s) { return sk_rw_of(s)->rolls; }
static inline uint64_t *sk_rw_waiting(const sk_segment *s) { return sk_rw_of(s)->rolls + s->seats.count; }

/* Where `reading` is, from the beginning of the sk_rwlock. */
static inline uint64_t sk_rw_reading_at(uint32_t seats) {
    return sk_round_up(sizeof(sk_rwlock) + 2 * (uint64_t)seats * sizeof(uint64_t), SK_LINE);
}
static inline uint64_t *sk_rw_entry(const sk_segment *s, uint32_t seat) {
    return (uint64_t *)(void *)((unsigned char *)sk_rw_of(s) + sk_rw_reading_at(s->seats.count) + seat * SK_LINE);
}
static inline uint64_t sk_rw_body_len(uint32_t seats) {
    return sk_mutex_len(seats) + sk_rw_reading_at(seats) + (uint64_t)seats * SK_LINE;
}
static inline int sk_rw_refuse(const sk_segment *s) {
    return sk_rw_body_len(s->seats.count) <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

/* How many threads of whoever sits on `seat` read, and who that is; 0 when it is dead. */
static inline uint32_t sk_rw_reads(const sk_segment *s, uint32_t seat, uint32_t *owner) {
    uint64_t seen = sk_load64_seq_cst(sk_rw_entry(s, seat));
    *owner = sk_roll_owner(seen, seat);
    return (uint32_t)seen != 0 && sk_lives(s, *owner) ? (uint32_t)seen : 0;
}

/* Whether anybody reads. */
static inline bool sk_rw_read_now(const sk_segment *s) {
    uint32_t owner;
    for (uint32_t seat = 0; seat < s->seats.count; seat++)
        if (sk_rw_reads(s, seat, &owner) != 0) return true;
    return false;
}

/* What is told to who now reads or writes. */
static inline int sk_rw_told(const sk_segment *s) {
    return __builtin_expect(sk_load32_relaxed(&sk_rw_writer(s)->torn) != 0, 0) ? SK_OWNER_DIED : SK_OK;
}

/* --- reading --------------------------------------------------------------------------------------- */

/* End reading: SK_OK; SK_EXCESS when no thread of this process reads. */
static inline int sk_rw_end_read(const sk_segment *s) {
    uint64_t *entry = sk_rw_entry(s, sk_owner_seat(sk_me(s))), seen = sk_load64_relaxed(entry);
    do {
        if (sk_me(s) == 0 || seen >> 32 != sk_owner_epoch(sk_me(s)) || (uint32_t)seen == 0) return SK_EXCESS;
    } while (!sk_cas64_seq_cst(entry, &seen, seen - 1)); /* R1: pairs with the load in sk_rw_reads; commits */
    sk_event_call(&sk_rw_of(s)->gone, SK_EVERYBODY);
    return SK_OK;
}

/* Begin to read if nobody writes: SK_OK, SK_OWNER_DIED (reads; was told), SK_BUSY. */
static inline int sk_rw_begin_read(const sk_segment *s) {
    uint32_t *word = &sk_rw_writer(s)->word;
    if (sk_load32_relaxed(word) != 0) return SK_BUSY;
    uint64_t *entry = sk_rw_entry(s, sk_owner_seat(sk_me(s))), seen = sk_load64_relaxed(entry);
    uint64_t epoch = (uint64_t)sk_owner_epoch(sk_me(s)) << 32;
    while (!sk_cas64_seq_cst(entry, &seen, (seen >> 32 == epoch >> 32 ? seen : epoch) + 1)) continue; /* commits */
    if (__builtin_expect(sk_load32_seq_cst(word) == 0, 1)) return sk_rw_told(s); /* W1: pairs with W2 */
    sk_rw_end_read(s);
    return SK_BUSY;
}

/* The same if nobody wants to write, either; SK_NO_SEAT. */
static inline int sk_rw_try_read(const sk_segment *s) {
    SK_SEATED(s);
    return (uint32_t)sk_load64_relaxed(&sk_rw_of(s)->wanted) != 0 ? SK_BUSY : sk_rw_begin_read(s);
}

/* Whether it is this thread's turn to read. */
static inline bool sk_rw_in_turn(const sk_segment *s, const sk_stay *stay) {
    return sk_load64_relaxed(&sk_rw_of(s)->turn) == sk_stay_name(s, stay);
}

/* Take over from a writer that is dead and let go, still marked; put `wanted` right if nobody alive wants. Whether
 * anything changed. */
static inline bool sk_rw_bury(const sk_segment *s) {
    sk_rwlock *l = sk_rw_of(s);
    sk_mutex *m = sk_rw_writer(s);
    uint32_t seen = sk_load32_acquire(&m->word);
    uint64_t wanted = sk_load64_seq_cst(&l->wanted);
    bool changed = false;
    if (seen != 0 && !sk_lives(s, seen)) {
        int rc = sk_mutex_grab(s, m);
        changed = rc == SK_OK || rc == SK_OWNER_DIED;
        if (changed) sk_mutex_pass_on(m);
    }
    if ((uint32_t)wanted != 0 && sk_roll_sum(s, sk_rw_wanting(s)) == 0)
        changed |= sk_cas64_seq_cst(&l->wanted, &wanted, wanted - (uint32_t)wanted);
    if (changed) sk_event_call(&l->open, SK_EVERYBODY);
    return changed;
}

/* Wait no longer. */
static inline void sk_rw_quit_read(const sk_segment *s, sk_rw_wait *w, sk_stay *stay) {
    if (w->announced && w->me == sk_me(s)) {
        sk_stay_end(s, &sk_rw_of(s)->turn, NULL, stay);
        sk_roll_add(s, sk_rw_waiting(s), -1);
    }
    w->announced = false;
}

/* Begin to read, waiting until the monotonic time `until`; 0: only long enough to ask who lives.
 * SK_OK, SK_OWNER_DIED (reads), SK_BUSY, SK_TIMEOUT, SK_NO_SEAT, SK_INTERRUPTED: come again, or end it by
 * sk_rw_quit_read, with the same stay. */
static inline int sk_rw_read(sk_segment *s, sk_rw_wait *w, uint64_t until, sk_stay *stay) {
    sk_rwlock *l = sk_rw_of(s);
    uint64_t began = 0;
    int rc;
    SK_SEATED(s);
    for (;;) {
        uint32_t raised = until == 0 ? 0 : sk_event_raise(&l->open);
        rc = sk_rw_in_turn(s, stay) ? sk_rw_begin_read(s) : sk_rw_try_read(s);
        if (rc != SK_BUSY) break;
        if (until == 0) {
            if (!sk_rw_bury(s)) return SK_BUSY;
            rc = sk_rw_try_read(s);
            break;
        }
        rc = sk_turn(&began, until);
        if (rc == SK_OK) {
            if (sk_spin_while(&s->waiter, &l->open, raised)) continue;
            if (!w->announced) {
                w->me = sk_me(s);
                w->announced = true;
                sk_roll_add(s, sk_rw_waiting(s), 1);
            }
            bool had = sk_rw_in_turn(s, stay);
            uint64_t slice = sk_stay_ask(s, &l->turn, stay, SK_LOCK_SLICE_NS);
            if (!had && sk_rw_in_turn(s, stay)) continue; /* who wants to write does not matter any more: look again */
            rc = sk_park_slice(&s->waiter, &l->open, raised, slice, until);
            if (rc == SK_OK) continue;
        }
        if (sk_rw_bury(s)) continue;
        if (rc == SK_INTERRUPTED) return rc;
        break;
    }
    sk_rw_quit_read(s, w, stay);
    return rc;
}

/* --- writing --------------------------------------------------------------------------------------- */

static inline void sk_rw_announce(const sk_segment *s, sk_rw_wait *w) {
    if (w->announced && w->me == sk_me(s)) return;
    w->me = sk_me(s);
    w->announced = true;
    sk_roll_add(s, sk_rw_wanting(s), 1);
    sk_add64_seq_cst(&sk_rw_of(s)->wanted, SK_RW_ONE_MORE);
}

static inline void sk_rw_renounce(const sk_segment *s, sk_rw_wait *w) {
    if (w->announced && w->me == sk_me(s)) {
        sk_add64_seq_cst(&sk_rw_of(s)->wanted, SK_RW_ONE_LESS);
        sk_roll_add(s, sk_rw_wanting(s), -1);
    }
    w->announced = false;
}

/* Wait no longer. What the word guards was not touched, so a mark that is there stays. */
static inline void sk_rw_quit_write(const sk_segment *s, sk_rw_wait *w, sk_stay *stay) {
    if (w->writes) {
        if (w->me == sk_me(s)) sk_mutex_pass_on(sk_rw_writer(s));
        w->writes = false;
    } else sk_mutex_quit(s, sk_rw_writer(s), stay);
    sk_rw_renounce(s, w);
    sk_event_call(&sk_rw_of(s)->open, SK_EVERYBODY);
}

/* Begin to write, waiting until the monotonic time `until`; 0: do not wait.
 * SK_OK, SK_OWNER_DIED (writes), SK_BUSY, SK_TIMEOUT, SK_NO_SEAT, SK_INTERRUPTED: come again, or end it by
 * sk_rw_quit_write. */
static inline int sk_rw_write(sk_segment *s, sk_rw_wait *w, uint64_t until, sk_stay *stay) {
    sk_rwlock *l = sk_rw_of(s);
    uint64_t began = 0;
    int rc;
    SK_SEATED(s);
    if (w->me != sk_me(s)) w->writes = w->announced = false; /* at first; in the child of a fork */
    w->me = sk_me(s);
    stay->also = &l->turn;
    if (until != 0) sk_rw_announce(s, w);
    if (!w->writes) {
        rc = sk_mutex_take(s, sk_rw_writer(s), until, stay);
        w->writes = rc == SK_OK || rc == SK_OWNER_DIED;
        if (rc == SK_TIMEOUT || rc == SK_BUSY) sk_rw_quit_write(s, w, stay);
        if (!w->writes) return rc;
    }
    for (;;) {
        uint32_t raised = sk_event_raise(&l->gone); /* its fence is W2: the word is out before the entries are read */
        if (!sk_rw_read_now(s)) {
            sk_rw_renounce(s, w);
            return sk_rw_told(s);
        }
        rc = until == 0 ? SK_BUSY : sk_turn(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &l->gone, raised)) continue;
        if (rc == SK_OK) rc = sk_park_slice(&s->waiter, &l->gone, raised, SK_LOCK_SLICE_NS, until);
        if (rc == SK_OK) continue;
        if (rc == SK_INTERRUPTED) {
            if (sk_rw_read_now(s)) return rc;
        } else {
            sk_rw_quit_write(s, w, stay);
            return rc;
        }
    }
}

/* End writing: SK_OK; SK_EXCESS when this process does not write. */
static inline int sk_rw_end_write(const sk_segment *s) {
    sk_mutex *m = sk_rw_writer(s);
    if (sk_me(s) == 0 || sk_lock_owner(&m->word) != sk_me(s)) return SK_EXCESS;
    int rc = sk_mutex_give(s, m);
    sk_event_call(&sk_rw_of(s)->open, SK_EVERYBODY);
    return rc;
}

#endif
