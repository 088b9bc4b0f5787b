/* One segment: its mappings, and its life from birth to the last one out. Its bytes are described in sk_header.h.
 *
 * Birth: an unnamed file is reserved, written, sat in, and then given its name in one step (sk_file_publish commits).
 * A death before leaves nothing at all; after it there is a whole segment with one (dead) seat.
 * Life: while any lock byte is held. Whoever leaves closes its open file, which frees its byte, and tries the whole
 * range through another; the one who gets it removes the name, unless the segment is persistent. A death in between
 * leaves a name with no lock byte held: an orphan, which attachers refuse and sweepers remove in the same way. */
#ifndef SK_SEGMENT_H
#define SK_SEGMENT_H

#include <string.h>

#include "sk_header.h"
#include "sk_wait.h"

#define SK_MAPS 48

/* A process's hold on a segment. Lives in the process; fields after `gate` change as the file grows. */
typedef struct sk_segment {
    sk_header header;    /* as it was when it was checked: what others may write into the shared one later is not read */
    sk_seats seats;
    sk_waiter waiter;
    unsigned char *base; /* first mapping: header, seats and control words; stays */
    uint64_t base_len;
    bool persist;
    uint32_t gate;       /* 1 while a thread of this process maps anew */
    void *view;          /* newest mapping */
    uint64_t view_len;
    uint32_t maps;
    struct {
        void *at;
        uint64_t len;
    } map[SK_MAPS];
    char path[272];
} sk_segment;

/* This process's owner word here; 0 while it has no seat. */
static inline uint32_t sk_me(const sk_segment *s) { return s->seats.me; }

/* Whether the process that the owner word names still lives. */
static inline bool sk_lives(const sk_segment *s, uint32_t owner) { return sk_seat_lives(&s->seats, owner); }

/* At the head of what needs an owner word: return from there with the reason where there is none. */
#define SK_SEATED(s)                                                                      \
    do {                                                                                  \
        if (__builtin_expect(sk_me(s) == 0, 0)) return SK_NO_SEAT;                        \
    } while (0)

static inline const sk_header *sk_header_of(const sk_segment *s) { return &s->header; }
static inline void *sk_body_of(const sk_segment *s) { return s->base + s->header.body; }

static inline int sk_system(int negative_errno) {
    errno = -negative_errno;
    switch (-negative_errno) {
        case ENOSPC: return SK_NO_MEMORY;
        case ENOMEM: return SK_NO_MEMORY;
        case EEXIST: return SK_EXISTS;
        case ENOENT: return SK_GONE;
        default: return SK_SYSTEM;
    }
}

/* --- mappings ---------------------------------------------------------------------------------- */

/* Map the whole file as long as it is now. Older mappings stay: other threads may be reading through them.
 * Through an open file of its own: a mapping keeps its open file alive, a forked child inherits the mapping, and the seat
 * must be freed when its process closes it or dies, whoever has the memory mapped. */
static inline int sk_segment_map(sk_segment *s) {
    if (!sk_seat_fd_is_ours(&s->seats)) return sk_system(-EBADF);
    if (s->maps == SK_MAPS) return SK_CORRUPT; /* every growth at least doubles: 48 do not fit in 2^40 bytes */
    int fd = sk_file_reopen(s->seats.fd);
    if (fd < 0) return sk_system(fd);
    int64_t size = sk_file_size(fd);
    bool fits = size >= SK_SMALLEST && (uint64_t)size <= SK_LARGEST;
    void *at = fits ? sk_map(fd, (uint64_t)size) : NULL;
    int reason = errno;
    sk_file_close(fd);
    if (!fits) return SK_FOREIGN;
    if (at == NULL) return sk_system(-reason);
    s->map[s->maps].at = at;
    s->map[s->maps].len = (uint64_t)size;
    s->maps++;
    sk_store_pointer_release(&s->view, at);
    sk_store64_release(&s->view_len, (uint64_t)size); /* R2: pairs with A2 */
    return SK_OK;
}

