/* A flag to wait for, for Event: one word holds the whole state, and every change of it is one step.
 *
 *   offset  what                                                  written by
 *   0       word                                                  any thread, by compare-and-swap, which commits
 *   128     waiters: threads of each process that wait            the process on that seat; for people
 *           (sk_seat_counts.h)
 *
 *   word    31 .......... 2   1                        0
 *           how often set     a thread may be parked   the flag
 *
 *   step    from            to                                    done by
 *   set     any             one more set, not parked, up          any thread; then it wakes all if `parked` was set
 *   clear   up              down                                  any thread
 *   park    down            down, parked                          a waiter before it sleeps on the new word
 *
 * No thread is parked on a word that is up. A waiter remembers how often the flag had been set when the wait began. It
 * goes on when the flag is up or that number has changed, so a set releases it even if a clear follows before it gets
 * to run. (A waiter that is stopped for exactly a multiple of 2^30 sets, and finds the flag down, sleeps on.)
 *
 * Deaths. If a process dies before its compare-and-swap, nothing has happened; if it dies after that, the change is
 * complete. If it dies between the compare-and-swap of a set and the wake, waiters read the word again when their
 * slice is over. If a waiter dies, the parked bit stays set, which costs one needless wake; no other thread waits for a
 * waiter. */
#ifndef SK_EVENT_H
#define SK_EVENT_H

#include "core/sk_seat_counts.h"

#define SK_EVENT_UP 1u
#define SK_EVENT_PARKED 2u
#define SK_EVENT_SETS (~3u)

typedef struct sk_event {
    uint32_t word;
    unsigned char line[SK_LINE - 4];
    uint64_t waiters[]; /* an entry for each seat */
} sk_event;
_Static_assert(offsetof(sk_event, waiters) == SK_LINE, "diagram and struct agree");

static inline uint64_t sk_event_body_len(uint32_t seats) { return sizeof(sk_event) + seats * sizeof(uint64_t); }

static inline sk_event *sk_event_of(const sk_segment *s) { return sk_body_of(s); }

/* SK_CORRUPT if the header does not fit this structure; the word can have any value. */
static inline int sk_event_refuse(const sk_segment *s) {
    return sk_event_body_len(s->seats.count) <= s->base_len - sk_header_of(s)->body ? SK_OK : SK_CORRUPT;
}

/* The word now, for sk_event_released and sk_event_wait. */
static inline uint32_t sk_event_poll(const sk_event *f) { return sk_load32_acquire(&f->word); } /* A1: pairs with R1 */

/* Whether a waiter may go on: the word was `came` when its wait began, and is `now`. */
static inline bool sk_event_released(uint32_t came, uint32_t now) {
    return (now & SK_EVENT_UP) || ((came ^ now) & SK_EVENT_SETS) != 0;
}

static inline void sk_event_set(sk_event *f) {
    uint32_t seen = sk_load32_relaxed(&f->word);
    while (!sk_cas32_seq_cst(&f->word, &seen, ((seen & SK_EVENT_SETS) + 4) | SK_EVENT_UP)) continue; /* R1; commits */
    if (seen & SK_EVENT_PARKED) sk_wake(&f->word, SK_EVERYBODY);
}

static inline void sk_event_clear(sk_event *f) {
    uint32_t seen = sk_load32_relaxed(&f->word);
    while ((seen & SK_EVENT_UP) && !sk_cas32_seq_cst(&f->word, &seen, seen & ~SK_EVENT_UP)) continue; /* commits */
}

/* Sleep for one slice at most while the word is `seen`, which is down. */
static inline int sk_event_park(sk_segment *s, sk_event *f, uint32_t seen, uint64_t until) {
    if (!(seen & SK_EVENT_PARKED)) {
        if (!sk_cas32_seq_cst(&f->word, &seen, seen | SK_EVENT_PARKED)) return SK_OK;
        seen |= SK_EVENT_PARKED;
    }
    if (sk_me(s) == 0) sk_segment_sit(s); /* only for the counts: a process without a seat can wait too */
    sk_seat_counts_add(s, f->waiters, 1);
    int rc = sk_park_slice(&s->waiter, &f->word, seen, SK_PARK_SLICE_NS, until);
    sk_seat_counts_add(s, f->waiters, -1);
    return rc;
}

/* Wait until the flag is up, or was set since the word was `came`, or until the monotonic time `until`.
 * SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again, with the same `came`). */
static inline int sk_event_wait(sk_segment *s, sk_event *f, uint32_t came, uint64_t until) {
    uint64_t began = 0;
    for (;;) {
        uint32_t seen = sk_event_poll(f);
        if (sk_event_released(came, seen)) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK && sk_spin_while(&s->waiter, &f->word, seen)) continue;
        if (rc == SK_OK) rc = sk_event_park(s, f, seen, until);
        if (rc != SK_OK) return sk_event_released(came, sk_event_poll(f)) ? SK_OK : rc;
    }
}

#endif
