/* Seats: which processes use a segment. They are known by locks that the system keeps, not by pids.
 *
 * A process takes a seat when it first uses a segment in a way that needs one. To take a seat, the process puts an
 * open-file-description write lock on that seat's byte in the segment's own file (far beyond its end), and then stores
 * the seat's next epoch. A mapping of one page, which no child inherits, keeps the open file and so the lock; the
 * process closes the descriptor at once. The system frees the lock together with the mapping: at exec, and when the
 * process ends, however it ends. At the end of a process this happens before its parent reaps it. A program that closes
 * all its descriptors (every daemoniser does) keeps its seat. A forked child does not inherit the mapping. So the
 * parent's seat becomes free when the parent dies, even after a fork that Python did not notice.
 *
 *   owner word   31      30 .. 10     9 .. 0
 *                flag    epoch        seat          0: no owner. Epochs start at 1.
 *   dead         the seat's epoch has moved on, or its byte is not locked
 *   retired      a seat whose epoch is SK_EPOCH_LAST is never taken again, so no owner word is ever used twice
 *
 *   lock bytes   SK_BYTES + seat     write lock: the process on that seat
 *                SK_PRESENCE         read lock: held as long as a process has the data mapped; children inherit it
 *                                    (sk_segment.h); write lock: the process that may remove the file
 *                SK_NAMING           write lock: the process that may unlink or rename the file
 *
 * To ask whether an owner lives, a process opens the file by its name and compares device and inode (3 us). It keeps
 * the last such file open for the next question (1 us), and closes it when it leaves that segment. A process that has
 * no descriptor left asks in a thread with a descriptor table of its own. A process that cannot ask assumes that every
 * owner lives: it waits, and takes nothing over on a guess.
 *
 * Another thread may close our descriptors at any time (by os.closerange, for example), and the system may give their
 * numbers to other files. So before this code closes a descriptor, and before it relies on the result of an operation
 * through it, it checks that the descriptor still leads to the file. If it does not, the operation is repeated.
 *
 * Deaths. If a process dies before it has stored the epoch, nothing has happened. If it dies between that store and the
 * store of the owner word in the identity, no other thread or process has seen the owner word. */
#ifndef SK_SEAT_H
#define SK_SEAT_H

#include <string.h>

#include "core/sk_process.h"
#include "platform/sk_status.h"

#define SK_SEAT_BITS 10u
#define SK_SEATS_MAX ((1u << SK_SEAT_BITS) - 1u)
#define SK_EPOCH_LAST ((1u << 21) - 1u)
#define SK_OWNER_MASK 0x7fffffffu
#define SK_PAGE 4096u

#define SK_BYTES ((uint64_t)1 << 40)
#define SK_PRESENCE (SK_BYTES + ((uint64_t)1 << 20))
#define SK_NAMING (SK_PRESENCE + 1)

#define SK_HIDDEN ".sk_"

/* Written by the process that holds the seat's byte. */
typedef struct sk_seat_entry {
    uint32_t epoch;   /* how often the seat was taken; stored first */
    uint32_t pid;     /* of the last process that took the seat, in its own pid namespace: for statistics and pidfds */
    uint64_t started; /* when that process began (clock ticks since boot), to check a pidfd; 0: not known */
} sk_seat_entry;
_Static_assert(sizeof(sk_seat_entry) == 16, "seat entries are part of the format");

/* One process's view of the seats of one segment. */
typedef struct sk_seats {
    sk_process *process;
    sk_identity *id;      /* this process's identity; NULL: it only reads the segment */
    uint64_t file[2];     /* device and inode of the segment's file */
    uint32_t count;
    sk_seat_entry *table; /* shared */
    const char *path;     /* the file's name while it has one */
    bool reads;           /* this process opens the file for reading only: see sk_copy.h */
} sk_seats;

static inline uint32_t sk_owner_seat(uint32_t owner) { return owner & SK_SEATS_MAX; }
static inline uint32_t sk_owner_epoch(uint32_t owner) { return (owner & SK_OWNER_MASK) >> SK_SEAT_BITS; }

static inline uint32_t sk_seats_me(const sk_seats *s) { return s->id == NULL ? 0 : sk_load32_relaxed(&s->id->me); }

/* --- the file, by name --------------------------------------------------------------------------- */

/* The hidden name of a file. A file that is unlinked while it is in use gets this name, so that its users can still
 * open it. */
static inline void sk_hidden_path(char hidden[SK_PATH], const char *path, const uint64_t file[2]) {
    const char *slash = strrchr(path, '/');
    int folder = slash == NULL ? 0 : (int)(slash - path + 1);
    snprintf(hidden, SK_PATH, "%.*s" SK_HIDDEN "%llx", folder, path, (unsigned long long)file[1]);
}