/* The bytes [0, end) of the file, mapped. SK_CORRUPT when the file is not that long. */
static inline int sk_segment_reach(sk_segment *s, uint64_t end, unsigned char **at) {
    while (sk_load64_acquire(&s->view_len) < end) { /* A2: the view is at least as new as its length */
        uint32_t open = 0;
        if (!sk_cas32_acquire(&s->gate, &open, 1)) {
            sk_yield();
            continue;
        }
        int rc = SK_OK;
        if (sk_load64_relaxed(&s->view_len) < end) {
            int64_t size = sk_file_size(s->seats.fd);
            rc = size < 0 || (uint64_t)size < end ? SK_CORRUPT : sk_segment_map(s);
        }
        sk_store32_release(&s->gate, 0);
        if (rc != SK_OK) return rc;
    }
    *at = sk_load_pointer_acquire(&s->view);
    return SK_OK;
}

/* Reserve memory up to `to`, or give some back; only while the descriptor is ours. */
static inline int sk_segment_reserve(const sk_segment *s, uint64_t from, uint64_t to) {
    if (!sk_seat_fd_is_ours(&s->seats)) return sk_system(-EBADF);
    int rc = sk_file_reserve(s->seats.fd, from, to);
    return rc == 0 ? SK_OK : sk_system(rc);
}

static inline void sk_segment_discard(const sk_segment *s, uint64_t from, uint64_t to) {
    if (sk_seat_fd_is_ours(&s->seats)) sk_file_discard(s->seats.fd, from, to);
}

static inline void sk_segment_unmap(sk_segment *s) {
    while (s->maps > 0) {
        s->maps--;
        sk_unmap(s->map[s->maps].at, s->map[s->maps].len);
    }
    s->base = s->view = NULL;
}

/* --- leaving ------------------------------------------------------------------------------------ */

/* Try for the whole range; with it nobody is attached and nobody can come in: remove the name if it is still ours. */
static inline bool sk_segment_remove_unused(int fd, const char *path) {
    if (sk_file_lock(fd, SK_BYTES, SK_BYTES_ALL) != 0) return false;
    return sk_file_is_at(fd, path) && sk_file_remove(path) == 0;
}

/* Whether nobody is attached to the open file. */
static inline bool sk_segment_unused(int fd) { return sk_file_holder(fd, SK_BYTES, SK_BYTES_ALL) == 0; }

/* Whether the header is whole. Another layout may keep its locks elsewhere, and a wrong check sum means that any of
 * what the header says may be wrong, also that the segment was not to persist. */
static inline bool sk_segment_is_sound(int fd) {
    sk_header h;
    int64_t size = sk_file_size(fd);
    if (size < SK_SMALLEST || (uint64_t)size > SK_LARGEST) return false;
    void *base = sk_map(fd, (uint64_t)size);
    if (base == NULL) return false;
    bool sound = sk_header_take(&h, base, (uint64_t)size) == SK_OK;
    sk_unmap(base, (uint64_t)size);
    return sound;
}

/* Remove the name of a segment of ours that nobody is attached to and that was not to persist. 1 when it was
 * removed, 0 when it is not for us to remove, or a negative errno. */
static inline int sk_segment_sweep(const char *path) {
    int fd = sk_file_open(path);
    if (fd < 0) return fd;
    sk_header h;
    bool orphan = sk_file_peek(fd, &h, sizeof h) && h.magic == SK_MAGIC && !(h.flags & SK_PERSIST) &&
                  sk_segment_unused(fd) && sk_segment_is_sound(fd);
    int rc = orphan && sk_segment_remove_unused(fd, path);
    sk_file_close(fd);
    return rc;
}

/* Stand up; the last one out removes the name. The mappings stay (views may be in use).
 * The seat is freed by closing and never by unlocking, and the whole range is asked for through an open file of its own:
 * where a fork has just shared ours, the other's seat is the same lock, and must count. */
static inline void sk_segment_leave(sk_segment *s) {
    int fd = s->seats.fd;
    bool ours = sk_seat_fd_is_ours(&s->seats);
    s->seats.fd = -1;
    if (ours) {
        int asker = s->persist || s->seats.me == 0 ? -1 : sk_file_reopen(fd);
        sk_file_close(fd);
        if (asker >= 0) {
            sk_segment_remove_unused(asker, s->path);
            sk_file_close(asker);
        }
    }
    s->seats.me = 0;
}

