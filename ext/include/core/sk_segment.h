/* One segment: its mappings, and its life from creation until the last process leaves. sk_header.h describes its bytes.
 *
 * Creation: the creator reserves and writes an anonymous file, and gives it its name in one step (sk_file_publish
 * commits). A death before that step leaves nothing at all; after it there is a whole segment.
 * Life: the first mapping of each process holds its open file, which has a read lock on SK_PRESENCE; the children of a
 * fork inherit both. No descriptor stays open, so a program may close all its descriptors. A process that needs the
 * file again (to ask, grow, leave) opens it by its name.
 * End: a process that leaves unmaps the data, opens the file and tries to take a write lock on SK_PRESENCE. If it gets
 * this lock it was the last one, and removes the name, unless the segment is persistent. If it dies before that, or if
 * the last process calls exec or _exit, the file keeps its name and no process is present: an orphan. A process that
 * attaches refuses an orphan; it and sk_segment_sweep remove the orphan by the same rule.
 * Unlinking: the file gets a hidden name (sk_hidden_path), by which the processes that use the segment still open it.
 * The last of them removes the hidden name, even if the segment is persistent. A process that unlinks or renames holds
 * SK_NAMING, so it never hits another file. */
#ifndef SK_SEGMENT_H
#define SK_SEGMENT_H

#include "core/sk_door.h"
#include "core/sk_wait.h"

/* Marks functions that are rarely called: the fast paths around them stay short, and are inlined. */
#define SK_COLD __attribute__((cold))
/* Marks functions of the fast paths. Without it the compiler inlines them or not depending on how many functions of the
 * same module call them: 10 to 20 % of a put, a get or a look-up. */
#define SK_HOT __attribute__((always_inline))

#define SK_MAPS 48

/* A segment as one process uses it; lies in the process's own memory. */
typedef struct sk_segment {
    sk_header header;    /* a checked copy: others may write into the shared header later, so it is not read again */
    sk_seats seats;
    sk_waiter waiter;
    unsigned char *base; /* first mapping: header, seats and control words; holds the presence; stays until the end */
    uint64_t base_len;   /* of a copy (sk_copy.h): as long as the file was */
    bool persist;
    bool left;           /* the process only reads the segment, or is ending: it takes no seat (any more) */
    uint32_t trust;      /* see sk_door.h */
    uint32_t forks;      /* how often the process had forked when it created or attached to the segment */
    void *view;          /* newest mapping */
    uint64_t view_len;
    uint32_t maps;
    /* A private segment (sk_private.h) has no memory for the following fields. */
    struct {
        void *at;
        uint64_t len;
    } map[SK_MAPS];
    char path[SK_PATH]; /* seats.path points here */
} sk_segment;

/* This process's owner word here; 0 while it has no seat. */
static inline uint32_t sk_me(const sk_segment *s) { return sk_load32_relaxed(&s->seats.id->me); }

/* Whether the process that the owner word names still lives. */
static inline bool sk_lives(const sk_segment *s, uint32_t owner) { return sk_seat_lives(&s->seats, owner); }

SK_COLD static inline int sk_segment_sit(const sk_segment *s) {
    if (s->left) return SK_NO_SEAT;
    sk_seats seats = s->seats; /* a copy is enough: the seat lies in the identity and in shared memory */
    return sk_seat_take(&seats);
}

/* At the beginning of each function that needs an owner word: take a seat if this process has none. If there is none to
 * take, return the reason from the function. */
#define SK_SEATED(s)                                                                      \
    do {                                                                                  \
        if (__builtin_expect(sk_me(s) == 0, 0)) {                                         \
            int no_seat = sk_segment_sit(s);                                              \
            if (no_seat != SK_OK) return no_seat;                                         \
        }                                                                                 \
    } while (0)

static inline const sk_header *sk_header_of(const sk_segment *s) { return &s->header; }
/* Whether the segment lies in memory of this process alone: see sk_private.h. */
static inline bool sk_segment_is_private(const sk_segment *s) { return s->maps == 0; }

static inline void *sk_body_of(const sk_segment *s) { return s->base + s->header.body; }

static inline int sk_system(int negative_errno) {
    errno = -negative_errno;
    switch (-negative_errno) {
        case ENOSPC:
        case EDQUOT: return SK_NO_MEMORY;
        case EFBIG: return SK_FILE_LIMIT;
        case EEXIST: return SK_EXISTS;
        default: return SK_SYSTEM;
    }
}

