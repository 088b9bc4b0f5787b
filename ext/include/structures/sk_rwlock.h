/* A lock that many hold to read, or one to write; writers that wait go before readers that wait, up to a bound.
 *
 *   part      what                                                   written by
 *   writer    sk_mutex: held by the writer, also while it waits      see sk_mutex.h
 *             for readers to leave
 *   gone      eventcount (sk_wait.h): a reader has left              readers, the writer
 *   open      eventcount: a writer has left or stopped waiting       writers, readers
 *   wanted    low half: how many threads want to write; it may       writers; a waiter that finds all of them dead
 *             include threads of dead processes, but no living one
 *             is missing. High half: how often it has changed
 *   token     the reader that has the next chance to read: see       readers that have waited long; a writer that has
 *             sk_wait_state.h                                        honoured it in vain
 *   wanting   counts (sk_seat_counts.h): how many want to write      the process on that seat
 *   waiting   counts: how many wait to read                          the process on that seat; for people
 *   reading   counts with a line each: how many read                 the process on that seat, which commits reading
 *
 * A reader adds to its own entry of `reading` and then reads the writer's word; a writer takes that word and then reads
 * all entries (W1 with W2: at least one of the two sees the other). A reader that sees a writer takes its entry back.
 * So readers of different processes write different cache lines.
 * While the low half of `wanted` is not 0, only the reader that the token names begins to read. A waiter that finds no
 * living process in `wanting` clears the low half of `wanted`.
 *
 * Neither side starves. A reader cannot go before a writer that has the word, and a new reader cannot go before a
 * writer that wants it. So a writer waits for the readers that read when it came, and for readers with a token. A
 * reader that has waited for SK_WAIT_STATE_LONG_NS (1 ms) takes the token: it begins to read as soon as no writer has
 * the word, even if a writer waits. Meanwhile a waiting writer leaves a free word alone, for at most
 * SK_WAIT_STATE_HONOUR_NS (10 ms) each time. So a reader waits for 1 ms, for the readers that had the token before it,
 * and for one writer: the one that writes when the reader gets the token. There is one exception: more writers overtake
 * a reader that could read but does not get to run for 10 ms. A process that is stopped while it wants to write delays
 * each reader by 1 ms and no longer. In one sentence: for 1 ms any number of writers overtake a reader, then only one
 * does.
 *
 * Deaths. The entry of a dead reader is void, and the writer that waits for it checks this whenever a slice is over. A
 * thread that wants to write adds itself first to `wanting` and then to `wanted`, and it removes itself in the opposite
 * order. So the low half of `wanted` is never too low. If it is not 0 and no process in `wanting` lives, any waiter
 * clears it. A waiter reads `wanting` entry by entry, so meanwhile one writer may leave and another may come, and the
 * waiter sees neither. But if `wanted` still has the value that the waiter read before `wanting`, then each thread that
 * `wanted` includes was in `wanting` all the time, so a thread that the waiter did not see is dead. (The number of
 * threads alone would not do: it is the same if one has left and another has come. So the high half counts the
 * changes.) If a writer dies, the next process, reader or writer, takes over its word and gets SK_OWNER_DIED, and so do
 * all later readers and writers until a writer has released the lock. A reader that takes the word over frees it at
 * once. If a process dies between a change and the wake-up, waiters check again when their slice is over. */
#ifndef SK_RWLOCK_H
#define SK_RWLOCK_H

#include "structures/sk_mutex.h"

typedef struct sk_rwlock {
    uint32_t gone;
    unsigned char line[SK_LINE - 4];
    uint32_t open;
    uint32_t unused;
    uint64_t wanted;
    uint64_t token;
    unsigned char line2[SK_LINE - 24];
    uint64_t counts[]; /* wanting, waiting; then, on the next line, reading */
} sk_rwlock;
_Static_assert(offsetof(sk_rwlock, open) == SK_LINE && offsetof(sk_rwlock, wanted) == SK_LINE + 8 &&
                   offsetof(sk_rwlock, token) == SK_LINE + 16 && offsetof(sk_rwlock, counts) == 2 * SK_LINE,
               "diagram and struct agree");

/* Added to `wanted` for one writer more or one less: both also add 1 to the high half. */
#define SK_RW_ONE_MORE (((uint64_t)1 << 32) + 1)
#define SK_RW_ONE_LESS (((uint64_t)1 << 32) - 1)

/* A thread's wait for the lock, over all its slices. */
typedef struct sk_rw_wait {
    uint32_t me;    /* owner word of the process in which the wait began */
    bool writes;    /* this thread has the word; others may still read */
    bool announced; /* this thread is counted in `wanting` or `waiting` */
} sk_rw_wait;

