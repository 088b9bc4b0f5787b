/* Watching many words for many waits, at no cost while nothing happens: the basis of the awaitable methods.
 *
 * A wait that was put aside (sk_wait.h) is linked into the table of its process. When its word has changed, when its
 * time is over, or when a process that may matter to it has ended, the wait is *fired*: moved to a second list. The
 * watching thread takes it from there and wakes the waiter, which checks its condition and, if it must wait on, is put
 * aside anew. That costs 20 us or more, so a wait is fired only for a reason.
 *
 *   thread     sleeps on                          fires a wait when
 *   watching   the words of the first bank, and   one of these words was woken or has changed, or the time of any wait
 *              its bell                           is over
 *   bank       the words of its bank, its bell    one of these words was woken or has changed
 *   patrol     20 ms                              an open file of the wait's segment was closed; or a word of the wait
 *                                                 has changed and no wake-up came
 *
 * Only the watching thread runs Python; it starts the others when they are needed, and joins them before it ends. One
 * system call, futex_waitv, sleeps on at most 128 words, so a *bank* has 127 words and a bell. If the system lacks the
 * call (before Linux 5.16) or forbids it, the watching thread reads the words each millisecond instead; so it does for
 * words beyond SK_BANKS full banks.
 *
 * Deaths. A thread that parks itself looks each 10 to 50 ms whether a process that it waits for has died, and whether a
 * wake-up was lost. A wait in the table needs not look, as long as the patrol looks for all waits at once:
 *
 * - A process that leaves a segment (it dies, calls exec, or closes its handle) closes the open file that holds its
 *   seat (sk_seat.h), and the system gives notice of that (sk_closings_add). The patrol reads the notices every 20 ms,
 *   and fires all waits at that segment.
 * - The notice comes immediately before the seat is free, so the waiter may still find the owner alive. Therefore a
 *   notice also ends the *cover* of these waits: each of them is fired again after a slice, and is covered again only
 *   after that.
 * - The cover of a wait begins when it is put aside again after the patrol has asked for notices. So the waiter has
 *   looked at least once since then, and an earlier death was not missed. A notice that comes while the wait is out of
 *   the table, because its waiter is looking, ends the cover too (`notices`).
 * - A wake-up may be lost if its sender is killed or stopped before it sends it, or if the waiter that received it is
 *   stopped. Then the word has changed, or the second word of the wait (sk_aside.also). The patrol compares both every
 *   40 ms.
 * - A covered wait is fired every SK_WATCH_BACKSTOP_NS, in case the notice was early by more than a slice because the
 *   machine starved the dying process, or a second word is missing.
 *
 * A wait whose segment lies in memory of this process needs no notices. Without a patrol, or where the system refuses
 * notices (each user has a limited number), a wait is not covered: it is fired whenever a slice is over.
 *
 * The patrol has a table of descriptors of its own: a program that closes all its descriptors neither ends the notices,
 * nor is the descriptor's number ever that of another file, from which we would steal.
 *
 * Private to the process: nothing here is in shared memory, and the child of a fork starts with a table of its own.
 * `lock` guards all fields except the bells. A thread that changes the words of a bank rings its bell, because the
 * bank's thread sleeps on the words that were there when it fell asleep. It must not go on sleeping on the word of a
 * wait that has been removed: it would use up a wake-up that a thread still waits for. */
#ifndef SK_WATCH_H
#define SK_WATCH_H

#include "core/sk_seat.h"
#include "core/sk_wait.h"

#define SK_WATCH_NAP_NS 1000000u
#define SK_WATCH_PATROL_NS 20000000u
#define SK_WATCH_COMPARE_NS 40000000u
#define SK_WATCH_BACKSTOP_NS ((uint64_t)10 * 1000000000u)
#define SK_WATCH_RETRY_NS ((uint64_t)5 * 1000000000u)

#define SK_BANK_WORDS (SK_WORDS_MAX - 1u)
#define SK_BANKS 64u
#define SK_NO_BANK SK_BANKS