static inline void sk_segment_lock_forks(const sk_segment *s) { sk_private_lock(&s->seats.process->fork_lock); }
static inline void sk_segment_unlock_forks(const sk_segment *s) { sk_private_unlock(&s->seats.process->fork_lock); }

/* --- opening the file again ---------------------------------------------------------------------- */

/* Open the segment's file by its name, and hold the fork lock until sk_segment_close. Returns the descriptor; or a
 * negative errno, and then the fork lock is not held. */
static inline int sk_segment_open(const sk_segment *s) {
    char name[SK_PATH];
    sk_segment_lock_forks(s);
    int fd = sk_seats_open(&s->seats, name);
    if (fd < 0) sk_segment_unlock_forks(s);
    return fd;
}

/* Close the file and release the fork lock. Returns false if another thread had closed the descriptor: then the caller
 * must repeat its operations through it. */
static inline bool sk_segment_close(const sk_segment *s, int fd) {
    int reason = errno;
    bool whole = sk_close_if_same_file(fd, s->seats.file);
    sk_segment_unlock_forks(s);
    errno = reason;
    return whole;
}

/* Open the file for a long operation, and release the fork lock while the file is open. */
static inline int sk_segment_open_loose(const sk_segment *s, sk_loose *loose) {
    loose->fd = sk_segment_open(s);
    if (loose->fd < 0) return loose->fd;
    memcpy(loose->file, s->seats.file, sizeof loose->file);
    sk_process_loose(s->seats.process, loose);
    return 0;
}

static inline bool sk_segment_close_loose(const sk_segment *s, sk_loose *loose) {
    int reason = errno;
    sk_process_tie(s->seats.process, loose);
    errno = reason;
    return sk_segment_close(s, loose->fd);
}

/* Read the present state of the file: 0, or a negative errno. */
static inline int sk_segment_look_at(const sk_segment *s, sk_file *file) {
    int rc = -EBADF;
    for (int retries = 0; rc == -EBADF && retries < SK_CLOSED_RETRIES; retries++) {
        int fd = sk_segment_open(s);
        if (fd < 0) return fd;
        rc = sk_file_look(fd, file);
        if (!sk_segment_close(s, fd)) rc = -EBADF;
    }
    return rc;
}

/* The length of the file, or a negative errno. */
static inline int64_t sk_segment_size(const sk_segment *s) {
    sk_file file;
    int rc = sk_segment_look_at(s, &file);
    return rc < 0 ? rc : (int64_t)file.size;
}

/* How much memory is free where the file lies, in bytes. */
static inline uint64_t sk_segment_room(const sk_segment *s) {
    int fd = sk_segment_open(s);
    if (fd < 0) return 0;
    uint64_t room = sk_file_room(fd);
    sk_segment_close(s, fd);
    return room;
}

/* Whether the name still leads to the segment's file. */
static inline bool sk_segment_is_named(const sk_segment *s) {
    sk_file file;
    return sk_file_at(s->seats.path, &file) == 0 && sk_same_file(file.id, s->seats.file);
}

/* Whether any process has the segment open, this one included. */
static inline bool sk_segment_in_use(const sk_segment *s) {
    int fd = sk_segment_open(s);
    if (fd < 0) return true;
    bool used = sk_file_holder(fd, SK_PRESENCE, 1) != 0;
    sk_segment_close(s, fd);
    return used;
}

/* --- mappings ---------------------------------------------------------------------------------- */

/* Map `len` bytes of the file, or `size` if there is no room for `len`. The file is `size` bytes long now; no thread
 * touches the bytes beyond its end until it has grown. Older mappings stay, because other threads may read through
 * them. */
static inline int sk_segment_map(sk_segment *s, int fd, uint64_t size, uint64_t len) {
    if (s->maps == SK_MAPS) return SK_CORRUPT; /* every mapping is twice as long: 48 do not fit in 2^40 bytes */
    void *at = sk_map(fd, len);
    if (at == NULL && len > size) at = sk_map(fd, len = size);
    if (at == NULL) return errno == ENOMEM ? SK_NO_MAPPING : SK_SYSTEM;
    s->map[s->maps].at = at;
    s->map[s->maps].len = len;
    s->maps++;
    sk_store_pointer_release(&s->view, at);
    sk_store64_release(&s->view_len, size); /* R2: pairs with A2 */
    return SK_OK;
}