/* Open the segment's file. Returns the descriptor, with the name that led to the file in `name`, or a negative
 * errno; -ENOENT: no name leads to it. The caller holds the fork lock until it has closed the descriptor. */
static inline int sk_seats_open_as(const sk_seats *s, char name[SK_PATH], bool reads) {
    int fd = -ENOENT, reason = ENOENT;
    snprintf(name, SK_PATH, "%s", s->path);
    for (int hidden = 0; hidden < 2; hidden++) {
        if (hidden) sk_hidden_path(name, s->path, s->file);
        sk_file file;
        int retries = 0;
        do fd = reads ? sk_file_open_to_read(name) : sk_file_open(name);
        while (fd >= 0 && sk_file_look(fd, &file) != 0 && retries++ < SK_CLOSED_RETRIES); /* another thread closed it */
        if (fd >= 0 && sk_same_file(file.id, s->file)) return fd;
        if (fd >= 0) sk_close_if_same_file(fd, file.id);
        else if (fd != -ENOENT) reason = -fd; /* for example EACCES: this may still be the right file */
        if (fd == -EMFILE || fd == -ENFILE) break;
    }
    sk_trouble *trouble = &s->process->trouble;
    trouble->thread = sk_thread();
    trouble->reason = reason;
    snprintf(trouble->path, SK_PATH, "%s", s->path);
    return -reason;
}

static inline int sk_seats_open(const sk_seats *s, char name[SK_PATH]) { return sk_seats_open_as(s, name, s->reads); }

/* The same only to ask about locks: for reading. Closing such a descriptor tells no one that a seat may be free
 * (sk_closings_add). */
static inline int sk_seats_open_to_ask(const sk_seats *s, char name[SK_PATH]) { return sk_seats_open_as(s, name, true); }

/* --- taking a seat ------------------------------------------------------------------------------- */

/* Take `seat`, whose byte this open file has just locked. Store the next epoch at once: until then an owner that died
 * on this seat looks alive to others. */
static inline int sk_seat_sit(sk_seats *s, int fd, uint32_t seat, uint64_t started) {
    sk_seat_entry *entry = &s->table[seat];
    uint32_t epoch = sk_load32_relaxed(&entry->epoch) + 1;
    sk_store32_seq_cst(&entry->epoch, epoch); /* commits: the owner words of earlier owners of this seat are dead now */
    sk_store32_release(&entry->pid, sk_pid());    /* N1: after the epoch; pairs with M1 */
    sk_store64_release(&entry->started, started); /* N1 */
    sk_fence_seq_cst(); /* a process that reads the new owner word anywhere also sees this epoch */
    void *pin = sk_map_pin(fd, SK_PAGE);
    if (!sk_leads_to(fd, s->file)) {
        if (pin != NULL) sk_unmap(pin, SK_PAGE);
        return SK_BUSY;
    }
    if (pin == NULL) return SK_NO_MAPPING; /* the seat is free again, and one epoch is lost */
    s->id->pin = pin;
    sk_store32_release(&s->id->me, epoch << SK_SEAT_BITS | seat);
    return SK_OK;
}

/* Take the first free seat. SK_BUSY: another thread closed the descriptor meanwhile. */
static inline int sk_seat_find(sk_seats *s, uint64_t started) {
    char name[SK_PATH];
    int fd = sk_seats_open(s, name), rc = SK_NO_SEAT;
    if (fd < 0) {
        errno = -fd;
        return SK_SYSTEM;
    }
    for (uint32_t seat = 0; seat < s->count && rc == SK_NO_SEAT; seat++) {
        if (sk_load32_relaxed(&s->table[seat].epoch) >= SK_EPOCH_LAST) continue; /* retired */
        int locked = sk_file_lock(fd, SK_BYTES + seat, 1);
        if (locked == -EAGAIN) continue;
        if (locked == 0) rc = sk_seat_sit(s, fd, seat, started);
        else {
            errno = -locked;
            rc = SK_SYSTEM;
        }
    }
    int reason = errno;
    if (!sk_close_if_same_file(fd, s->file) && rc != SK_OK) rc = SK_BUSY;
    errno = reason;
    return rc;
}

/* Take a free seat, if this process has none. SK_OK; SK_NO_SEAT; SK_NO_MAPPING; SK_SYSTEM (errno). */
static inline int sk_seat_take(sk_seats *s) {
    if (s->id == NULL) return SK_NO_SEAT;
    sk_private_lock(&s->process->fork_lock);
    int rc = SK_BUSY;
    uint64_t started = sk_process_started(s->process);
    for (int retries = 0; rc == SK_BUSY && retries < SK_CLOSED_RETRIES; retries++)
        rc = sk_seats_me(s) != 0 ? SK_OK : sk_seat_find(s, started); /* another thread may have taken one meanwhile */
    sk_private_unlock(&s->process->fork_lock);
    return rc;
}