enum sk_watched_state { SK_UNWATCHED = 0, SK_WATCHED = 1, SK_FIRED = 2 };

typedef struct sk_watched {
    struct sk_watched *before, *after; /* in one of the two lists */
    sk_aside what;
    uint64_t until;        /* when it is fired in any case */
    const sk_seats *seats; /* of the segment; NULL: it belongs to this process alone */
    void *whose;           /* the waiter: sk_watch_take returns it */
    int state;
    uint32_t bank, slot;   /* the place of the word; SK_NO_BANK: none */
    int32_t file;          /* of the segment, in the patrol's notices; 0: not asked for yet; below 0: refused */
    uint32_t file_of;      /* the sk_watch.patrols in which `file` is valid */
    uint32_t notices;      /* sk_watch.notices when the wait left the table */
} sk_watched;

typedef struct sk_watch sk_watch;

/* Words on which one thread sleeps. */
typedef struct sk_bank {
    sk_watch *watch;
    sk_thread_handle thread;
    uint32_t bell;
    uint32_t count;
    uint32_t high; /* slots beyond are NULL */
    sk_watched *slot[SK_BANK_WORDS];
} sk_bank;

struct sk_watch {
    sk_private lock;
    sk_watched watched, fired; /* heads of the two circular lists; they are no waits themselves */
    uint32_t count;            /* of waits in `watched` */
    uint32_t homeless;         /* waits in `watched` without a place in a bank */
    uint64_t due;              /* no wait's `until` is earlier */
    sk_bank first;
    sk_bank *more;             /* the other banks, from number 1 on; NULL: none was needed yet */
    uint32_t banks;
    sk_thread_handle patrol;
    uint32_t patrol_bell;
    uint32_t patrols;          /* how often a patrol could begin to ask for notices */
    uint32_t notices;          /* how many times the patrol has read notices */
    bool patrolling;           /* a patrol runs */
    bool uncovered;            /* the patrol has waits to cover */
    bool lasting;              /* a wait lasted for a slice: a patrol is wanted */
    bool polling;
    bool unpatrolled;          /* no patrol may be started: tests and benchmarks */
    bool dismissed;            /* bank threads and patrol must end */
    bool ended;
};

static inline void sk_watch_init(sk_watch *w, bool polling) {
    memset(w, 0, sizeof *w);
    sk_private_init(&w->lock);
    w->watched.before = w->watched.after = &w->watched;
    w->fired.before = w->fired.after = &w->fired;
    w->due = UINT64_MAX;
    w->banks = 1;
    w->first.watch = w;
    w->polling = polling;
}

static inline void sk_watch_ring_bell(uint32_t *bell) {
    sk_add32_seq_cst(bell, 1);
    sk_wake(bell, 1);
}

/* Make the watching thread look at the table. */
static inline void sk_watch_ring(sk_watch *w) { sk_watch_ring_bell(&w->first.bell); }

static inline sk_bank *sk_watch_bank(sk_watch *w, uint32_t i) { return i == 0 ? &w->first : &w->more[i]; }

/* --- under the lock ---------------------------------------------------------------------------------- */

static inline void sk_watched_link(sk_watched *ring, sk_watched *x) {
    x->before = ring->before;
    x->after = ring;
    ring->before->after = x;
    ring->before = x;
}

/* Give the wait's word a place in a bank that has one. */
static inline bool sk_watch_house(sk_watch *w, sk_watched *x) {
    for (uint32_t i = 0; i < w->banks; i++) {
        sk_bank *b = sk_watch_bank(w, i);
        if (b->count == SK_BANK_WORDS) continue;
        uint32_t slot = 0;
        while (b->slot[slot] != NULL) slot++;
        b->slot[slot] = x;
        b->count++;
        if (slot >= b->high) b->high = slot + 1;
        x->bank = i;
        x->slot = slot;
        return true;
    }
    x->bank = SK_NO_BANK;
    return false;
}

/* Take the wait out of its list. Returns its bank, whose bell must be rung unless the calling thread is the one that
 * sleeps there; or NULL. */