/* Map the whole file at its present length. SK_CORRUPT when it ends before `end`. */
static inline int sk_segment_remap(sk_segment *s, uint64_t end) {
    sk_file file;
    int rc = SK_BUSY;
    if (s->seats.reads) return SK_CORRUPT; /* a copy has all there was */
    for (int retries = 0; rc == SK_BUSY && retries < SK_CLOSED_RETRIES; retries++) {
        int fd = sk_segment_open(s);
        if (fd < 0) return sk_system(fd);
        bool seen = sk_file_look(fd, &file) == 0 && sk_same_file(file.id, s->seats.file);
        if (seen) rc = file.size >= end && file.size <= SK_LARGEST ? SK_OK : SK_CORRUPT;
        if (rc == SK_OK && file.size <= s->map[s->maps - 1].len) sk_store64_release(&s->view_len, file.size);
        else if (rc == SK_OK) rc = sk_segment_map(s, fd, file.size, 2 * file.size); /* twice: it may grow by pages */
        if (!sk_segment_close(s, fd) && rc == SK_SYSTEM) rc = SK_BUSY;
    }
    return rc;
}

SK_COLD static inline int sk_segment_catch_up(sk_segment *s, uint64_t end) {
    while (sk_load64_relaxed(&s->view_len) < end) {
        uint32_t open = 0, *remapping = &s->seats.id->remapping;
        if (!sk_cas32_acquire(remapping, &open, 1)) {
            sk_yield();
            continue;
        }
        int rc = sk_load64_relaxed(&s->view_len) < end ? sk_segment_remap(s, end) : SK_OK;
        sk_store32_release(remapping, 0);
        if (rc != SK_OK) return rc;
    }
    return SK_OK;
}

/* Map the bytes [0, end) of the file; *at is where they begin. SK_CORRUPT when the file is not that long. */
static inline int sk_segment_reach(sk_segment *s, uint64_t end, unsigned char **at) {
    while (__builtin_expect(sk_load64_acquire(&s->view_len) < end, 0)) { /* A2: `view` is at least as new as view_len */
        int rc = sk_segment_catch_up(s, end);
        if (rc != SK_OK) return rc;
    }
    *at = sk_load_pointer_acquire(&s->view);
    return SK_OK;
}

/* Reserve memory for the bytes [from, to). */
static inline int sk_segment_reserve(const sk_segment *s, uint64_t from, uint64_t to) {
    for (int retries = 0;; retries++) {
        sk_loose loose;
        int rc = sk_segment_open_loose(s, &loose);
        if (rc < 0) return sk_system(rc);
        rc = sk_file_reserve(loose.fd, from, to);
        if (sk_segment_close_loose(s, &loose) || retries == SK_CLOSED_RETRIES) return rc == 0 ? SK_OK : sk_system(rc);
    }
}

/* Give the memory of [from, to) back to the system. If the system cannot do that, the memory stays reserved. */
static inline void sk_segment_discard(const sk_segment *s, uint64_t from, uint64_t to) {
    if (from >= to) return;
    sk_loose loose;
    if (sk_segment_open_loose(s, &loose) < 0) return;
    sk_file_discard(loose.fd, from, to);
    sk_segment_close_loose(s, &loose);
}

static inline void sk_segment_unmap(sk_segment *s) {
    while (s->maps > 0) {
        s->maps--;
        sk_unmap(s->map[s->maps].at, s->map[s->maps].len);
    }
    s->base = s->view = NULL;
    s->view_len = 0;
}

/* --- names ---------------------------------------------------------------------------------------- */

/* If no process is present, and the name still leads to this open file, remove the name; no process can attach
 * meanwhile. 0; -EAGAIN: a process is present, or is deciding whether to remove the file; or another negative errno. */
static inline int sk_segment_remove_unused(int fd, const char *path, const uint64_t file[2]) {
    sk_file there;
    int rc = sk_file_lock(fd, SK_PRESENCE, SK_NAMING - SK_PRESENCE + 1);
    if (rc == 0) rc = sk_file_at(path, &there);
    if (rc != 0) return rc;
    return sk_same_file(there.id, file) ? sk_file_remove(path) : -ENOENT;
}