static inline sk_mutex *sk_rw_writer(const sk_segment *s) { return sk_body_of(s); }
static inline sk_rwlock *sk_rw_of(const sk_segment *s) {
    return (sk_rwlock *)(void *)((unsigned char *)sk_body_of(s) + sk_mutex_len(s->seats.count));
}
static inline uint64_t *sk_rw_wanting(const sk_segment *s) { return sk_rw_of(s)->counts; }
static inline uint64_t *sk_rw_waiting(const sk_segment *s) { return sk_rw_of(s)->counts + s->seats.count; }

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

/* How many threads of the process on `seat` read, and its owner word; 0 if that process is dead. */
static inline uint32_t sk_rw_reads(const sk_segment *s, uint32_t seat, uint32_t *owner) {
    uint64_t seen = sk_load64_seq_cst(sk_rw_entry(s, seat));
    *owner = sk_seat_counts_owner(seen, seat);
    return (uint32_t)seen != 0 && sk_lives(s, *owner) ? (uint32_t)seen : 0;
}

/* Whether any living process reads. */
static inline bool sk_rw_read_now(const sk_segment *s) {
    uint32_t owner;
    for (uint32_t seat = 0; seat < s->seats.count; seat++)
        if (sk_rw_reads(s, seat, &owner) != 0) return true;
    return false;
}

/* The result for a caller that now reads or writes. */
static inline int sk_rw_outcome(const sk_segment *s) {
    return __builtin_expect(sk_load32_relaxed(&sk_rw_writer(s)->poisoned) != 0, 0) ? SK_OWNER_DIED : SK_OK;
}

/* --- reading --------------------------------------------------------------------------------------- */

/* End reading: SK_OK; SK_EXCESS: no thread of this process reads. */
static inline int sk_rw_end_read(const sk_segment *s) {
    uint64_t *entry = sk_rw_entry(s, sk_owner_seat(sk_me(s))), seen = sk_load64_relaxed(entry);
    do {
        if (sk_me(s) == 0 || seen >> 32 != sk_owner_epoch(sk_me(s)) || (uint32_t)seen == 0) return SK_EXCESS;
    } while (!sk_cas64_seq_cst(entry, &seen, seen - 1)); /* R1: pairs with the load in sk_rw_reads; commits */
    sk_eventcount_notify(&sk_rw_of(s)->gone, SK_EVERYBODY);
    return SK_OK;
}

/* Begin to read if no writer has the word: SK_OK, SK_OWNER_DIED (it reads), SK_BUSY. */
static inline int sk_rw_begin_read(const sk_segment *s) {
    uint32_t *word = &sk_rw_writer(s)->word;
    if (sk_load32_relaxed(word) != 0) return SK_BUSY;
    uint64_t *entry = sk_rw_entry(s, sk_owner_seat(sk_me(s))), seen = sk_load64_relaxed(entry);
    uint64_t epoch = (uint64_t)sk_owner_epoch(sk_me(s)) << 32;
    while (!sk_cas64_seq_cst(entry, &seen, (seen >> 32 == epoch >> 32 ? seen : epoch) + 1)) continue; /* commits */
    if (__builtin_expect(sk_load32_seq_cst(word) == 0, 1)) return sk_rw_outcome(s); /* W1: pairs with W2 */
    sk_rw_end_read(s);
    return SK_BUSY;
}

/* Begin to read if no writer has the word or wants it; also SK_NO_SEAT. */
static inline int sk_rw_try_read(const sk_segment *s) {
    SK_SEATED(s);
    return (uint32_t)sk_load64_relaxed(&sk_rw_of(s)->wanted) != 0 ? SK_BUSY : sk_rw_begin_read(s);
}

/* Whether the token names this thread. */
static inline bool sk_rw_has_token(const sk_segment *s, const sk_wait_state *wait) {
    return sk_load64_relaxed(&sk_rw_of(s)->token) == sk_wait_state_token_value(s, wait);
}

/* Take over from a dead writer and free the word, still poisoned; clear `wanted` if no living process wants to write.
 * Returns whether anything changed. */
static inline bool sk_rw_recover(const sk_segment *s) {
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
    if ((uint32_t)wanted != 0 && sk_seat_counts_sum(s, sk_rw_wanting(s)) == 0)
        changed |= sk_cas64_seq_cst(&l->wanted, &wanted, wanted - (uint32_t)wanted);
    if (changed) sk_eventcount_notify(&l->open, SK_EVERYBODY);
    return changed;
}

