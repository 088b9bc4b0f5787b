/* The common part of the kernel programs: checks, random numbers, and participants.
 *
 * A participant is a thread that plays a process: it has its own sk_segment, and so its own open file, seat and owner
 * word. There are two ways of mapping:
 *   own      each participant maps the file for itself, as processes do; for the address and undefined sanitizers
 *   shared   all participants use one mapping (longer than the file, so that growth needs no new mapping).
 *            ThreadSanitizer works by virtual address, so only here it sees that two participants access one byte.
 *
 * Arguments of every program:  [millis] [polling 0|1] [shared 0|1] [seed] */
#ifndef HARNESS_H
#define HARNESS_H

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/sk_segment.h"

#define CHECK(what)                                                                            \
    do {                                                                                       \
        if (!(what)) {                                                                         \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #what, errno); \
            fflush(stderr);                                                                    \
            _exit(1);                                                                          \
        }                                                                                      \
    } while (0)

#define FOLDER "/dev/shm"
#define FOR_EVER UINT64_MAX
#define SHARED_LEN ((uint64_t)1 << 28)

typedef struct options {
    uint64_t millis;
    bool polling, shared;
    uint64_t seed;
} options;

static options opt;
static char path[96];
static void *shared_at;

static inline uint64_t random_u64(uint64_t *state) { /* splitmix64 (Steele, Lea, Flood) */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline void remove_path(void) { unlink(path); }

static inline void watchdog(int signal) {
    (void)signal;
    static const char word[] = "watchdog: a wait never ended\n";
    if (write(2, word, sizeof word - 1)) {}
    unlink(path);
    _exit(3);
}

static inline void begin(int argc, char **argv, const char *name) {
    opt.millis = argc > 1 ? strtoull(argv[1], NULL, 10) : 500;
    opt.polling = argc > 2 && atoi(argv[2]) != 0;
    opt.shared = argc > 3 && atoi(argv[3]) != 0;
    opt.seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    snprintf(path, sizeof path, FOLDER "/sk_kernel_%s_%d", name, (int)getpid());
    atexit(remove_path);
    signal(SIGALRM, watchdog);
    alarm(60 + (unsigned)(opt.millis / 100));
}

/* Every other wait first waits until the thing is free, as a thread of Python does without the GIL. */
static inline bool looks_first(void) {
    static uint32_t waits;
    return sk_add32_relaxed(&waits, 1) % 2 == 0;
}

static inline uint64_t deadline_in(uint64_t millis) { return sk_now_ns() + millis * 1000000u; }

/* If opt.shared: use the mapping that all share. The participant's own mapping only keeps its presence. */
static inline void share(sk_segment *s) {
    if (!opt.shared) return;
    if (shared_at == NULL) {
        int fd = sk_segment_open(s);
        CHECK(fd >= 0 && (shared_at = sk_map(fd, SHARED_LEN)) != NULL);
        sk_segment_close(s, fd);
    }
    s->base = shared_at;
    s->view = shared_at;
    s->view_len = s->base_len = SHARED_LEN;
    s->seats.table = (sk_seat_entry *)(void *)(s->base + SK_SEATS_AT);
}

/* Take a seat. Most tests need one from the beginning. */
static inline void sit(sk_segment *s) { CHECK(sk_segment_sit(s) == SK_OK && sk_me(s) != 0); }

static inline void create(sk_segment *s, const sk_plan *plan) {
    CHECK(sk_segment_create(s, FOLDER, path, plan) == SK_OK);
    share(s);
    sit(s);
    s->waiter.polling = opt.polling;
}

static inline void attach(sk_segment *s) {
    CHECK(sk_segment_attach(s, path, SK_TRUST_OWN, true) == SK_OK);
    share(s);
    sit(s);
    s->waiter.polling = opt.polling;
}

static inline void leave(sk_segment *s) { sk_segment_abandon(s); }

/* Die, as far as other participants can tell: drop the mappings that hold seat and presence, and do nothing else. */
static inline void die(sk_segment *s) {
    sk_seat_detach(&s->seats);
    sk_segment_unmap(s);
    sk_identity_drop(s->seats.process, s->seats.id);
    s->seats.id = NULL;
}

typedef struct crew {
    pthread_t thread[32];
    int n;
} crew;

static inline void hire(crew *c, void *(*work)(void *), void *with) {
    CHECK(c->n < 32 && pthread_create(&c->thread[c->n], NULL, work, with) == 0);
    c->n++;
}

static inline void gather(crew *c) {
    while (c->n > 0) CHECK(pthread_join(c->thread[--c->n], NULL) == 0);
}

#if defined(__SANITIZE_THREAD__)
/* What a process did happens-before what others do after they have learnt of its death, because the system frees
 * its locks, and answers questions about them, under one lock. ThreadSanitizer does not know this, so tests say it. */
void __tsan_acquire(void *);
void __tsan_release(void *);
static inline void before_death(void *of) { __tsan_release(of); }
static inline void after_death(void *of) { __tsan_acquire(of); }
#else
static inline void before_death(void *of) { (void)of; }
static inline void after_death(void *of) { (void)of; }
#endif

#endif