/* After the last name of a file is removed, closing the file frees its memory, which takes a second for 3 GB. So a
 * mapping, which no child inherits, keeps the file until the process has released the fork lock. */
#define SK_QUICKLY_FREED ((uint64_t)1 << 20)

static inline void *sk_keep_memory(int fd, uint64_t held) {
    return held > SK_QUICKLY_FREED ? sk_map_pin(fd, SK_PAGE) : NULL;
}

static inline void sk_free_memory(void *kept) {
    if (kept != NULL) sk_unmap(kept, SK_PAGE);
}

/* Under the fork lock: whether processes have the segment open, and none of them has the write lock. This only reads
 * the file, so that closing it does not wake the waits at the segment (sk_watch.h). */
static inline bool sk_segment_is_used(const char *path) {
    sk_file file;
    int fd = sk_file_open_to_read(path);
    if (fd < 0) return false;
    bool used = sk_file_look(fd, &file) == 0 && sk_file_holder(fd, SK_PRESENCE, 1) > 0 &&
                !sk_file_held_alone(fd, SK_PRESENCE, 1) && sk_leads_to(fd, file.id);
    sk_close_if_same_file(fd, file.id);
    return used;
}

/* Remove the segment at `path` if it belongs to our user, no process is present and it is not persistent. Returns 1
 * if it was removed, 0 if it must stay, or a status. Reads the file by pread alone. `hidden`: the segment was unlinked
 * before, so it goes even if it is persistent. */
static inline int sk_segment_sweep(sk_process *process, const char *path, bool hidden) {
    sk_file file;
    sk_header h;
    if (sk_file_at(path, &file) == 0 && (file.uid != sk_uid() || !file.regular)) return 0;
    sk_private_lock(&process->fork_lock);
    void *kept = NULL;
    if (sk_segment_is_used(path)) {
        sk_private_unlock(&process->fork_lock);
        return 0;
    }
    int fd = sk_door(path, SK_TRUST_GROUP, &file, &h), rc = fd;
    if (fd >= 0) {
        bool may = file.uid == sk_uid() && (hidden || !(h.flags & SK_PERSIST));
        int removed = may ? sk_segment_remove_unused(fd, path, file.id) : -EPERM;
        /* Another process has the write lock: between two system calls it decides whether to remove the segment. */
        for (int i = 0; removed == -EAGAIN && i < 2000 && sk_file_held_alone(fd, SK_PRESENCE, 1); i++) {
            sk_nap(100000);
            removed = sk_segment_remove_unused(fd, path, file.id);
        }
        rc = removed == 0;
        if (rc == 1) kept = sk_keep_memory(fd, file.held);
        sk_close_if_same_file(fd, file.id);
    }
    sk_private_unlock(&process->fork_lock);
    sk_free_memory(kept);
    return rc;
}

/* Under the fork lock: replace the open file's name by the hidden name, if the name still leads to that file and the
 * file is `only` (NULL: any file). */
static inline int sk_segment_hide(int fd, const char *path, const uint64_t *only, char hidden[SK_PATH]) {
    sk_file file, there;
    sk_header h;
    int rc = sk_file_lock(fd, SK_NAMING, 1);
    if (rc == 0) rc = sk_file_look(fd, &file);
    if (rc == 0) rc = sk_file_at(path, &there);
    if (rc != 0) return rc;
    if (!sk_same_file(there.id, file.id) || (only != NULL && !sk_same_file(file.id, only))) return -ENOENT;
    if (sk_header_read(&h, fd, file.size) != SK_OK) return sk_file_remove(path); /* no segment: no hidden name needed */
    sk_hidden_path(hidden, path, file.id);
    rc = sk_file_rename(path, hidden);
    return rc == -EEXIST ? sk_file_remove(path) : rc; /* another file has the hidden name: users cannot ask any more */
}

/* Unlink the segment; processes that have it open can go on using it. 0, or a negative errno: -ENOENT if there is no
 * such name, or if it leads to another file than `only`; -EAGAIN if other processes held SK_NAMING for two seconds. */
