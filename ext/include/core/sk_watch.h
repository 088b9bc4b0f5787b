/* Watching many words for many waits, with one thread: the basis of the awaitable methods.
 *
 * A wait that was put aside (sk_wait.h) is linked into the table of its process. The *watching thread* sleeps on all
 * words at once. When a word has changed, or the time of a wait is over, the wait is *fired*: moved to a second list.
 * The watching thread takes it from there and wakes the waiter, which checks its condition and, if it must wait on, is
 * put aside anew.
 *
 * Private to the process: nothing here is in shared memory, and the child of a fork starts with a table of its own.
 * `lock` guards all fields except `bell`. A thread that changes the table rings the bell, because the watching thread
 * sleeps on the words that were in the table when it fell asleep. It must not go on sleeping on the word of a wait that
 * has been removed: it would use up a wake-up that a thread still waits for.
 *
 * One system call, futex_waitv, can sleep on 128 words. If there are more, or if the system lacks the call (before
 * Linux 5.16) or forbids it, the watching thread reads the words each millisecond. */
#ifndef SK_WATCH_H
#define SK_WATCH_H

#include "core/sk_wait.h"

#define SK_WATCH_NAP_NS 1000000u

enum sk_watched_state { SK_UNWATCHED = 0, SK_WATCHED = 1, SK_FIRED = 2 };

typedef struct sk_watched {
    struct sk_watched *before, *after; /* in one of the two lists */
    sk_aside what;
    void *whose; /* the waiter: sk_watch_take returns it */
    int state;
} sk_watched;

typedef struct sk_watch {
    sk_private lock;
    sk_watched watched, fired; /* heads of the two circular lists; they are no waits themselves */
    uint32_t count;            /* of waits in `watched` */
    uint32_t bell;
    bool polling;
    bool ended;
} sk_watch;

static inline void sk_watch_init(sk_watch *w, bool polling) {
    sk_private_init(&w->lock);
    w->watched.before = w->watched.after = &w->watched;
    w->fired.before = w->fired.after = &w->fired;
    w->count = 0;
    w->bell = 0;
    w->polling = polling;
    w->ended = false;
}

static inline void sk_watch_ring(sk_watch *w) {
    sk_add32_seq_cst(&w->bell, 1);
    sk_wake(&w->bell, 1);
}

static inline void sk_watched_link(sk_watched *ring, sk_watched *x) {
    x->before = ring->before;
    x->after = ring;
    ring->before->after = x;
    ring->before = x;
}

static inline void sk_watched_unlink(sk_watch *w, sk_watched *x) {
    x->before->after = x->after;
    x->after->before = x->before;
    if (x->state == SK_WATCHED) w->count--;
    x->state = SK_UNWATCHED;
}

static inline void sk_watch_fire(sk_watch *w, sk_watched *x) {
    sk_watched_unlink(w, x);
    sk_watched_link(&w->fired, x);
    x->state = SK_FIRED;
}

/* --- from any thread --------------------------------------------------------------------------------- */

/* Watch x, which is not in the table. */
static inline void sk_watch_add(sk_watch *w, sk_watched *x) {
    sk_private_lock(&w->lock);
    sk_watched_link(&w->watched, x);
    x->state = SK_WATCHED;
    w->count++;
    sk_private_unlock(&w->lock);
    sk_watch_ring(w);
}

/* Stop watching x, if it is watched. Afterwards the memory of its word may be freed. */
static inline void sk_watch_remove(sk_watch *w, sk_watched *x) {
    sk_private_lock(&w->lock);
    int state = x->state;
    if (state != SK_UNWATCHED) sk_watched_unlink(w, x);
    sk_private_unlock(&w->lock);
    if (state == SK_WATCHED) sk_watch_ring(w);
}

/* Tell the watching thread to end. */
static inline void sk_watch_end(sk_watch *w) {
    sk_private_lock(&w->lock);
    w->ended = true;
    sk_private_unlock(&w->lock);
    sk_watch_ring(w);
}