static inline sk_bank *sk_watched_unlink(sk_watch *w, sk_watched *x) {
    sk_bank *b = NULL;
    x->before->after = x->after;
    x->after->before = x->before;
    if (x->state == SK_WATCHED) {
        w->count--;
        x->notices = w->notices;
        if (x->bank == SK_NO_BANK) w->homeless--;
        else {
            b = sk_watch_bank(w, x->bank);
            b->slot[x->slot] = NULL;
            b->count--;
            while (b->high > 0 && b->slot[b->high - 1] == NULL) b->high--;
        }
    }
    x->state = SK_UNWATCHED;
    return b;
}

/* Fire a wait; `here`: the bank of the calling thread, or NULL. */
static inline void sk_watch_fire(sk_watch *w, sk_watched *x, const sk_bank *here) {
    sk_bank *b = sk_watched_unlink(w, x);
    sk_watched_link(&w->fired, x);
    x->state = SK_FIRED;
    if (b != NULL && b != here) sk_watch_ring_bell(&b->bell);
}

static inline bool sk_watched_changed(const sk_watched *x) { return sk_aside_changed(&x->what); }

/* Whether deaths and lost wake-ups are looked for on behalf of this wait, which is not in the table. */
static inline bool sk_watch_covers(const sk_watch *w, const sk_watched *x) {
    if (!w->patrolling || w->dismissed) return false;
    return x->seats == NULL || (x->file > 0 && x->file_of == w->patrols && x->notices == w->notices);
}

/* Whether the patrol has to ask for notices about this wait's segment. */
static inline bool sk_watch_asks(const sk_watch *w, const sk_watched *x) {
    return x->seats != NULL && x->what.limit > x->what.until && (x->file == 0 || x->file_of != w->patrols);
}

/* --- from any thread --------------------------------------------------------------------------------- */

/* Watch x, which is not in the table. */
static inline void sk_watch_add(sk_watch *w, sk_watched *x) {
    sk_private_lock(&w->lock);
    x->until = x->what.until;
    if (x->what.limit > x->until) {
        uint64_t late = sk_now_ns() + SK_WATCH_BACKSTOP_NS + (uintptr_t)x % 4096 * 1000000; /* not all at once */
        if (sk_watch_covers(w, x)) x->until = late < x->what.limit ? late : x->what.limit;
        else if (x->file > 0) x->file = 0;
        if (sk_watch_asks(w, x)) w->uncovered = true;
    }
    sk_watched_link(&w->watched, x);
    x->state = SK_WATCHED;
    w->count++;
    bool sooner = x->until < w->due;
    if (sooner) w->due = x->until;
    if (w->polling || w->dismissed || !sk_watch_house(w, x)) {
        x->bank = SK_NO_BANK;
        w->homeless++;
    }
    bool elsewhere = x->bank != SK_NO_BANK && x->bank != 0;
    if (elsewhere) sk_watch_ring_bell(&w->more[x->bank].bell); /* under the lock: banks may be dismissed */
    sk_private_unlock(&w->lock);
    if (sooner || !elsewhere) sk_watch_ring(w);
}

/* Stop watching x, if it is watched. Afterwards the memory of its word may be freed. */
static inline void sk_watch_remove(sk_watch *w, sk_watched *x) {
    sk_bank *b = NULL;
    sk_private_lock(&w->lock);
    if (x->state != SK_UNWATCHED) b = sk_watched_unlink(w, x);
    if (b != NULL && b != &w->first) sk_watch_ring_bell(&b->bell); /* under the lock, as in sk_watch_add */
    sk_private_unlock(&w->lock);
    if (b == &w->first) sk_watch_ring(w);
}

/* How many waits are watched, and how many of them are covered. For tests. */
static inline uint32_t sk_watch_count(sk_watch *w, uint32_t *covered) {
    sk_private_lock(&w->lock);
    *covered = 0;
    for (sk_watched *x = w->watched.after; x != &w->watched; x = x->after) *covered += x->until > x->what.until;
    uint32_t count = w->count;
    sk_private_unlock(&w->lock);
    return count;
}