static inline int sk_segment_unname(sk_process *process, const char *path, const uint64_t *only) {
    char hidden[SK_PATH] = "";
    sk_file there, opened;
    int rc = -EAGAIN;
    for (int tries = 0; (rc == -EAGAIN || rc == -EBADF) && tries < 20000; tries++) {
        if (tries > 0 && rc == -EAGAIN) sk_nap(100000);
        rc = sk_file_at(path, &there);
        if (rc != 0 || (only != NULL && !sk_same_file(there.id, only))) return rc != 0 ? rc : -ENOENT;
        sk_private_lock(&process->fork_lock);
        int fd = rc = sk_file_open(path);
        if (fd >= 0) {
            rc = sk_file_look(fd, &opened);
            if (rc == 0) rc = sk_segment_hide(fd, path, only, hidden);
            if (!sk_close_if_same_file(fd, opened.id) && rc != 0) rc = -EBADF;
        }
        sk_private_unlock(&process->fork_lock);
    }
    /* A process that left meanwhile may have been the last one, and may have taken our lock for the lock of another
     * process. Then it did not remove the file. */
    if (rc == 0) sk_segment_sweep(process, hidden, true);
    else sk_segment_sweep(process, path, false);
    return rc;
}

/* --- leaving ------------------------------------------------------------------------------------ */

/* One departure from a segment, and whether other processes are still present. */
typedef struct sk_leaving {
    sk_segment *s;
    bool over; /* replace the first mapping by one without the presence, and keep that */
    int opened;
    bool others;
    uint64_t held; /* about how many bytes of memory the file has */
    void *kept;
} sk_leaving;

static inline void sk_segment_detach_file(void *at) {
    sk_leaving *leaving = at;
    sk_segment *s = leaving->s;
    char name[SK_PATH];
    bool whole = false;
    for (int retries = 0; !whole && retries < SK_CLOSED_RETRIES; retries++) {
        int fd = leaving->opened = sk_seats_open(&s->seats, name);
        if (fd < 0) return;
        bool absent = !leaving->over || sk_map_over(s->base, fd, s->base_len), removed = false;
        if (absent && (!s->persist || strcmp(name, s->seats.path) != 0)) {
            removed = sk_segment_remove_unused(fd, name, s->seats.file) == 0;
            leaving->others = !removed;
        }
        if (removed) leaving->kept = sk_keep_memory(fd, leaving->held);
        whole = sk_close_if_same_file(fd, s->seats.file) || removed;
    }
}

/* Under the fork lock: close the file if it is the one that was last asked about. */
static inline void sk_segment_close_asker(const sk_segment *s) {
    if (sk_same_file(s->seats.process->asker_file, s->seats.file)) sk_process_close_asker(s->seats.process);
}

/* End this process's presence; the last process to leave removes the name. Returns whether other processes are present.
 * `over`: see sk_leaving. */
static inline bool sk_segment_depart(sk_segment *s, bool over, uint64_t held) {
    sk_leaving leaving = {.s = s, .over = over, .held = held};
    sk_segment_lock_forks(s);
    sk_segment_close_asker(s);
    sk_segment_detach_file(&leaving);
    if (leaving.opened == -EMFILE || leaving.opened == -ENFILE) sk_with_descriptors(sk_segment_detach_file, &leaving);
    sk_segment_unlock_forks(s);
    sk_free_memory(leaving.kept);
    return leaving.others;
}

/* For a process that ends: end the presence now. Mappings and seat stay, because threads may still use the segment. */
static inline void sk_segment_detach(sk_segment *s) {
    if (s->left || s->base == NULL || s->seats.id == NULL) return;
    s->left = true;
    sk_segment_depart(s, true, 0); /* the mappings keep the memory */
}

/* Give up mappings, seat and presence. Returns whether other processes are still present. */
static inline bool sk_segment_abandon(sk_segment *s) {
    bool present = s->base != NULL && s->seats.id != NULL && !s->left;
    uint64_t held = s->view_len;
    sk_seat_detach(&s->seats);
    sk_segment_unmap(s);
    bool others = present && sk_segment_depart(s, false, held);
    if (s->seats.reads) { /* a descriptor would keep the memory of a file that has ended */
        sk_segment_lock_forks(s);
        sk_segment_close_asker(s);
        sk_segment_unlock_forks(s);
    }
    if (s->seats.id != NULL) sk_identity_drop(s->seats.process, s->seats.id);
    s->seats.id = NULL;
    return others;
}

/* --- creation and attachment --------------------------------------------------------------------- */

