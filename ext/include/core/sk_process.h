/* State that exists once for each process: identities, which no child inherits, and the fork lock, which delays a fork
 * while a file is open.
 *
 * An identity says which owner this process is in one segment. It lies in memory that the system wipes in the child of
 * every fork, even of a fork that C code makes and Python does not notice. So the child finds that it has no seat yet,
 * and takes its own seat when it first needs one. Identities are allotted from arenas, because a page for each would
 * cost a mapping for each.
 *
 * A thread holds the fork lock from the opening of a file to its closing: a child forked in between would share the
 * open file, and with it a lock that must end with this process. The C library's fork() waits for the fork lock. So a
 * thread that holds it waits for no other process, with one exception: sk_segment_sweep waits up to 0.2 s for a process
 * that is deciding whether to remove the segment. A long operation keeps its file open without the fork lock; the child
 * of a fork closes that file (sk_loose). */
#ifndef SK_PROCESS_H
#define SK_PROCESS_H

#include "platform/sk_atomic.h"
#include "platform/sk_platform.h"

/* One process in one segment. All of it is 0 in the child of a fork. */
typedef struct sk_identity {
    uint32_t me;          /* owner word: epoch and seat; 0: no seat yet */
    uint32_t remapping;   /* 1 while a thread of this process maps the grown file */
    void *pin;            /* the mapping that holds the seat */
    unsigned char line[SK_LINE / 2 - 16];
} sk_identity;
_Static_assert(sizeof(sk_identity) == 64, "identities of busy segments keep their cache lines to themselves");

#define SK_IDENTITIES 65536u /* of one arena */
#define SK_ARENAS 16u
#define SK_ARENA_WORDS (SK_IDENTITIES / 64)
#define SK_PATH 512u /* longer than any path that segments.py accepts */

/* A file that stays open without the fork lock, for a long operation; the child of a fork closes it. */
typedef struct sk_loose {
    int fd;
    uint64_t file[2];
    struct sk_loose *next;
} sk_loose;

/* Why a segment's file could not be opened, for the exception that follows in the same thread. */
typedef struct sk_trouble {
    uint64_t thread;
    int reason; /* errno, or 0 */
    char path[SK_PATH];
} sk_trouble;

typedef struct sk_process {
    sk_private fork_lock;
    sk_loose *loose;
    sk_trouble trouble;
    uint64_t proven_device;  /* last device where sk_segment_prove saw a mapping keep its file's lock; 0: none yet */
    bool fork_handlers;      /* the handlers of forks are installed: forks wait for the fork lock */
    bool wiped;              /* the system wipes the arenas; otherwise the handler of forks does */
    uint32_t forks;          /* how often this process has forked */
    uint32_t pid;            /* `started` is the start time of the process with this pid */
    uint64_t started;
    int asker;               /* descriptor for the next question of sk_seat.h, the only one that stays open; -1: none */
    uint64_t asker_file[2];  /* the file of `asker`, unless other code has closed it and its number is in use again */
    uint32_t asks;           /* answers "held" so far: sk_seat.h checks some of them */
    sk_identity *arena[SK_ARENAS]; /* made when the earlier ones are full */
    uint64_t used[SK_ARENAS * SK_ARENA_WORDS];
    uint32_t hint;           /* the word of `used` to search first */
} sk_process;

static sk_process sk_this_process = {.fork_lock = SK_PRIVATE_INIT, .asker = -1};

static inline bool sk_same_file(const uint64_t a[2], const uint64_t b[2]) { return a[0] == b[0] && a[1] == b[1]; }

/* Whether the descriptor leads to this file. */
static inline bool sk_leads_to(int fd, const uint64_t id[2]) {
    sk_file file;
    return sk_file_look(fd, &file) == 0 && sk_same_file(file.id, id);
}

/* How often to retry an operation that failed because another thread closed our descriptor (by os.closerange, for
 * example). */
#define SK_CLOSED_RETRIES 1000

/* Close the descriptor if it still leads to this file. Returns false if another thread has closed it: its number may
 * belong to another file by now, and operations through the descriptor may have reached that other file. */
static inline bool sk_close_if_same_file(int fd, const uint64_t id[2]) {
    if (!sk_leads_to(fd, id)) return false;
    sk_file_close(fd);
    return true;
}

static inline void sk_process_before_fork(void) { sk_private_lock(&sk_this_process.fork_lock); }