/* Tell the watching thread to end. */
static inline void sk_watch_end(sk_watch *w) {
    sk_private_lock(&w->lock);
    w->ended = true;
    sk_private_unlock(&w->lock);
    sk_watch_ring(w);
}

/* --- sleeping on the words of a bank ------------------------------------------------------------------- */

/* The words on which a thread sleeps. */
typedef struct sk_bank_parker {
    sk_words words;
    sk_watched *whose[SK_WORDS_MAX];
} sk_bank_parker;

/* Under the lock: fire the waits whose words have changed, and collect the words of the rest. */
static inline bool sk_bank_look(sk_watch *w, sk_bank *b, sk_bank_parker *parker) {
    bool fired = false;
    sk_words_clear(&parker->words);
    sk_words_add(&parker->words, &b->bell, sk_load32_seq_cst(&b->bell));
    for (uint32_t i = 0; i < b->high; i++) {
        sk_watched *x = b->slot[i];
        if (x == NULL) continue;
        if (sk_load32_seq_cst(x->what.word) != x->what.seen) {
            sk_watch_fire(w, x, b);
            fired = true;
            continue;
        }
        parker->whose[parker->words.count] = x;
        sk_words_add(&parker->words, x->what.word, x->what.seen);
    }
    return fired;
}

/* Under the lock: fire the wait of the word that was woken, even if the word is unchanged: no wake-up may get lost. */
static inline bool sk_bank_woken(sk_watch *w, sk_bank *b, const sk_bank_parker *parker, int which) {
    if (which < 1 || (uint32_t)which >= parker->words.count) return false; /* 0 is the bell */
    for (uint32_t i = 0; i < b->high; i++) {
        sk_watched *x = b->slot[i];
        if (x == NULL || x != parker->whose[which]) continue;
        if (!sk_words_is(&parker->words, (uint32_t)which, x->what.word, x->what.seen)) return false;
        sk_watch_fire(w, x, b);
        return true;
    }
    return false;
}

/* A system that is too old, or a sandbox, may refuse the call. */
static inline bool sk_bank_refused(int rc) { return rc == -ENOSYS || rc == -EPERM; }

/* The thread of a bank. */
static inline void *sk_bank_run(void *at) {
    sk_bank *b = at;
    sk_watch *w = b->watch;
    sk_bank_parker parker;
    sk_private_lock(&w->lock);
    while (!w->dismissed && !w->polling) {
        bool fired = sk_bank_look(w, b, &parker);
        if (fired) sk_watch_ring(w);
        sk_private_unlock(&w->lock);
        int which = sk_sleep_on_any(&parker.words, UINT64_MAX);
        sk_private_lock(&w->lock);
        if (sk_bank_refused(which)) w->polling = true;
        if (sk_bank_woken(w, b, &parker, which) || w->polling) sk_watch_ring(w);
    }
    sk_private_unlock(&w->lock);
    return NULL;
}

/* --- the patrol ---------------------------------------------------------------------------------------- */

/* Ask for notices about the file of the segment: its number, or a negative errno. */
static inline int32_t sk_patrol_ask(int fd, const sk_seats *seats) {
    char hidden[SK_PATH];
    const char *names[2] = {seats->path, hidden};
    int32_t number = -ENOENT;
    sk_hidden_path(hidden, seats->path, seats->file);
    for (int i = 0; i < 2; i++) {
        sk_file file;
        number = sk_closings_add(fd, names[i]);
        if (number > 0 && sk_file_at(names[i], &file) == 0 && sk_same_file(file.id, seats->file)) return number;
        if (number > 0) number = -ENOENT;
        else if (number != -ENOENT) break;
    }
    return number;
}

/* Under the lock: ask for notices about the segments of all waits that need them. A few at a time, so that no loop waits
 * long for the lock. Returns false if the system allows no more. */
