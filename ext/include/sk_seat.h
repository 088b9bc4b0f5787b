/* Seats: who is attached to a segment, vouched for by the system and not by a pid.
 *
 * A process that attaches takes one seat: an open-file-description write lock on one byte of the segment's
 * own file, far beyond its end, and the next epoch of that seat. The system drops the lock with the
 * last descriptor, whatever ends the process, before anybody reaps it; pids are for people to read.
 *
 *   owner word   31      30 .. 10     9 .. 0
 *                flag    epoch        seat          0: nobody. Epochs start at 1.
 *   dead         the seat's epoch has moved on, or its byte is not locked
 *
 *   lock bytes   SK_BYTES + seat                     one a seat
 *                SK_BYTES + SK_TRANSIT + random      handles on their way to a child that is being started
 *                SK_BYTES, SK_BYTES_ALL              the whole range: the one that may remove the file
 *
 * After a fork the child shares the parent's open file: it must open anew and sit for itself. */
#ifndef SK_SEAT_H
#define SK_SEAT_H

#include "sk_atomic.h"
#include "sk_platform.h"
#include "sk_status.h"

#define SK_SEAT_BITS 10u
#define SK_SEATS_MAX ((1u << SK_SEAT_BITS) - 1u)
#define SK_EPOCH_MASK ((1u << 21) - 1u)
#define SK_OWNER_MASK 0x7fffffffu

#define SK_BYTES ((uint64_t)1 << 40)
#define SK_TRANSIT ((uint64_t)1 << 20)
#define SK_BYTES_ALL ((uint64_t)1 << 21)

/* Written by whoever holds the seat's byte. */
typedef struct sk_seat_entry {
    uint32_t epoch;    /* how often the seat was taken; stored last */
    uint32_t pid;      /* of the last one who sat, in its own pid namespace: for people */
    uint64_t since_ns; /* wall clock */
} sk_seat_entry;
_Static_assert(sizeof(sk_seat_entry) == 16, "seat entries are part of the format");

/* One process's place in one segment. */
typedef struct sk_seats {
    int fd;               /* the open file whose lock is the seat */
    uint64_t file[2];     /* its identity: a program that closes all descriptors hands their numbers to others */
    uint32_t count;
    uint32_t me;          /* owner word: epoch and seat */
    sk_seat_entry *table; /* shared */
} sk_seats;

static inline uint32_t sk_owner_seat(uint32_t owner) { return owner & SK_SEATS_MAX; }
static inline uint32_t sk_owner_epoch(uint32_t owner) { return (owner & SK_OWNER_MASK) >> SK_SEAT_BITS; }

/* Whether the descriptor is still ours. */
static inline bool sk_seat_fd_is_ours(const sk_seats *s) {
    uint64_t now[2];
    if (s->fd < 0) return false;
    sk_file_identity(s->fd, now);
    return now[0] == s->file[0] && now[1] == s->file[1];
}

/* Take a free seat. SK_BUSY: somebody is just deciding whether to remove the file; ask again. */
static inline int sk_seat_take(sk_seats *s) {
    if (sk_file_holder(s->fd, SK_BYTES, s->count) > 1) return SK_BUSY;
    for (uint32_t seat = 0; seat < s->count; seat++) {
        int rc = sk_file_lock(s->fd, SK_BYTES + seat, 1);
        if (rc == -EAGAIN) continue;
        if (rc != 0) {
            errno = -rc;
            return SK_SYSTEM;
        }
        sk_seat_entry *entry = &s->table[seat];
        uint32_t epoch = (sk_load32_relaxed(&entry->epoch) + 1) & SK_EPOCH_MASK;
        if (epoch == 0) epoch = 1;
        sk_store32_relaxed(&entry->pid, sk_pid());
        sk_store64_relaxed(&entry->since_ns, sk_wall_ns());
        sk_store32_release(&entry->epoch, epoch); /* commits: words of the seat's earlier owners are dead now */
        s->me = epoch << SK_SEAT_BITS | seat;
        return SK_OK;
    }
    return sk_file_holder(s->fd, SK_BYTES, s->count) > 1 ? SK_BUSY : SK_NO_SEAT;
}

/* Whether the process that `owner` names still lives. Never "dead" on a guess: a stopped or starved owner lives. */
static inline bool sk_seat_lives(const sk_seats *s, uint32_t owner) {
    owner &= SK_OWNER_MASK;
    if (owner == s->me) return true;
    uint32_t seat = sk_owner_seat(owner);
    if (seat >= s->count) return false;
    if (sk_load32_acquire(&s->table[seat].epoch) != sk_owner_epoch(owner)) return false;
    return sk_file_holder(s->fd, SK_BYTES + seat, 1) != 0 || !sk_seat_fd_is_ours(s);
}

/* Whether somebody sits on this seat now; for listings. */
static inline bool sk_seat_taken(const sk_seats *s, uint32_t seat) {
    if (s->me != 0 && seat == sk_owner_seat(s->me)) return true;
    return sk_file_holder(s->fd, SK_BYTES + seat, 1) != 0;
}

#endif