static inline void sk_segment_patience(sk_segment *s) {
    s->waiter.patience = SK_PATIENCE_START;
    s->waiter.short_ns = SK_SHORT_PARK_NS;
}

static inline void sk_segment_clear(sk_segment *s, const char *path) {
    memset(s, 0, sizeof *s);
    s->seats.process = &sk_this_process;
    s->forks = sk_this_process.forks;
    sk_segment_patience(s);
    snprintf(s->path, sizeof s->path, "%s", path);
    s->seats.path = s->path;
}

/* Give the process an identity in this segment. */
static inline int sk_segment_identify(sk_segment *s, const uint64_t file[2]) {
    memcpy(s->seats.file, file, sizeof s->seats.file);
    s->seats.id = sk_identity_new(s->seats.process);
    return s->seats.id == NULL ? SK_NO_MAPPING : SK_OK;
}

/* Make the first mapping, and set the fields of `s` that point into it. */
static inline int sk_segment_begin(sk_segment *s, int fd, uint64_t len) {
    int rc = sk_segment_map(s, fd, len, len);
    s->base = s->view;
    s->base_len = s->view_len;
    s->persist = (s->header.flags & SK_PERSIST) != 0;
    s->seats.count = s->header.seats;
    s->seats.table = (sk_seat_entry *)(void *)(s->base + SK_SEATS_AT);
    return rc;
}

/* The parameters of a new segment. `fill` writes the structure into the body before the file gets its name. */
typedef struct sk_plan {
    uint32_t kind, flags, seats;
    uint32_t mode, gid; /* permissions; group, or UINT32_MAX. 0, 0: for this user alone */
    uint64_t body_len;
    uint64_t param[SK_PARAMS];
    const void *meta;
    uint64_t meta_len;
    int (*fill)(sk_segment *);
} sk_plan;

static inline void sk_segment_head(sk_header *h, const sk_plan *plan, uint64_t size) {
    h->magic = SK_MAGIC;
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
    h->meta_check = sk_fnv(SK_FNV, plan->meta, plan->meta_len);
    h->check = sk_header_check(h);
}

static inline int sk_segment_write(sk_segment *s, const sk_plan *plan) {
    sk_header *h = &s->header;
    if (plan->meta_len > 0) memcpy(s->base + h->meta, plan->meta, plan->meta_len);
    memcpy(s->base + sizeof h->magic, (const char *)h + sizeof h->magic, sizeof *h - sizeof h->magic);
    int rc = plan->fill == NULL ? SK_OK : plan->fill(s);
    sk_store64_release((uint64_t *)(void *)s->base, SK_MAGIC);
    return rc;
}

/* Give memory and permissions to a file that has no name yet. */
static inline int sk_segment_prepare(sk_segment *s, int fd, const uint64_t file[2], const sk_plan *plan, uint64_t size) {
    int rc = plan->mode == 0 ? 0 : sk_file_admit(fd, plan->mode, plan->gid);
    if (rc == 0) rc = sk_file_reserve(fd, 0, size);
    if (rc == -EOPNOTSUPP) {
        errno = EOPNOTSUPP;
        return SK_FOLDER;
    }
    if (rc != 0) return sk_system(rc);
    sk_segment_head(&s->header, plan, size);
    return sk_segment_identify(s, file);
}

/* This process has forked since the file was opened, so the child shares the open file: hold the presence through
 * another open file. */
static inline int sk_segment_part(sk_segment *s, int fd) {
    int own = sk_file_open(s->seats.path);
    if (own < 0) return sk_system(own);
    int rc = sk_file_share(own, SK_PRESENCE, 1);
    if (rc == 0 && !sk_map_over(s->base, own, s->base_len)) rc = -errno;
    sk_file_close(own);
    if (rc == 0) rc = sk_file_unlock(fd, SK_PRESENCE, 1);
    return rc == 0 ? SK_OK : sk_system(rc);
}

/* Under the fork lock: take the presence, write the segment, and publish its name. */
static inline int sk_segment_bear(sk_segment *s, int fd, const sk_plan *plan) {
    int rc = sk_file_share(fd, SK_PRESENCE, 1);
    if (rc != 0) return sk_system(rc);
    rc = sk_segment_begin(s, fd, s->header.size);
    if (rc == SK_OK && !sk_leads_to(fd, s->seats.file)) rc = SK_BUSY; /* the mapping may be of another file */
    if (rc == SK_OK) rc = sk_segment_write(s, plan);
    if (rc != SK_OK) return rc;
    rc = sk_file_publish(fd, s->seats.path);
    if (rc != 0) return sk_system(rc);
    return s->forks == s->seats.process->forks ? SK_OK : sk_segment_part(s, fd);
}

