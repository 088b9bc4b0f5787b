/* A private copy of a segment, for a process that only inspects it: nothing that is done to a copy reaches the segment.
 *
 *   bytes                        in the copy
 *   [0, where contents begin)    header, seats, description and control words, as they were at the moment of the copy
 *   the rest, as long as the     zeros that take no memory: contents (records of a queue, entries of a dict, elements of
 *   file was                     an array) are not copied
 *
 * The file is opened for reading only and is never mapped. So a file that shrinks or vanishes meanwhile is a short read
 * and no bus error, no seat and no lock can be taken through the copy, and no other process sees a mapping of ours. The
 * kernels work on a copy as on a segment, with the same checks: a copy may be of a damaged segment, or of one that
 * another user made. Words may be of moments that lie apart, as where a process reads them in place. Whether an owner
 * lives is asked of the file, through a descriptor for reading. */
#ifndef SK_COPY_H
#define SK_COPY_H

#include "core/sk_segment.h"

/* Entry k of a table of kinds: which param of the header says where the contents of kind k begin, or SK_COPY_WHOLE. */
#define SK_COPY_KINDS 256u
#define SK_COPY_WHOLE 255u
/* The most that is copied, because another user's file may claim to hold anything: the largest barriers, and groups of
 * two million counters, have less. */
#define SK_COPY_MOST ((uint64_t)1 << 28)

/* Where the part that is copied ends. */
static inline uint64_t sk_copy_end(const sk_header *h, const uint8_t contents[SK_COPY_KINDS], uint64_t size) {
    uint32_t param = h->kind < SK_COPY_KINDS ? contents[h->kind] : SK_COPY_WHOLE;
    uint64_t end = param < SK_PARAMS ? h->param[param] : size;
    return end >= h->body && end < size ? end : size;
}

static inline bool sk_copy_read(int fd, unsigned char *to, uint64_t len) {
    const uint64_t most = (uint64_t)1 << 30;
    for (uint64_t done = 0, n; done < len; done += n) {
        n = len - done < most ? len - done : most;
        if (!sk_file_peek(fd, to + done, n, done)) return false;
    }
    return true;
}

static inline int sk_copy_fill(sk_segment *s, int fd, uint64_t size, const uint8_t contents[SK_COPY_KINDS]) {
    uint64_t end = sk_copy_end(&s->header, contents, size);
    if (end > SK_COPY_MOST) return SK_TOO_LARGE;
    unsigned char *at = sk_map_zeros(size, end);
    if (at == NULL) return SK_NO_MAPPING;
    s->map[0].at = s->view = s->base = at;
    s->map[0].len = s->view_len = s->base_len = size;
    s->maps = 1;
    s->persist = (s->header.flags & SK_PERSIST) != 0;
    s->seats.count = s->header.seats;
    s->seats.table = (sk_seat_entry *)(void *)(at + SK_SEATS_AT);
    return sk_copy_read(fd, at, end) ? SK_OK : SK_CORRUPT;
}

/* SK_BUSY: the file has grown meanwhile, and its words may refer to the new part; or another thread closed our
 * descriptor. */
static inline int sk_segment_copy_once(sk_segment *s, const uint8_t contents[SK_COPY_KINDS]) {
    sk_file file = {0}, after;
    sk_segment_lock_forks(s);
    int fd = sk_door(s->seats.path, SK_TRUST_NONE, &file, &s->header), rc = fd < 0 ? fd : SK_OK;
    if (rc == SK_OK && file.size > SK_LARGEST) rc = SK_CORRUPT;
    if (rc == SK_OK) rc = sk_header_read_meta(&s->header, fd);
    if (rc == SK_OK) rc = sk_copy_fill(s, fd, file.size, contents);
    if (rc == SK_OK && (sk_file_look(fd, &after) != 0 || after.size != file.size)) rc = SK_BUSY;
    if (fd >= 0) {
        int reason = errno;
        if (!sk_close_if_same_file(fd, file.id)) rc = SK_BUSY;
        errno = reason;
    }
    sk_segment_unlock_forks(s);
    if (rc == SK_OK) rc = sk_segment_identify(s, file.id);
    return rc == SK_OK ? rc : sk_segment_undo(s, rc);
}

/* Copy the segment at `path`. The answers are those of sk_segment_attach, and SK_TOO_LARGE; SK_BUSY: it grew during
 * each attempt. */
static inline int sk_segment_copy(sk_segment *s, const char *path, const uint8_t contents[SK_COPY_KINDS]) {
    int rc = SK_BUSY;
    for (int retries = 0; rc == SK_BUSY && retries < SK_CLOSED_RETRIES; retries++) {
        sk_segment_clear(s, path);
        s->seats.reads = s->left = true;
        rc = sk_segment_copy_once(s, contents);
    }
    return rc;
}

#endif