static inline bool sk_patrol_cover(sk_watch *w, int fd) {
    for (bool more = w->uncovered; more && !w->dismissed;) {
        int left = 16;
        more = w->uncovered = false;
        for (sk_watched *x = w->watched.after; x != &w->watched && !more; x = x->after) {
            if (!sk_watch_asks(w, x)) continue;
            more = w->uncovered = left-- == 0;
            if (more) break;
            x->file = sk_patrol_ask(fd, x->seats);
            x->file_of = w->patrols;
            if (x->file == -ENOSPC || x->file == -ENOMEM) {
                x->file = 0;
                w->uncovered = true;
                return false;
            }
        }
        if (!more) break;
        sk_private_unlock(&w->lock);
        sk_yield();
        sk_private_lock(&w->lock);
    }
    return true;
}

/* Under the lock: fire the waits at the segments that the notices name; all, if notices were lost. */
static inline void sk_patrol_notice(sk_watch *w, const int32_t *numbers, int n) {
    bool fired = false;
    w->notices++;
    for (sk_watched *x = w->watched.after, *next; x != &w->watched; x = next) {
        next = x->after;
        if (x->seats == NULL || x->file <= 0) continue;
        bool named = n < 0;
        for (int i = 0; i < n && !named; i++) named = numbers[i] == x->file;
        if (!named) continue;
        x->file = 0;
        sk_watch_fire(w, x, NULL);
        fired = true;
    }
    if (fired) sk_watch_ring(w);
}

/* Under the lock: fire the waits whose words have changed. */
static inline void sk_patrol_compare(sk_watch *w) {
    bool fired = false;
    for (sk_watched *x = w->watched.after, *next; x != &w->watched; x = next) {
        next = x->after;
        if (!sk_watched_changed(x)) continue;
        sk_watch_fire(w, x, NULL);
        fired = true;
    }
    if (fired) sk_watch_ring(w);
}

