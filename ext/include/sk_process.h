/* What a process has once: identities that no child inherits, and a gate that keeps forks out of half-made things.
 *
 * An identity says who this process is in one segment. It lies in memory that the system wipes in the child of a fork,
 * also of a fork that only a C library knows of: the child reads that it is nobody yet, and takes a seat of its own when it
 * first needs one. Identities are allotted from one arena, because a page each would cost a mapping each.
 *
 * Between the opening of a file and its closing the gate is closed: a fork in the midst would share the open file, and
 * with it a lock that must end with this process. The C library's fork() waits at the gate; nothing in there can wait. */
#ifndef SK_PROCESS_H
#define SK_PROCESS_H

#include "sk_atomic.h"
#include "sk_platform.h"

/* One process in one segment. All of it is 0 in the child of a fork. */
typedef struct sk_identity {
    uint32_t me;          /* owner word: epoch and seat; 0: no seat yet */
    uint32_t remapping;   /* 1 while a thread of this process maps anew */
    void *pin;            /* the mapping that holds the seat */
    unsigned char line[SK_LINE / 2 - 16];
} sk_identity;
_Static_assert(sizeof(sk_identity) == 64, "identities of busy segments keep their cache lines to themselves");

#define SK_IDENTITIES 65536u

typedef struct sk_process {
    sk_private gate;
    bool watching;           /* forks wait at the gate */
    bool wiped;              /* the system wipes the arena; else the handler of forks does */
    uint32_t forks;          /* how often this process has forked */
    uint32_t pid;            /* whose start time `started` is */
    uint64_t started;
    int asker;               /* a descriptor of the file last asked about, or -1: the one that the kit keeps open, */
    uint64_t asker_file[2];  /* which is that file's as long as it leads there: others may close it, and use its number */
    uint32_t asks;
    sk_identity *identities;
    uint64_t used[SK_IDENTITIES / 64];
    uint32_t hint;           /* the word of `used` to look at first */
} sk_process;

static sk_process sk_this_process = {.gate = SK_PRIVATE_INIT, .asker = -1};

static inline void sk_process_before_fork(void) { sk_private_enter(&sk_this_process.gate); }

static inline void sk_process_in_parent(void) {
    sk_this_process.forks++;
    sk_private_leave(&sk_this_process.gate);
}

static inline void sk_process_in_child(void) {
    sk_private_init(&sk_this_process.gate);
    sk_this_process.forks++;
    if (sk_this_process.identities != NULL && !sk_this_process.wiped)
        memset(sk_this_process.identities, 0, SK_IDENTITIES * sizeof(sk_identity));
}

/* Under the gate: the arena is there, and forks wait. */
static inline bool sk_process_ready(sk_process *p) {
    if (p->identities == NULL) p->identities = sk_wiped(SK_IDENTITIES * sizeof(sk_identity), &p->wiped);
    if (!p->watching) p->watching = sk_before_fork(sk_process_before_fork, sk_process_in_parent, sk_process_in_child) == 0;
    return p->identities != NULL && p->watching;
}

/* An identity that is nobody's, all 0; NULL when there are none left. */
static inline sk_identity *sk_identity_new(sk_process *p) {
    const uint32_t words = SK_IDENTITIES / 64;
    sk_identity *found = NULL;
    sk_private_enter(&p->gate);
    for (uint32_t i = 0; sk_process_ready(p) && found == NULL && i < words; i++) {
        uint32_t word = (p->hint + i) % words;
        if (~p->used[word] == 0) continue;
        uint32_t bit = (uint32_t)__builtin_ctzll(~p->used[word]);
        p->used[word] |= (uint64_t)1 << bit;
        p->hint = word;
        found = &p->identities[word * 64 + bit];
        memset(found, 0, sizeof *found);
    }
    sk_private_leave(&p->gate);
    return found;
}

static inline void sk_identity_drop(sk_process *p, sk_identity *id) {
    uint32_t i = (uint32_t)(id - p->identities);
    sk_private_enter(&p->gate);
    p->used[i / 64] &= ~((uint64_t)1 << i % 64);
    p->hint = i / 64;
    sk_private_leave(&p->gate);
}

static inline bool sk_same_file(const uint64_t a[2], const uint64_t b[2]) { return a[0] == b[0] && a[1] == b[1]; }

/* Whether the descriptor leads to this file. */
static inline bool sk_leads_to(int fd, const uint64_t id[2]) {
    sk_file file;
    return sk_file_look(fd, &file) == 0 && sk_same_file(file.id, id);
}

/* Under the gate: keep no file open for asking. */
static inline void sk_process_ask_no_more(sk_process *p) {
    if (p->asker >= 0 && sk_leads_to(p->asker, p->asker_file)) sk_file_close(p->asker);
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