/* Before a death that is certain, while threads may still be inside: keep the seat, but if nobody else is attached
 * remove the name now. Our own lock becomes part of the range. */
static inline void sk_segment_leave_by_dying(const sk_segment *s) {
    if (!s->persist && s->seats.me != 0 && sk_seat_fd_is_ours(&s->seats))
        sk_segment_remove_unused(s->seats.fd, s->path);
}

static inline void sk_segment_abandon(sk_segment *s) {
    sk_segment_leave(s);
    sk_segment_unmap(s);
}

/* --- birth and attachment ------------------------------------------------------------------------ */

static inline void sk_segment_clear(sk_segment *s, const char *path) {
    memset(s, 0, sizeof *s);
    s->seats.fd = -1;
    s->waiter.patience = SK_PATIENCE_START;
    s->waiter.short_ns = SK_SHORT_PARK_NS;
    snprintf(s->path, sizeof s->path, "%s", path);
}

static inline void sk_segment_own(sk_segment *s, int fd) {
    s->seats.fd = fd;
    sk_file_identity(fd, s->seats.file);
}

static inline int sk_segment_sit(sk_segment *s) {
    s->seats.count = s->header.seats;
    s->seats.table = (sk_seat_entry *)(void *)(s->base + SK_SEATS_AT);
    for (int tries = 0;; tries++) {
        int rc = sk_seat_take(&s->seats);
        /* Whoever holds the whole range is between two system calls. Stopped right there, it keeps us out for so long. */
        if (rc != SK_BUSY || tries == 20000) return rc;
        if (tries < 64) sk_yield();
        else sk_nap(100000);
    }
}

/* What a segment is made with. The kernel's own part of the body is written by `fill` before the file gets its name. */
typedef struct sk_plan {
    uint32_t kind, flags, seats;
    uint64_t body_len;
    uint64_t param[SK_PARAMS];
    const void *meta;
    uint64_t meta_len;
    int (*fill)(sk_segment *);
} sk_plan;

static inline int sk_segment_write(sk_segment *s, const sk_plan *plan, uint64_t size) {
    sk_header *h = &s->header;
    h->layout = SK_LAYOUT;
    h->kind = plan->kind;
    h->flags = plan->flags;
    h->seats = plan->seats;
    h->size = size;
    h->meta = SK_SEATS_AT + (uint64_t)plan->seats * sizeof(sk_seat_entry);
    h->meta_len = plan->meta_len;
    h->body = sk_body_at(plan->seats, plan->meta_len);
    memcpy(h->param, plan->param, sizeof h->param);
    h->created_ns = sk_wall_ns();
    if (plan->meta_len > 0) memcpy(s->base + h->meta, plan->meta, plan->meta_len);
    h->check = sk_header_check(h, s->base);
    memcpy(s->base, h, sizeof *h);
    int rc = plan->fill == NULL ? SK_OK : plan->fill(s);
    h->magic = SK_MAGIC;
    sk_store64_release((uint64_t *)(void *)s->base, SK_MAGIC);
    return rc;
}

/* Make the segment `path` in `folder`. SK_EXISTS, SK_NO_MEMORY, SK_TOO_LARGE, SK_SYSTEM (errno); s is clear then. */
static inline int sk_segment_create(sk_segment *s, const char *folder, const char *path, const sk_plan *plan) {
    sk_segment_clear(s, path);
    if (plan->body_len > SK_LARGEST / 2 || plan->meta_len > SK_LARGEST / 4) return SK_TOO_LARGE;
    uint64_t size = sk_round_up(sk_body_at(plan->seats, plan->meta_len) + plan->body_len, SK_PAGE);
    int fd = sk_file_unborn(folder);
    if (fd < 0) return sk_system(fd);
    sk_segment_own(s, fd);
    int rc = sk_file_reserve(fd, 0, size);
    rc = rc == 0 ? sk_segment_map(s) : sk_system(rc);
    if (rc == SK_OK) {
        s->base = s->view;
        s->base_len = s->view_len;
        s->persist = (plan->flags & SK_PERSIST) != 0;
        rc = sk_segment_write(s, plan, size);
    }
    if (rc == SK_OK) rc = sk_segment_sit(s);
    if (rc == SK_OK) {
        int named = sk_file_publish(fd, path);
        if (named != 0) rc = sk_system(named);
    }
    if (rc != SK_OK) {
        int reason = errno;
        sk_file_close(fd);
        s->seats.fd = -1;
        s->seats.me = 0;
        sk_segment_unmap(s);
        errno = reason;
    }
    return rc;
}

