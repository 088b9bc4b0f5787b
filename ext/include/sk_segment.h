/* One segment: its header, its mappings, and its life from birth to the last one out.
 *
 *   offset        what                                                    written by
 *   0             sk_header: kind, geometry, checksum; magic last         the creator, once, before the file has a name
 *   SK_SEATS_AT   seat table, `seats` entries of 16 bytes                 whoever holds the seat's lock byte
 *   meta          the structure's own description (dtype, names)         the creator, once
 *   body          the structure                                          its kernel
 *
 * Birth: an unnamed file is reserved, written, sat in, and then given its name in one step (sk_file_publish commits).
 * A death before leaves nothing at all; after it there is a whole segment with one (dead) seat.
 * Life: while any lock byte is held. Whoever leaves unlocks its byte and tries the whole range; the one
 * who gets it removes the name, unless the segment is persistent. A death in between leaves a name with no lock
 * byte held: an orphan, which attachers refuse and sweepers remove in the same way. */
#ifndef SK_SEGMENT_H
#define SK_SEGMENT_H

#include <stddef.h>
#include <string.h>

#include "sk_lock.h"

#define SK_MAGIC 0x32544b4445524853u /* "SHREDKT2" */
#define SK_LAYOUT 1u
#define SK_SEATS_AT 256u
#define SK_PERSIST 1u /* flag: lives until it is unlinked */
#define SK_PAGE 4096u
#define SK_PARAMS 6
#define SK_SMALLEST SK_PAGE
#define SK_LARGEST SK_BYTES

typedef struct sk_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t kind;             /* which structure; segments.py knows the names */
    uint32_t flags;            /* SK_PERSIST */
    uint32_t seats;
    uint64_t size;             /* bytes at birth; the file never shrinks */
    uint64_t meta, meta_len;   /* where the description is */
    uint64_t body;             /* where the structure is */
    uint64_t param[SK_PARAMS]; /* what the structure was made with */
    uint64_t created_ns;       /* wall clock */
    uint64_t check;            /* over all of the above but the magic, and the description */
} sk_header;
_Static_assert(sizeof(sk_header) <= SK_SEATS_AT, "the seat table comes after the header");

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

static inline const sk_header *sk_header_of(const sk_segment *s) { return &s->header; }
static inline void *sk_body_of(const sk_segment *s) { return s->base + s->header.body; }

static inline uint64_t sk_round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static inline uint64_t sk_fnv(uint64_t sum, const void *bytes, uint64_t len) {
    const unsigned char *p = bytes;
    for (uint64_t i = 0; i < len; i++) sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static inline uint64_t sk_header_check(const sk_header *h, const unsigned char *base) {
    uint64_t from = offsetof(sk_header, layout);
    uint64_t sum = sk_fnv(0xcbf29ce484222325u, (const char *)h + from, offsetof(sk_header, check) - from);
    return sk_fnv(sum, base + h->meta, h->meta_len);
}

/* Where the body of a segment with so many seats and so long a description begins. */
static inline uint64_t sk_body_at(uint32_t seats, uint64_t meta_len) {
    return sk_round_up(SK_SEATS_AT + (uint64_t)seats * sizeof(sk_seat_entry) + meta_len, SK_LINE);
}

/* Copy the header at `base` and check the copy; afterwards it can be relied on. */
static inline int sk_header_take(sk_header *h, const unsigned char *base, uint64_t file_size) {
    if (sk_load64_acquire((const uint64_t *)(const void *)base) != SK_MAGIC) return SK_FOREIGN;
    memcpy(h, base, sizeof *h);
    if (h->layout != SK_LAYOUT) return SK_FOREIGN;
    if (h->seats < 1 || h->seats > SK_SEATS_MAX || h->size > file_size) return SK_CORRUPT;
    if (h->meta != SK_SEATS_AT + (uint64_t)h->seats * sizeof(sk_seat_entry)) return SK_CORRUPT;
    if (h->meta > h->size || h->meta_len > h->size - h->meta) return SK_CORRUPT;
    if (h->body != sk_body_at(h->seats, h->meta_len) || h->body > h->size) return SK_CORRUPT;
    return h->check == sk_header_check(h, base) ? SK_OK : SK_CORRUPT;
}

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

/* Remove the name of a segment of ours that nobody is attached to and that was not to persist. 1 when it was
 * removed, 0 when it is not for us to remove, or a negative errno. */
static inline int sk_segment_sweep(const char *path) {
    int fd = sk_file_open(path);
    if (fd < 0) return fd;
    sk_header h;
    bool orphan = sk_file_peek(fd, &h, sizeof h) && h.magic == SK_MAGIC && !(h.flags & SK_PERSIST);
    int rc = orphan && sk_segment_unused(fd) && sk_segment_remove_unused(fd, path);
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