/* The thread of the patrol. */
static inline void *sk_patrol_run(void *at) {
    enum { NUMBERS = 1024 };
    sk_watch *w = at;
    int32_t numbers[NUMBERS];
    uint64_t compare = 0, ask = 0;
    bool alone = sk_leave_descriptors() == 0;
    int fd = -1;
    sk_private_lock(&w->lock);
    while (!w->dismissed) {
        uint64_t now = sk_now_ns();
        uint32_t rung = sk_load32_seq_cst(&w->patrol_bell);
        if (alone && now >= ask) {
            if (fd < 0 && (fd = sk_closings_open()) >= 0) w->patrols++;
            if (fd < 0 || !sk_patrol_cover(w, fd)) ask = now + SK_WATCH_RETRY_NS;
        }
        if (now >= compare) {
            sk_patrol_compare(w);
            compare = now + SK_WATCH_COMPARE_NS;
        }
        sk_private_unlock(&w->lock);
        sk_sleep_on(&w->patrol_bell, rung, SK_WATCH_PATROL_NS);
        int n = fd < 0 ? 0 : sk_closings_read(fd, numbers, NUMBERS);
        sk_private_lock(&w->lock);
        if (n != 0) sk_patrol_notice(w, numbers, n);
    }
    sk_private_unlock(&w->lock);
    if (fd >= 0) sk_file_close(fd);
    return NULL;
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

/* Under the lock: fire the waits that are due, and, if no thread sleeps on their words, those whose words have changed.
 */
static inline void sk_watch_pass(sk_watch *w, uint64_t now) {
    w->due = UINT64_MAX;
    for (sk_watched *x = w->watched.after, *next; x != &w->watched; x = next) {
        next = x->after;
        if (now >= x->until && x->what.limit > x->until) w->lasting = true;
        if (now >= x->until || ((w->polling || x->bank == SK_NO_BANK) && sk_watched_changed(x)))
            sk_watch_fire(w, x, &w->first);
        else if (x->until < w->due) w->due = x->until;
    }
}

/* Under the lock: start one more bank. */
static inline bool sk_watch_one_more(sk_watch *w) {
    bool wiped;
    if (w->banks == SK_BANKS) return false;
    if (w->more == NULL) w->more = sk_wiped(SK_BANKS * sizeof(sk_bank), &wiped);
    if (w->more == NULL) return false;
    sk_bank *b = &w->more[w->banks];
    memset(b, 0, sizeof *b);
    b->watch = w;
    if (sk_thread_start(&b->thread, sk_bank_run, b) != 0) return false;
    w->banks++;
    return true;
}

/* Under the lock: give a place to each wait that has none, and start the threads that are needed. */
static inline void sk_watch_arrange(sk_watch *w) {
    if (w->lasting && !w->patrolling && !w->ended && !w->unpatrolled)
        w->patrolling = sk_thread_start(&w->patrol, sk_patrol_run, w) == 0;
    if (w->homeless == 0 || w->polling || w->ended) return;
    for (sk_watched *x = w->watched.after; x != &w->watched && w->homeless > 0; x = x->after) {
        if (x->bank != SK_NO_BANK) continue;
        if (!sk_watch_house(w, x) && (!sk_watch_one_more(w) || !sk_watch_house(w, x))) return;
        w->homeless--;
        if (x->bank != 0) sk_watch_ring_bell(&sk_watch_bank(w, x->bank)->bell);
    }
}

/* Sleep until a wait is fired, and return true. Return false if sk_watch_end was called, at the monotonic time `until`,
 * or if no wait is watched at the time `idle`. */
static inline bool sk_watch_wait(sk_watch *w, uint64_t idle, uint64_t until) {
    sk_bank_parker parker;
    bool fired, over = false;
    sk_private_lock(&w->lock);
    for (;;) {
        uint64_t now = sk_now_ns();
        if (w->lasting || w->homeless > 0) sk_watch_arrange(w);
        bool polls = w->polling || w->homeless > 0;
        if (polls || now >= w->due) sk_watch_pass(w, now);
        sk_bank_look(w, &w->first, &parker);
        fired = w->fired.after != &w->fired;
        uint64_t end = w->count == 0 && idle < until ? idle : until;
        over = w->ended || now >= end;
        if (fired || over) break;
        if (w->due < end) end = w->due;
        if (polls && now + SK_WATCH_NAP_NS < end) end = now + SK_WATCH_NAP_NS;
        bool naps = w->polling;
        sk_private_unlock(&w->lock);
        int which = naps ? sk_nap(end - now) : sk_sleep_on_any(&parker.words, end);
        sk_private_lock(&w->lock);
        if (naps) continue;
        if (sk_bank_refused(which)) w->polling = true;
        sk_bank_woken(w, &w->first, &parker, which);
    }
    sk_private_unlock(&w->lock);
    return fired;
}

/* Before the watching thread ends: end the other threads. Waits may be added meanwhile. */
static inline void sk_watch_dismiss(sk_watch *w) {
    sk_private_lock(&w->lock);
    if (!w->ended && w->count > 0) {
        sk_private_unlock(&w->lock);
        return;
    }
    w->dismissed = true;
    for (sk_watched *x = w->watched.after; x != &w->watched; x = x->after) {
        if (x->bank == SK_NO_BANK || x->bank == 0) continue;
        x->bank = SK_NO_BANK;
        w->homeless++;
    }
    uint32_t banks = w->banks;
    w->banks = 1;
    for (uint32_t i = 1; i < banks; i++) {
        w->more[i].count = w->more[i].high = 0;
        sk_watch_ring_bell(&w->more[i].bell);
    }
    sk_watch_ring_bell(&w->patrol_bell);
    sk_private_unlock(&w->lock);
    for (uint32_t i = 1; i < banks; i++) sk_thread_join(w->more[i].thread);
    if (w->patrolling) sk_thread_join(w->patrol);
    sk_private_lock(&w->lock);
    if (w->more != NULL) sk_unmap(w->more, SK_BANKS * sizeof(sk_bank));
    w->more = NULL;
    w->patrolling = w->lasting = w->dismissed = false;
    w->patrols++; /* nobody covers a wait now */
    for (sk_watched *x = w->watched.after; x != &w->watched; x = x->after) {
        x->until = x->what.until;
        if (x->until < w->due) w->due = x->until;
    }
    sk_private_unlock(&w->lock);
}

#endif