/* --- by the watching thread ---------------------------------------------------------------------------- */

/* Take one of the fired waits out of the table, and return its waiter; NULL if no wait is fired. */
static inline void *sk_watch_take(sk_watch *w) {
    sk_private_lock(&w->lock);
    sk_watched *x = w->fired.after;
    void *whose = NULL;
    if (x != &w->fired) {
        whose = x->whose;
        sk_watched_unlink(w, x);
    }
    sk_private_unlock(&w->lock);
    return whose;
}

/* The words on which the watching thread sleeps. */
typedef struct sk_watch_parker {
    sk_words words;
    sk_watched *whose[SK_WORDS_MAX];
    uint64_t until;
    bool crowded;
} sk_watch_parker;

/* Under the lock: fire the waits that are due, and collect the words of the rest in `parker`. */
static inline void sk_watch_look(sk_watch *w, sk_watch_parker *parker, uint64_t until) {
    uint64_t now = sk_now_ns();
    sk_words_clear(&parker->words);
    sk_words_add(&parker->words, &w->bell, sk_load32_seq_cst(&w->bell));
    parker->until = until;
    parker->crowded = false;
    for (sk_watched *x = w->watched.after, *next; x != &w->watched; x = next) {
        next = x->after;
        if (now >= x->what.until || sk_load32_seq_cst(x->what.word) != x->what.seen) {
            sk_watch_fire(w, x);
            continue;
        }
        if (x->what.until < parker->until) parker->until = x->what.until;
        if (parker->words.count == SK_WORDS_MAX) parker->crowded = true;
        else {
            parker->whose[parker->words.count] = x;
            sk_words_add(&parker->words, x->what.word, x->what.seen);
        }
    }
}

/* Sleep, without the lock. Returns the index of the woken word; 0 (the bell) or less belongs to no wait. */
static inline int sk_watch_sleep(sk_watch *w, sk_watch_parker *parker) {
    uint64_t now = sk_now_ns(), soon = now + SK_WATCH_NAP_NS;
    if (parker->until <= now) return -ETIMEDOUT;
    if (w->polling) return sk_nap(parker->until < soon ? parker->until - now : SK_WATCH_NAP_NS);
    int rc = sk_sleep_on_any(&parker->words, parker->crowded && soon < parker->until ? soon : parker->until);
    if (rc == -ENOSYS || rc == -EPERM) w->polling = true; /* an old system, or a sandbox that forbids the call */
    return rc;
}

/* Fire the wait of the word that was woken, even if the word is unchanged: no wake-up may get lost. */
static inline void sk_watch_woken(sk_watch *w, const sk_watch_parker *parker, int which) {
    if (which < 1 || (uint32_t)which >= parker->words.count) return;
    for (sk_watched *x = w->watched.after; x != &w->watched; x = x->after)
        if (x == parker->whose[which] && sk_words_is(&parker->words, (uint32_t)which, x->what.word, x->what.seen)) {
            sk_watch_fire(w, x);
            return;
        }
}

/* Sleep until a wait is fired, and return true. Return false if sk_watch_end was called, or if no wait is watched at
 * the monotonic time `idle`. */
static inline bool sk_watch_wait(sk_watch *w, uint64_t idle) {
    sk_watch_parker parker;
    bool fired, over = false;
    sk_private_lock(&w->lock);
    for (;;) {
        sk_watch_look(w, &parker, w->count == 0 ? idle : UINT64_MAX);
        fired = w->fired.after != &w->fired;
        over = w->ended || (w->count == 0 && sk_now_ns() >= idle);
        if (fired || over) break;
        sk_private_unlock(&w->lock);
        int which = sk_watch_sleep(w, &parker);
        sk_private_lock(&w->lock);
        sk_watch_woken(w, &parker, which);
    }
    sk_private_unlock(&w->lock);
    return fired;
}

#endif
