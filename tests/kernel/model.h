/* Every schedule of a few participants, one atomic step at a time. The real code of the C core runs over atomics and a
 * platform that give control to a scheduler before each step. Included in place of sk_atomic.h and sk_platform.h.
 *
 * It enumerates the schedules with at most `preemptions` switches away from a participant that could go on (Musuvathi
 * and Qadeer, "Iterative Context Bounding", 2007). A wake-up always wakes the waiter that has slept longest. Memory is
 * sequentially consistent, or reorders within a bound: see memory.h. Time stands still, and only naps end by time; a
 * participant naps when it yields, and not to wait for a wake-up. So if a wake-up is lost, there is a schedule in which
 * no participant can go on. */
#ifndef MODEL_H
#define MODEL_H

#define SK_ATOMIC_H
#define SK_PLATFORM_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define SK_LINE 128u
#define NAP_NS 500000u
#define MOST_PARTICIPANTS 4
#define MOST_STEPS 4096

enum { READY, ASLEEP, DONE };

typedef struct participant {
    ucontext_t context;
    char stack[64 * 1024];
    void (*work)(int);
    int state;
    bool nap;     /* it naps; the nap ends when no other participant can go on */
    bool over;
    uint32_t *on; /* the word on which it sleeps */
    uint64_t since;
} participant;

static struct {
    participant who[MOST_PARTICIPANTS];
    ucontext_t scheduler;
    int n, current;
    bool running;
    uint64_t now;
    /* The schedule is a list of decisions: which participant runs, or which value a load sees. For each decision, the
     * option that was chosen, and a bit for each option that is still to be tried. */
    unsigned char chosen[MOST_STEPS], rest[MOST_STEPS];
    int length, replay, preemptions;
    bool wrong; /* a participant has found an error */
    uint64_t schedules, steps;
} model;

static unsigned char shared[64 * 1024] __attribute__((aligned(4096)));

static inline bool is_shared(const void *p) {
    return (const unsigned char *)p >= shared && (const unsigned char *)p < shared + sizeof shared;
}

/* Before it accesses a shared word, a participant gives control to the scheduler. */
static inline void step(const void *p) {
    if (model.running && is_shared(p)) swapcontext(&model.who[model.current].context, &model.scheduler);
}

#include "memory.h"

/* --- the platform ------------------------------------------------------------------------------------ */

static inline uint64_t sk_now_ns(void) { return 1u << 30; } /* long after 1 */
static inline uint64_t sk_wall_ns(void) { return 1; }
static inline uint64_t sk_wall_coarse_ns(void) { return 1; }
static inline uint32_t sk_pid(void) { return 1; }
static inline void sk_relax(void) {}
static inline void sk_yield(void) {}
static inline int sk_nap(uint64_t ns) { (void)ns; return 0; }

static inline int sk_sleep_on(uint32_t *word, uint32_t seen, uint64_t ns) {
    step(word);
    model_barrier(); /* the system's barrier before it reads the word */
    if (*word != seen) return -EAGAIN;
    participant *me = &model.who[model.current];
    me->state = ASLEEP;
    me->nap = ns <= NAP_NS;
    me->over = false;
    me->on = word;
    me->since = ++model.now;
    step(word);
    return me->over ? -ETIMEDOUT : 0;
}

static inline int sk_wake(uint32_t *word, int n) {
    step(word);
    model_barrier(); /* the system's barrier before it searches for waiters */
    int woken = 0;
    while (woken < n) {
        participant *longest = NULL;
        for (int i = 0; i < model.n; i++) {
            participant *p = &model.who[i];
            if (p->state == ASLEEP && p->on == word && (longest == NULL || p->since < longest->since)) longest = p;
        }
        if (longest == NULL) break;
        longest->state = READY;
        model_wakes((int)(longest - model.who));
        woken++;
    }
    return woken;
}

typedef struct sk_private { int unused; } sk_private;
#define SK_PRIVATE_INIT {0}
static inline void sk_private_init(sk_private *lock) { (void)lock; }
static inline void sk_private_lock(sk_private *lock) { (void)lock; }
static inline void sk_private_unlock(sk_private *lock) { (void)lock; }
static inline int sk_before_fork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
    (void)before; (void)parent; (void)child;
    return 0;
}
static inline void *sk_wiped(uint64_t len, bool *wiped) { (void)len; *wiped = true; return NULL; }
static inline int sk_with_descriptors(void (*run)(void *), void *with) { (void)run; (void)with; return -ENOSYS; }
static inline uint32_t sk_uid(void) { return 0; }
static inline uint64_t sk_thread(void) { return 0; }
static inline bool sk_in_group(uint32_t gid) { (void)gid; return false; }
static inline uint64_t sk_start_time(void) { return 1; }