/* Find the process that `owner` names, dead or alive: *pid and *started. Returns false if another process has taken the
 * seat since, or is taking it now: then nobody knows any more. */
static inline bool sk_seat_names(const sk_seats *s, uint32_t owner, uint32_t *pid, uint64_t *started) {
    uint32_t seat = sk_owner_seat(owner);
    if (seat >= s->count) return false;
    const sk_seat_entry *entry = &s->table[seat];
    sk_fence_acquire(); /* the fence in sk_seat_sit came before the owner word, which may have been read relaxed */
    *pid = sk_load32_acquire(&entry->pid);         /* M1: if it is the next process's, so is the epoch */
    *started = sk_load64_acquire(&entry->started); /* M1 */
    return sk_load32_relaxed(&entry->epoch) == sk_owner_epoch(owner);
}

/* Give the seat up. */
static inline void sk_seat_detach(sk_seats *s) {
    if (s->id == NULL || s->id->pin == NULL) return;
    sk_store32_relaxed(&s->id->me, 0);
    sk_unmap(s->id->pin, SK_PAGE);
    s->id->pin = NULL;
}

/* --- asking whether owners live -------------------------------------------------------------------- */

/* Asks about several owners of one segment; it holds the fork lock from the first question to sk_asker_end. */
typedef struct sk_asker {
    const sk_seats *seats;
    bool asking;
} sk_asker;

static inline sk_asker sk_ask(const sk_seats *s) { return (sk_asker){s, false}; }

static inline void sk_asker_end(sk_asker *a) {
    if (a->asking) sk_private_unlock(&a->seats->process->fork_lock);
    a->asking = false;
}

/* The descriptor through which to ask, or a negative errno. Opens the file if `anew`, or if no descriptor is kept open
 * for this file. */
static inline int sk_asker_through(const sk_seats *s, bool anew) {
    sk_process *p = s->process;
    char name[SK_PATH];
    if (p->asker >= 0 && !anew && sk_same_file(p->asker_file, s->file)) return p->asker;
    sk_process_close_asker(p);
    int fd = sk_seats_open_to_ask(s, name);
    if (fd < 0) return fd;
    memcpy(p->asker_file, s->file, sizeof p->asker_file);
    return p->asker = fd;
}

/* The question whether a process holds the seat; sk_question_put opens the file, asks and closes the file. */
typedef struct sk_question {
    const sk_seats *seats;
    uint32_t seat;
    int held;
} sk_question;

static inline void sk_question_put(void *at) {
    sk_question *question = at;
    char name[SK_PATH];
    int fd = sk_seats_open_to_ask(question->seats, name);
    if (fd < 0) return;
    question->held = sk_file_holder(fd, SK_BYTES + question->seat, 1);
    sk_file_close(fd);
}

/* Every SK_ASKS_A_CHECK-th answer "held" is verified to come from the right file; every answer "not held" is. */
#define SK_ASKS_A_CHECK 16u

/* Whether a process holds the seat now. True also if the system cannot be asked. */
static inline bool sk_asker_taken(sk_asker *a, uint32_t seat) {
    const sk_seats *s = a->seats;
    uint32_t me = sk_seats_me(s);
    if (me != 0 && seat == sk_owner_seat(me)) return true;
    if (!a->asking) sk_private_lock(&s->process->fork_lock);
    a->asking = true;
    for (int tries = 0; tries < 2; tries++) {
        int fd = sk_asker_through(s, tries > 0);
        if (fd == -EMFILE || fd == -ENFILE) {
            sk_question question = {s, seat, 1};
            sk_with_descriptors(sk_question_put, &question);
            return question.held != 0;
        }
        if (fd < 0) break;
        int held = sk_file_holder(fd, SK_BYTES + seat, 1);
        if (held > 0 && ++s->process->asks % SK_ASKS_A_CHECK != 0) return true;
        if (sk_leads_to(fd, s->file)) return held != 0;
    }
    return true;
}

/* Whether the process that `owner` names still lives. "Dead" is never a guess: a stopped or starved owner lives. */
static inline bool sk_asker_lives(sk_asker *a, uint32_t owner) {
    const sk_seats *s = a->seats;
    owner &= SK_OWNER_MASK;
    uint32_t seat = sk_owner_seat(owner), me = sk_seats_me(s);
    if (me != 0 && owner == me) return true;
    if (seat >= s->count || sk_load32_acquire(&s->table[seat].epoch) != sk_owner_epoch(owner)) return false;
    return sk_asker_taken(a, seat);
}

/* Whether the process that `owner` names still lives, for a caller that asks about one owner only. */
static inline bool sk_seat_lives(const sk_seats *s, uint32_t owner) {
    sk_asker asker = sk_ask(s);
    bool lives = sk_asker_lives(&asker, owner);
    sk_asker_end(&asker);
    return lives;
}

#endif