static inline void sk_process_in_parent(void) {
    sk_this_process.forks++;
    sk_private_unlock(&sk_this_process.fork_lock);
}

static inline void sk_process_in_child(void) {
    sk_private_init(&sk_this_process.fork_lock);
    sk_this_process.forks++;
    for (sk_loose *loose = sk_this_process.loose; loose != NULL; loose = loose->next)
        sk_close_if_same_file(loose->fd, loose->file);
    sk_this_process.loose = NULL;
    sk_this_process.asks = 0; /* tests that single-step a child need the same steps each time */
    for (uint32_t i = 0; i < SK_ARENAS && !sk_this_process.wiped; i++)
        if (sk_this_process.arena[i] != NULL) memset(sk_this_process.arena[i], 0, SK_IDENTITIES * sizeof(sk_identity));
}

/* Under the fork lock: make sure that the arena exists and that forks wait. */
static inline bool sk_process_ready(sk_process *p, uint32_t arena) {
    if (p->arena[arena] == NULL) p->arena[arena] = sk_wiped(SK_IDENTITIES * sizeof(sk_identity), &p->wiped);
    if (!p->fork_handlers)
        p->fork_handlers = sk_before_fork(sk_process_before_fork, sk_process_in_parent, sk_process_in_child) == 0;
    return p->arena[arena] != NULL && p->fork_handlers;
}

/* An unused identity, all 0; NULL when there are none left. */
static inline sk_identity *sk_identity_new(sk_process *p) {
    const uint32_t words = SK_ARENAS * SK_ARENA_WORDS;
    sk_identity *found = NULL;
    sk_private_lock(&p->fork_lock);
    for (uint32_t i = 0; found == NULL && i < words; i++) {
        uint32_t word = (p->hint + i) % words;
        if (~p->used[word] == 0) continue;
        if (!sk_process_ready(p, word / SK_ARENA_WORDS)) break;
        uint32_t bit = (uint32_t)__builtin_ctzll(~p->used[word]);
        p->used[word] |= (uint64_t)1 << bit;
        p->hint = word;
        found = &p->arena[word / SK_ARENA_WORDS][word % SK_ARENA_WORDS * 64 + bit];
        memset(found, 0, sizeof *found);
    }
    sk_private_unlock(&p->fork_lock);
    return found;
}

static inline void sk_identity_drop(sk_process *p, sk_identity *id) {
    sk_private_lock(&p->fork_lock);
    uint32_t arena = 0;
    while (id < p->arena[arena] || id >= p->arena[arena] + SK_IDENTITIES) arena++; /* it is in one of them */
    uint32_t i = arena * SK_IDENTITIES + (uint32_t)(id - p->arena[arena]);
    p->used[i / 64] &= ~((uint64_t)1 << i % 64);
    p->hint = i / 64;
    sk_private_unlock(&p->fork_lock);
}

/* Why the opening of a file failed the last time; `thread` says in which thread. */
static inline sk_trouble sk_process_trouble(sk_process *p) {
    sk_private_lock(&p->fork_lock);
    sk_trouble trouble = p->trouble;
    sk_private_unlock(&p->fork_lock);
    return trouble;
}

/* Release the fork lock although a file is open, until sk_process_tie takes it again. The caller holds the fork lock.
 * Until sk_process_tie it takes no lock on the file, because the child of a fork would share that lock. */
static inline void sk_process_loose(sk_process *p, sk_loose *loose) {
    loose->next = p->loose;
    p->loose = loose;
    sk_private_unlock(&p->fork_lock);
}

static inline void sk_process_tie(sk_process *p, sk_loose *loose) {
    sk_private_lock(&p->fork_lock);
    for (sk_loose **at = &p->loose; *at != NULL; at = &(*at)->next)
        if (*at == loose) {
            *at = loose->next;
            break;
        }
}

/* Under the fork lock: close the descriptor `asker`. */
static inline void sk_process_close_asker(sk_process *p) {
    if (p->asker >= 0) sk_close_if_same_file(p->asker, p->asker_file);
    p->asker = -1;
}

/* When this process began: see sk_start_time. */
static inline uint64_t sk_process_started(sk_process *p) {
    if (p->pid != sk_pid()) {
        p->started = sk_start_time();
        p->pid = sk_pid();
    }
    return p->started;
}

#endif