/* Stop waiting. */
static inline void sk_rw_cancel_read(const sk_segment *s, sk_rw_wait *w, sk_wait_state *wait) {
    if (w->announced && w->me == sk_me(s)) {
        sk_wait_state_end(s, &sk_rw_of(s)->token, NULL, wait);
        sk_seat_counts_add(s, sk_rw_waiting(s), -1);
    }
    w->announced = false;
}

/* Begin to read, waiting until the monotonic time `until`; 0: do not wait, but ask whether the writers live.
 * SK_OK, SK_OWNER_DIED (reads), SK_BUSY, SK_TIMEOUT, SK_NO_SEAT; SK_INTERRUPTED: call again with the same wait, or end
 * the wait by sk_rw_cancel_read. */
static inline int sk_rw_read(sk_segment *s, sk_rw_wait *w, uint64_t until, sk_wait_state *wait) {
    sk_rwlock *l = sk_rw_of(s);
    uint64_t began = 0;
    int rc;
    SK_SEATED(s);
    for (;;) {
        uint32_t raised = until == 0 ? 0 : sk_eventcount_prepare(&l->open);
        rc = sk_rw_has_token(s, wait) ? sk_rw_begin_read(s) : sk_rw_try_read(s);
        if (rc != SK_BUSY) break;
        if (until == 0) {
            if (!sk_rw_recover(s)) return SK_BUSY;
            rc = sk_rw_try_read(s);
            break;
        }
        rc = sk_check_deadline(&began, until);
        if (rc == SK_OK) {
            if (sk_spin_while(&s->waiter, &l->open, raised)) continue;
            if (!w->announced) {
                w->me = sk_me(s);
                w->announced = true;
                sk_seat_counts_add(s, sk_rw_waiting(s), 1);
            }
            bool had = sk_rw_has_token(s, wait);
            uint64_t slice = sk_wait_state_take_token(s, &l->token, wait, SK_LOCK_SLICE_NS);
            if (!had && sk_rw_has_token(s, wait)) continue; /* now waiting writers do not matter: try again */
            uint32_t writer = sk_load32_relaxed(&sk_rw_writer(s)->word);
            rc = sk_park_slice(&s->waiter, &l->open, raised, slice, until);
            if (writer != 0) sk_aside_also(&sk_rw_writer(s)->word, writer);
            else sk_aside_briefly(); /* writers only want it: when the token is free, this reader takes it */
            if (rc == SK_OK) continue;
        }
        if (sk_rw_recover(s)) continue;
        if (rc == SK_INTERRUPTED) return rc;
        break;
    }
    sk_rw_cancel_read(s, w, wait);
    return rc;
}

/* --- writing --------------------------------------------------------------------------------------- */

static inline void sk_rw_announce(const sk_segment *s, sk_rw_wait *w) {
    if (w->announced && w->me == sk_me(s)) return;
    w->me = sk_me(s);
    w->announced = true;
    sk_seat_counts_add(s, sk_rw_wanting(s), 1);
    sk_add64_seq_cst(&sk_rw_of(s)->wanted, SK_RW_ONE_MORE);
}

static inline void sk_rw_renounce(const sk_segment *s, sk_rw_wait *w) {
    if (w->announced && w->me == sk_me(s)) {
        sk_add64_seq_cst(&sk_rw_of(s)->wanted, SK_RW_ONE_LESS);
        sk_seat_counts_add(s, sk_rw_wanting(s), -1);
    }
    w->announced = false;
}

/* Stop waiting. This thread has not repaired any data, so a poisoned mutex stays poisoned. */
static inline void sk_rw_cancel_write(const sk_segment *s, sk_rw_wait *w, sk_wait_state *wait) {
    if (w->writes) {
        if (w->me == sk_me(s)) sk_mutex_pass_on(sk_rw_writer(s));
        w->writes = false;
    } else sk_mutex_cancel(s, sk_rw_writer(s), wait);
    sk_rw_renounce(s, w);
    sk_eventcount_notify(&sk_rw_of(s)->open, SK_EVERYBODY);
}

/* Begin to write if no thread reads, writes or has a token: SK_OK, SK_OWNER_DIED (writes), SK_NO_SEAT; SK_BUSY: call
 * sk_rw_write with the same `w`, which may have the word already. */
static inline int sk_rw_try_write(const sk_segment *s, sk_rw_wait *w) {
    SK_SEATED(s);
    if (sk_load64_relaxed(&sk_rw_of(s)->token) != 0) return SK_BUSY;
    int rc = sk_mutex_try(s, sk_rw_writer(s));
    w->writes = rc == SK_OK || rc == SK_OWNER_DIED;
    w->me = sk_me(s);
    if (!w->writes) return rc;
    sk_fence_after_rmw(); /* W2: the word is visible before the entries are read; pairs with W1 */
    return sk_rw_read_now(s) ? SK_BUSY : rc;
}