/* Undo a creation or attachment that failed. Returns rc; errno is unchanged. */
static inline int sk_segment_undo(sk_segment *s, int rc) {
    int reason = errno;
    sk_segment_unmap(s);
    if (s->seats.id != NULL) sk_identity_drop(s->seats.process, s->seats.id);
    s->seats.id = NULL;
    errno = reason;
    return rc;
}

/* Under the fork lock, with no descriptor of the file open: check that a mapping keeps the open file and its lock on
 * this device, as sharedkit requires. (overlayfs maps another file than the one that was opened.) The last device that
 * passed is remembered in `proven_device`. */
static inline int sk_segment_prove(sk_segment *s) {
    sk_process *p = s->seats.process;
    char name[SK_PATH];
    if (p->proven_device == s->seats.file[0]) return SK_OK;
    int fd = sk_seats_open(&s->seats, name);
    if (fd < 0) return SK_OK; /* gone, or it cannot be opened: the next operation reports that */
    int held = sk_file_holder(fd, SK_PRESENCE, 1);
    if (!sk_close_if_same_file(fd, s->seats.file)) return SK_OK;
    if (held > 0) p->proven_device = s->seats.file[0];
    if (held != 0) return SK_OK;
    errno = EOPNOTSUPP;
    return SK_FOLDER;
}

/* One attempt of sk_segment_create. SK_BUSY: another thread closed the descriptor meanwhile. */
static inline int sk_segment_create_once(sk_segment *s, const char *folder, const char *path, const sk_plan *plan, uint64_t size) {
    sk_segment_clear(s, path);
    sk_process *p = s->seats.process;
    sk_file file;
    sk_segment_lock_forks(s);
    sk_process_ready(p, 0);
    sk_loose loose = {.fd = sk_file_anonymous(folder)};
    if (loose.fd < 0) {
        sk_segment_unlock_forks(s);
        int rc = sk_system(loose.fd);
        return rc != SK_SYSTEM || errno == EMFILE || errno == ENFILE ? rc : SK_FOLDER;
    }
    int rc = sk_file_look(loose.fd, &file) == 0 ? SK_OK : SK_BUSY;
    memcpy(loose.file, file.id, sizeof loose.file);
    sk_process_loose(p, &loose);
    if (rc == SK_OK) rc = sk_segment_prepare(s, loose.fd, file.id, plan, size); /* may take 1 s: forks need not wait */
    sk_process_tie(p, &loose);
    if (rc == SK_OK) rc = sk_segment_bear(s, loose.fd, plan);
    int reason = errno;
    if (!sk_close_if_same_file(loose.fd, loose.file) && rc != SK_OK && rc != SK_EXISTS) rc = SK_BUSY;
    errno = reason;
    if (rc == SK_OK) {
        rc = sk_segment_prove(s);
        reason = errno;
        if (rc != SK_OK) sk_file_remove(path);
        errno = reason;
    }
    sk_segment_unlock_forks(s);
    return rc == SK_OK ? rc : sk_segment_undo(s, rc);
}

/* Create the segment `path` in `folder`. SK_EXISTS, SK_NO_MEMORY, SK_NO_MAPPING, SK_TOO_LARGE, SK_FILE_LIMIT, SK_FOLDER
 * or SK_SYSTEM (errno); then `s` has no mapping and no identity. */
static inline int sk_segment_create(sk_segment *s, const char *folder, const char *path, const sk_plan *plan) {
    if (plan->body_len > SK_LARGEST / 2 || plan->meta_len > SK_META_MOST) return SK_TOO_LARGE;
    uint64_t size = sk_round_up(sk_body_at(plan->seats, plan->meta_len) + plan->body_len, SK_PAGE);
    int rc = SK_BUSY;
    for (int retries = 0; rc == SK_BUSY && retries < SK_CLOSED_RETRIES; retries++)
        rc = sk_segment_create_once(s, folder, path, plan, size);
    return rc;
}