/* Map and check; nothing is taken. */
static inline int sk_segment_look(sk_segment *s) {
    int rc = sk_segment_map(s);
    if (rc != SK_OK) return rc;
    s->base = s->view;
    s->base_len = s->view_len;
    rc = sk_header_take(&s->header, s->base, s->base_len);
    if (rc != SK_OK) return rc;
    s->persist = (s->header.flags & SK_PERSIST) != 0;
    s->seats.count = s->header.seats;
    s->seats.table = (sk_seat_entry *)(void *)(s->base + SK_SEATS_AT);
    return SK_OK;
}

static inline int sk_segment_enter(sk_segment *s) {
    int rc = sk_segment_look(s);
    if (rc != SK_OK) return rc;
    if (!s->persist && sk_segment_unused(s->seats.fd)) { /* an orphan: its life is over */
        sk_segment_remove_unused(s->seats.fd, s->path);
        return SK_GONE;
    }
    rc = sk_segment_sit(s);
    /* The last one out may have removed the name while we came in. */
    return sk_file_named(s->seats.fd) ? rc : SK_GONE;
}

/* Attach to `path`, or only map it to look (`sit` false: no lock may be taken through s then).
 * SK_GONE, SK_FOREIGN, SK_CORRUPT, SK_NO_SEAT, SK_NO_MEMORY, SK_SYSTEM (errno); s is clear then. */
static inline int sk_segment_attach(sk_segment *s, const char *path, bool sit) {
    sk_segment_clear(s, path);
    int fd = sk_file_open(path);
    if (fd < 0) return sk_system(fd);
    sk_segment_own(s, fd);
    int rc = sit ? sk_segment_enter(s) : sk_segment_look(s);
    if (rc != SK_OK) {
        int reason = errno;
        if (s->seats.me != 0) sk_segment_leave(s);
        else sk_file_close(fd);
        s->seats.fd = -1;
        sk_segment_unmap(s);
        errno = reason;
    }
    return rc;
}

/* --- fork, and handles on their way to a child ----------------------------------------------------- */

/* In the child of a fork: the open file is the parent's. Open anew, sit, then let go of the parent's. Where that fails
 * `me` stays 0, and operations answer SK_NO_SEAT. */
static inline void sk_segment_after_fork(sk_segment *s) {
    int shared = s->seats.fd;
    bool ours = sk_seat_fd_is_ours(&s->seats);
    s->gate = 0;
    s->seats.me = 0;
    s->seats.fd = -1;
    if (!ours) return;
    int fd = sk_file_reopen(shared);
    if (fd >= 0) {
        s->seats.fd = fd;
        if (sk_segment_sit(s) != SK_OK) {
            sk_file_close(fd);
            s->seats.fd = -1;
            s->seats.me = 0;
        }
    }
    sk_file_close(shared);
}

/* A descriptor that keeps the segment alive until it is closed everywhere; for a child that is being started.
 * `dice` is any random number. Answers the descriptor or a negative errno. */
static inline int sk_segment_transit(const sk_segment *s, uint64_t dice) {
    int fd = sk_seat_fd_is_ours(&s->seats) ? sk_file_reopen(s->seats.fd) : -EBADF;
    if (fd < 0) return fd;
    for (int tries = 0; tries < 64; tries++, dice = dice * 6364136223846793005u + 1442695040888963407u) {
        int rc = sk_file_lock(fd, SK_BYTES + SK_TRANSIT + (dice >> 44), 1);
        if (rc == 0) return fd;
        if (rc != -EAGAIN) break;
    }
    sk_file_close(fd);
    return -EAGAIN;
}

#endif