/* Begin to write, waiting until the monotonic time `until`; 0: do not wait.
 * SK_OK, SK_OWNER_DIED (writes), SK_BUSY, SK_TIMEOUT, SK_NO_SEAT; SK_INTERRUPTED or SK_FREE: call again with the same
 * wait, or end the wait by sk_rw_cancel_write. */
static inline int sk_rw_write(sk_segment *s, sk_rw_wait *w, uint64_t until, sk_wait_state *wait) {
    sk_rwlock *l = sk_rw_of(s);
    uint64_t began = 0;
    int rc;
    SK_SEATED(s);
    if (w->me != sk_me(s)) w->writes = w->announced = false; /* the first call, or the child of a fork */
    w->me = sk_me(s);
    wait->prior_token = &l->token;
    if (until != 0) sk_rw_announce(s, w);
    if (!w->writes) {
        rc = sk_mutex_take(s, sk_rw_writer(s), until, wait);
        w->writes = rc == SK_OK || rc == SK_OWNER_DIED;
        if (rc == SK_TIMEOUT || rc == SK_BUSY) sk_rw_cancel_write(s, w, wait);
        if (!w->writes) return rc;
    }
    for (;;) {
        uint32_t raised = sk_eventcount_prepare(&l->gone); /* its fence is W2: the word is visible
                                                            * before the entries are read */
        if (!sk_rw_read_now(s)) {
            sk_rw_renounce(s, w);
            return sk_rw_outcome(s);
        }
        rc = until == 0 ? SK_BUSY : sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &l->gone, raised)) continue;
        if (rc == SK_OK) rc = sk_park_slice(&s->waiter, &l->gone, raised, SK_LOCK_SLICE_NS, until);
        if (rc == SK_OK) continue;
        if (rc == SK_INTERRUPTED) {
            if (sk_rw_read_now(s)) return rc;
        } else {
            sk_rw_cancel_write(s, w, wait);
            return rc;
        }
    }
}

/* End writing: SK_OK; SK_EXCESS: this process does not write. */
static inline int sk_rw_end_write(const sk_segment *s) {
    sk_mutex *m = sk_rw_writer(s);
    if (sk_me(s) == 0 || sk_lock_owner(&m->word) != sk_me(s)) return SK_EXCESS;
    int rc = sk_mutex_give(s, m);
    sk_eventcount_notify(&sk_rw_of(s)->open, SK_EVERYBODY);
    return rc;
}

/* --- readiness: wait until a call would not have to wait, and take nothing -------------------------------- */

/* Wait until a thread could begin to read: SK_OK, SK_TIMEOUT, SK_NO_SEAT, SK_INTERRUPTED (call again). */
static inline int sk_rw_ready_to_read(sk_segment *s, uint64_t until) {
    sk_rwlock *l = sk_rw_of(s);
    uint64_t began = 0;
    SK_SEATED(s);
    for (;;) {
        uint32_t raised = sk_eventcount_prepare(&l->open), writer = sk_load32_relaxed(&sk_rw_writer(s)->word);
        if (writer == 0 && (uint32_t)sk_load64_relaxed(&l->wanted) == 0) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &l->open, raised)) continue;
        if (rc == SK_OK) {
            rc = sk_park_slice(&s->waiter, &l->open, raised, SK_LOCK_SLICE_NS, until);
            if (writer != 0) sk_aside_also(&sk_rw_writer(s)->word, writer);
            else sk_aside_briefly(); /* the last writer that wants the lock may be dead */
        }
        if (rc == SK_OK || sk_rw_recover(s)) continue;
        return rc;
    }
}

/* Wait until a thread could begin to write. The same results. */
static inline int sk_rw_ready_to_write(sk_segment *s, uint64_t until) {
    sk_rwlock *l = sk_rw_of(s);
    uint32_t *word = &sk_rw_writer(s)->word;
    uint64_t began = 0;
    SK_SEATED(s);
    for (;;) {
        uint32_t writer = sk_load32_acquire(word), *event = writer == 0 ? &l->gone : &l->open;
        uint32_t raised = sk_eventcount_prepare(event); /* its fence comes before the next loads */
        if (sk_load32_relaxed(word) != writer) continue;
        if (writer == 0 && !sk_rw_read_now(s)) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, event, raised)) continue;
        if (rc == SK_OK) {
            rc = sk_park_slice(&s->waiter, event, raised, SK_LOCK_SLICE_NS, until);
            sk_aside_also(word, writer);
        }
        if (rc == SK_OK || sk_rw_recover(s)) continue;
        if (writer == 0 && !sk_rw_read_now(s)) return SK_OK; /* the last reader is dead */
        return rc;
    }
}

#endif