/* Under the fork lock: give the presence up again, and remove the name if no process is present. A process that left
 * meanwhile may have kept the name because of our presence. Unlock first, so that of several retreating processes the
 * last one finds no other. */
static inline void sk_segment_retreat(const sk_segment *s, int fd, const uint64_t file[2]) {
    char hidden[SK_PATH];
    sk_file_unlock(fd, SK_PRESENCE, 1);
    sk_hidden_path(hidden, s->seats.path, file);
    if ((s->header.flags & SK_PERSIST) || sk_segment_remove_unused(fd, s->seats.path, file) == -ENOENT)
        sk_segment_remove_unused(fd, hidden, file);
}

/* Take the presence. A segment that is not persistent and that no process has open is an orphan: remove it, which fails
 * if it is another user's, and refuse it. */
static inline int sk_segment_enter(sk_segment *s, int fd, const sk_file *file) {
    sk_file there;
    if (!(s->header.flags & SK_PERSIST) && sk_file_holder(fd, SK_PRESENCE, 1) == 0)
        return sk_segment_remove_unused(fd, s->seats.path, file->id) == -EAGAIN ? SK_BUSY : SK_GONE;
    int rc = sk_file_share(fd, SK_PRESENCE, 1);
    if (rc == -EAGAIN) return SK_BUSY; /* another process is between two system calls, deciding whether to remove it */
    if (rc != 0) return sk_system(rc);
    /* The last process to leave may have removed the name meanwhile. */
    if (sk_file_at(s->seats.path, &there) == 0 && sk_same_file(there.id, file->id)) return SK_OK;
    sk_segment_retreat(s, fd, file->id);
    return SK_GONE;
}

static inline int sk_segment_attach_once(sk_segment *s) {
    sk_file file = {0};
    sk_segment_lock_forks(s);
    int fd = sk_door(s->seats.path, s->trust, &file, &s->header), rc = fd < 0 ? fd : SK_OK;
    if (rc == SK_OK) rc = sk_header_read_meta(&s->header, fd);
    if (rc == SK_OK && !s->left) rc = sk_segment_enter(s, fd, &file);
    if (rc == SK_OK) {
        rc = file.size <= SK_LARGEST ? sk_segment_begin(s, fd, file.size) : SK_CORRUPT;
        int reason = errno;
        if (rc != SK_OK && !s->left) sk_segment_retreat(s, fd, file.id);
        errno = reason;
    }
    if (fd >= 0) {
        int reason = errno;
        if (!sk_close_if_same_file(fd, file.id)) rc = SK_BUSY;
        errno = reason;
    }
    memcpy(s->seats.file, file.id, sizeof s->seats.file);
    if (rc == SK_OK && !s->left) rc = sk_segment_prove(s);
    sk_segment_unlock_forks(s);
    if (rc == SK_OK) rc = sk_segment_identify(s, file.id);
    return rc == SK_OK ? rc : sk_segment_undo(s, rc);
}

/* Attach to `path`. `present` false: only map the segment to read it; then the caller takes no lock or item through s.
 * SK_GONE, SK_UNTRUSTED, SK_FOREIGN, SK_OTHER_LAYOUT (see s->header.layout), SK_CORRUPT, SK_NO_MAPPING, SK_SYSTEM
 * (errno); SK_BUSY: for two seconds another process was deciding whether to remove the segment. */
static inline int sk_segment_attach(sk_segment *s, const char *path, uint32_t trust, bool present) {
    sk_segment_clear(s, path);
    s->trust = trust;
    s->left = !present;
    for (int tries = 0;; tries++) {
        int rc = sk_segment_attach_once(s);
        if (rc != SK_BUSY || tries == 20000) return rc;
        if (tries < 64) sk_yield();
        else sk_nap(100000);
    }
}

/* A descriptor that keeps the segment alive until every process has closed it, for a child that is being started; or a
 * negative errno. */
static inline int sk_segment_transit(const sk_segment *s) {
    for (int retries = 0;; retries++) {
        int fd = sk_segment_open(s);
        if (fd < 0) return fd;
        int rc = sk_file_share(fd, SK_PRESENCE, 1);
        bool whole = sk_leads_to(fd, s->seats.file);
        if (whole && rc != 0) sk_file_close(fd);
        sk_segment_unlock_forks(s);
        if (whole || retries == SK_CLOSED_RETRIES) return rc == 0 ? fd : rc;
    }
}

#endif