/* All processes are found alive: every file can be opened, and every byte of it is locked. */
typedef struct sk_file {
    uint64_t id[2], size, held;
    uint32_t mode, uid, gid;
    bool regular;
} sk_file;
static inline int sk_file_lock(int fd, uint64_t from, uint64_t len) { (void)fd; (void)from; (void)len; return 0; }
static inline int sk_file_share(int fd, uint64_t from, uint64_t len) { (void)fd; (void)from; (void)len; return 0; }
static inline int sk_file_unlock(int fd, uint64_t from, uint64_t len) { (void)fd; (void)from; (void)len; return 0; }
static inline int sk_file_holder(int fd, uint64_t from, uint64_t len) { (void)fd; (void)from; (void)len; return 1; }
static inline bool sk_file_held_alone(int fd, uint64_t from, uint64_t len) { (void)fd; (void)from; (void)len; return false; }
static inline int sk_file_reserve(int fd, uint64_t from, uint64_t to) { (void)fd; (void)from; (void)to; return -ENOSPC; }
static inline int sk_file_discard(int fd, uint64_t from, uint64_t to) { (void)fd; (void)from; (void)to; return 0; }
static inline uint64_t sk_file_room(int fd) { (void)fd; return 0; }
static inline bool sk_file_peek(int fd, void *to, uint64_t len, uint64_t from) {
    (void)fd; (void)to; (void)len; (void)from;
    return false;
}
static inline void *sk_map(int fd, uint64_t len) { (void)fd; (void)len; return NULL; }
static inline bool sk_map_over(void *at, int fd, uint64_t len) { (void)at; (void)fd; (void)len; return false; }
static inline void *sk_map_pin(int fd, uint64_t len) { (void)fd; (void)len; return NULL; }
static inline void sk_unmap(void *at, uint64_t len) { (void)at; (void)len; }
static inline int sk_file_look(int fd, sk_file *file) { (void)fd; memset(file, 0, sizeof *file); return 0; }
static inline int sk_file_at(const char *path, sk_file *file) { (void)path; memset(file, 0, sizeof *file); return 0; }
static inline int sk_file_anonymous(const char *folder) { (void)folder; return -ENOSYS; }
static inline int sk_file_admit(int fd, uint32_t mode, uint32_t gid) { (void)fd; (void)mode; (void)gid; return 0; }
static inline int sk_file_publish(int fd, const char *path) { (void)fd; (void)path; return -ENOSYS; }
static inline int sk_file_open(const char *path) { (void)path; return 9; }
static inline int sk_file_open_to_read(const char *path) { (void)path; return 9; }
static inline int sk_file_rename(const char *from, const char *to) { (void)from; (void)to; return 0; }
static inline int sk_file_remove(const char *path) { (void)path; return 0; }
static inline void sk_file_close(int fd) { (void)fd; }

/* --- the scheduler ------------------------------------------------------------------------------------ */

static void enter(void) {
    participant *me = &model.who[model.current];
    me->work(model.current);
    me->state = DONE;
    swapcontext(&me->context, &model.scheduler);
}

/* The participants that may run now, one bit for each. `last` ran before; to switch away from it while it could go on
 * is a preemption. */
static unsigned runnable(int last, int spent) {
    unsigned all = 0;
    for (int i = 0; i < model.n; i++)
        if (model.who[i].state == READY) all |= 1u << i;
    bool goes_on = last >= 0 && (all >> last & 1) != 0;
    return goes_on && spent == model.preemptions ? 1u << last : all;
}

/* No participant can go on, so time passes: end the longest nap. Returns whether there was one. */
static bool end_a_nap(void) {
    participant *longest = NULL;
    for (int i = 0; i < model.n; i++) {
        participant *p = &model.who[i];
        if (p->state == ASLEEP && p->nap && (longest == NULL || p->since < longest->since)) longest = p;
    }
    if (longest == NULL) return false;
    longest->state = READY;
    longest->over = true;
    return true;
}

/* The next decision: the recorded one, or `first`; then the other options, one bit for each, are to be tried later. */
static int decide(unsigned options, int first) {
    int i = model.length++;
    if (i >= MOST_STEPS) return first; /* the schedule is too long and will be abandoned */
    if (i >= model.replay) {
        model.chosen[i] = (unsigned char)first;
        model.rest[i] = (unsigned char)(options & ~(1u << first));
    }
    return model.chosen[i];
}

/* Run one schedule: the recorded decisions, and then each participant for as long as it can go on. Returns whether all
 * ended. */
static bool run_one(void) {
    model.now = 0;
    for (int i = 0; i < model.n; i++) {
        participant *p = &model.who[i];
        p->state = READY;
        getcontext(&p->context);
        p->context.uc_stack.ss_sp = p->stack;
        p->context.uc_stack.ss_size = sizeof p->stack;
        makecontext(&p->context, enter, 0);
    }
    int last = -1, spent = 0;
    forget_all();
    model.wrong = false;
    model.length = 0;
    model.running = true;
    for (int i = 0; i < MOST_STEPS && model.length < MOST_STEPS; i++) {
        unsigned may = runnable(last, spent);
        if (may == 0 && end_a_nap()) may = runnable(last, spent);
        if (may == 0) break;
        int who = decide(may, last >= 0 && (may >> last & 1) != 0 ? last : __builtin_ctz(may));
        if (last >= 0 && who != last && model.who[last].state == READY) spent++;
        last = model.current = who;
        model.steps++;
        swapcontext(&model.scheduler, &model.who[who].context);
    }
    model.running = false;
    model.schedules++;
    for (int i = 0; i < model.n; i++)
        if (model.who[i].state != DONE) return false;
    return true;
}

/* Go on to the next schedule: change the last decision that has options to be tried. Returns false if there is none. */
static bool another(void) {
    for (int i = (model.length < MOST_STEPS ? model.length : MOST_STEPS) - 1; i >= 0; i--)
        if (model.rest[i] != 0) {
            model.chosen[i] = (unsigned char)__builtin_ctz(model.rest[i]);
            model.rest[i] &= (unsigned char)(model.rest[i] - 1);
            model.replay = i + 1;
            return true;
        }
    return false;
}

/* The results of all schedules. `prepare` restores the initial state; `right` judges the final state. */
typedef struct verdicts {
    uint64_t stuck, raced, wrong; /* a participant can never go on; unordered plain copies; a wrong end */
} verdicts;

static verdicts run_all(void (*prepare)(void), bool (*right)(void)) {
    verdicts v = {0};
    model.replay = 0;
    model.schedules = model.steps = 0;
    do {
        prepare();
        bool ended = run_one();
        v.stuck += !ended;
        v.raced += memory.raced;
        v.wrong += model.wrong || (ended && !right());
    } while (another());
    return v;
}

#endif
