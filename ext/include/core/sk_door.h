/* The only way to open a file as a segment: a file that fails these checks is never mapped, and its contents are not
 * used.
 *
 *   trust              the file is accepted if it is a regular file and
 *   SK_TRUST_OWN       it belongs to this user or to root, and neither its group nor others may write it
 *   SK_TRUST_GROUP     as SK_TRUST_OWN; or it belongs to a group of this process, and others may not write it (the
 *                      group may)
 *   SK_TRUST_NONE      this process may read it: it is opened for reading only, and only a copy is used (sk_copy.h)
 *
 * A process that may write a segment can run code in the processes that use it, by way of pickle. */
#ifndef SK_DOOR_H
#define SK_DOOR_H

#include "core/sk_header.h"

#define SK_TRUST_OWN 0u
#define SK_TRUST_GROUP 1u
#define SK_TRUST_NONE 2u

#define SK_GROUP_WRITES 0020u
#define SK_OTHERS_WRITE 0002u

static inline bool sk_trusted(const sk_file *file, uint32_t trust) {
    if (file->regular && trust == SK_TRUST_NONE) return true;
    if (!file->regular || (file->mode & SK_OTHERS_WRITE) != 0) return false;
    if ((file->uid == sk_uid() || file->uid == 0) && (file->mode & SK_GROUP_WRITES) == 0) return true;
    return trust == SK_TRUST_GROUP && sk_in_group(file->gid);
}

/* Open the file at `path` if it is a segment that `trust` accepts. Returns a descriptor, with *file and *h filled in,
 * or a status below zero (SK_SYSTEM: errno; SK_BUSY: another thread closed the descriptor meanwhile). After
 * SK_OTHER_LAYOUT *h has the header of the file. The caller holds the fork lock until it has closed the descriptor. */
static inline int sk_door(const char *path, uint32_t trust, sk_file *file, sk_header *h) {
    int fd = trust == SK_TRUST_NONE ? sk_file_open_to_read(path) : sk_file_open(path);
    if (fd < 0) {
        errno = -fd;
        if (fd == -ELOOP || fd == -EISDIR || fd == -ENXIO) return SK_UNTRUSTED; /* a link, a folder, a device */
        return fd == -ENOENT ? SK_GONE : SK_SYSTEM;
    }
    int rc = sk_file_look(fd, file) != 0 ? SK_BUSY : SK_OK;
    if (rc == SK_OK && !sk_trusted(file, trust)) rc = SK_UNTRUSTED;
    if (rc == SK_OK && file->size < SK_SMALLEST) rc = SK_FOREIGN;
    if (rc == SK_OK) rc = sk_header_read(h, fd, file->size);
    if (rc == SK_OK) return fd;
    int reason = errno;
    if (!sk_close_if_same_file(fd, file->id)) rc = SK_BUSY;
    errno = reason;
    return rc;
}

#endif
