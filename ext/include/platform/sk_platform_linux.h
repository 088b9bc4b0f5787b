/* The platform contract on Linux: futexes, open-file-description locks, tmpfs. */
#ifndef SK_PLATFORM_LINUX_H
#define SK_PLATFORM_LINUX_H

#ifndef _GNU_SOURCE
#error "compile with -D_GNU_SOURCE: open-file-description locks and fallocate are Linux's own"
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif

/* --- time ------------------------------------------------------------------------------------ */

/* Nanoseconds of a clock that all processes of the machine share and that is never set. */
static inline uint64_t sk_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since 1970, for people to read. */
static inline uint64_t sk_wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds since 1970 at the last tick, 1 to 10 ms ago; costs 5 ns, a quarter of sk_wall_ns. */
static inline uint64_t sk_wall_coarse_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void sk_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

static inline void sk_yield(void) { sched_yield(); }

static inline int sk_nap(uint64_t ns) {
    struct timespec span = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return nanosleep(&span, NULL) == 0 ? 0 : -errno;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Whether a read of this descriptor would return at once. */
static inline bool sk_readable(int fd) {
    struct pollfd look = {fd, POLLIN, 0};
    return poll(&look, 1, 0) > 0;
}

/* Sleep while *word is `seen`, for at most `ns`. 0 when woken; -EAGAIN (*word differs), -ETIMEDOUT, -EINTR. */
static inline int sk_sleep_on(uint32_t *word, uint32_t seen, uint64_t ns) {
    struct timespec span = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return syscall(SYS_futex, word, FUTEX_WAIT, seen, &span, NULL, 0) == 0 ? 0 : -errno;
}

/* Wake at most n threads that wait on *word; returns how many there were. */
static inline int sk_wake(uint32_t *word, int n) {
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
    return woken < 0 ? 0 : (int)woken;
}

/* Words on which to sleep at once (futex_waitv, Linux 5.16). Older system headers lack the struct and the number of the
 * call, so both are repeated here. */
#define SK_WORDS_MAX 128u

typedef struct sk_words {
    uint32_t count;
    struct {
        uint64_t seen, at;
        uint32_t flags, unused;
    } word[SK_WORDS_MAX];
} sk_words;

static inline void sk_words_clear(sk_words *words) { words->count = 0; }

static inline void sk_words_add(sk_words *words, uint32_t *word, uint32_t seen) {
    const uint32_t of_32_bits = 2; /* and shared between processes */
    words->word[words->count].seen = seen;
    words->word[words->count].at = (uint64_t)(uintptr_t)word;
    words->word[words->count].flags = of_32_bits;
    words->word[words->count].unused = 0;
    words->count++;
}

static inline bool sk_words_is(const sk_words *words, uint32_t i, const uint32_t *word, uint32_t seen) {
    return words->word[i].at == (uint64_t)(uintptr_t)word && words->word[i].seen == seen;
}

/* Sleep while each word has its value `seen`, until the monotonic time `until`. Returns the index of the word that was
 * woken; -EAGAIN (a word differs), -ETIMEDOUT, -EINTR, -EFAULT (the memory of a word is gone), -ENOSYS, -EPERM. */
static inline int sk_sleep_on_any(sk_words *words, uint64_t until) {
    const long futex_waitv = 449;
    if (until > (uint64_t)INT64_MAX) until = (uint64_t)INT64_MAX;
    struct timespec end = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    long rc = syscall(futex_waitv, words->word, words->count, 0, &end, CLOCK_MONOTONIC);
    return rc < 0 ? -errno : (int)rc;
}

/* --- threads --------------------------------------------------------------------------------- */

/* A mutex for the threads of this process alone; never in shared memory, never held in a call that can wait for long. */
typedef pthread_mutex_t sk_private;

#define SK_PRIVATE_INIT PTHREAD_MUTEX_INITIALIZER

static inline void sk_private_init(sk_private *lock) { pthread_mutex_init(lock, NULL); }
static inline void sk_private_lock(sk_private *lock) { pthread_mutex_lock(lock); }
static inline void sk_private_unlock(sk_private *lock) { pthread_mutex_unlock(lock); }

/* Identifies the calling thread in this process. */
static inline uint64_t sk_thread(void) { return (uint64_t)(uintptr_t)pthread_self(); }

/* --- the process ------------------------------------------------------------------------------ */

/* The pid of this process in its own pid namespace: for people, never for a decision. */
static inline uint32_t sk_pid(void) { return (uint32_t)getpid(); }

/* When this process began, in clock ticks since the machine started; 0: no /proc. Pid and start time together identify
 * a process, even if its pid is used again. */
static inline uint64_t sk_start_time(void) {
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    char *at = strrchr(text, ')'); /* the program's name before it can contain any character */
    for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static inline uint32_t sk_uid(void) { return (uint32_t)geteuid(); }

static inline bool sk_in_group(uint32_t gid) {
    if ((gid_t)gid == getegid()) return true;
    const size_t most = 65536, len = most * sizeof(gid_t);
    gid_t *groups = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (groups == MAP_FAILED) return false;
    int n = getgroups((int)most, groups);
    bool in = false;
    for (int i = 0; i < n && !in; i++) in = groups[i] == (gid_t)gid;
    munmap(groups, len);
    return in;
}

/* The C library calls these around every fork() of the process, even if Python does not notice the fork. */
static inline int sk_before_fork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
    return -pthread_atfork(before, parent, child);
}

/* Zeroed memory of this process; NULL if there is none. *wiped: whether the memory reads as zero in the child of any
 * fork (since Linux 4.14). */
static inline void *sk_wiped(uint64_t len, bool *wiped) {
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    *wiped = madvise(at, len, MADV_WIPEONFORK) == 0;
    return at;
}

typedef struct sk_errand {
    void (*run)(void *);
    void *with;
    int rc;
} sk_errand;

/* Whether this thread has its own table of descriptors. */
static _Thread_local bool sk_own_descriptors;

/* Give the calling thread its own table of descriptors, which is empty: files that it opens are invisible to the other
 * threads, and no other thread closes them. One call of close_range does it (Linux 5.9; containers that forbid unshare
 * allow it). 0, or a negative errno. */
static inline int sk_leave_descriptors(void) {
    const long close_range = 436;
    const unsigned int unshare_first = 2;
    if (syscall(close_range, 0u, ~0u, unshare_first) != 0) {
        if (syscall(SYS_unshare, CLONE_FILES) != 0) return -errno;
        for (int fd = 0; fd < 1024; fd++) close(fd);
    }
    sk_own_descriptors = true;
    return 0;
}

static inline void *sk_errand_thread(void *at) {
    sk_errand *errand = at;
    errand->rc = sk_leave_descriptors();
    if (errand->rc == 0) errand->run(errand->with);
    return NULL;
}

/* A thread that runs no Python. It needs little stack; all signals are blocked in it, because a handler of the program
 * expects to run in a thread of the program. */
typedef pthread_t sk_thread_handle;

static inline int sk_thread_start(sk_thread_handle *thread, void *(*run)(void *), void *with) {
    const size_t stack = 1u << 20;
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, &attr, run, with);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}

static inline void sk_thread_join(sk_thread_handle thread) { pthread_join(thread, NULL); }

/* Call run(with), which opens files, in a thread with its own table of descriptors, because this process has no
 * descriptor left. Returns 0 if it was called. */
static inline int sk_with_descriptors(void (*run)(void *), void *with) {
    sk_errand errand = {run, with, 0};
    sk_thread_handle thread;
    int rc = sk_thread_start(&thread, sk_errand_thread, &errand);
    if (rc != 0) return rc;
    sk_thread_join(thread);
    return errand.rc;
}

/* --- liveness -------------------------------------------------------------------------------- */

static inline struct flock sk_flock_of(short type, uint64_t from, uint64_t len) {
    struct flock range = {0};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = (off_t)from;
    range.l_len = (off_t)len;
    return range;
}

/* Take an exclusive lock on the bytes for this open file; -EAGAIN if another open file has a lock on one of them. */
static inline int sk_file_lock(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_WRLCK, from, len);
    return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : (errno == EACCES ? -EAGAIN : -errno);
}

/* Take a shared lock on the bytes for this open file; -EAGAIN if another has an exclusive lock on one of them. */
static inline int sk_file_share(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_RDLCK, from, len);
    return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : (errno == EACCES ? -EAGAIN : -errno);
}

/* Release the lock on the bytes, for all processes that share the open file. */
static inline int sk_file_unlock(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_UNLCK, from, len);
    return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : -errno;
}

/* Whether another open file has a lock on one of the bytes, exclusive or shared: 1, 0, or a negative errno. */
static inline int sk_file_holder(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_WRLCK, from, len);
    if (fcntl(fd, F_OFD_GETLK, &range) != 0) return -errno;
    return range.l_type != F_UNLCK;
}

/* Whether another open file has an exclusive lock on one of the bytes. */
static inline bool sk_file_held_alone(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_RDLCK, from, len);
    return fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

/* --- closings: a file that could be written was closed for the last time ----------------------------- */

/* A descriptor for notices of closings (inotify), or a negative errno; -EMFILE: this user has as many as allowed. */
static inline int sk_closings_open(void) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Ask for notices about this file: whenever the last descriptor and the last mapping of an open file that could write
 * to it are gone. The system sends the notice immediately before it frees the locks of that open file. Returns the
 * file's number in notices, always above 0 and the same for the same file; or a negative errno. -ENOSPC: this user has
 * asked about as many files as allowed. */
static inline int32_t sk_closings_add(int fd, const char *path) {
    int number = inotify_add_watch(fd, path, IN_CLOSE_WRITE | IN_DONT_FOLLOW);
    return number < 0 ? -errno : number;
}

/* Read the notices that have come, without waiting: the files' numbers. Returns how many, at most `most`; -EOVERFLOW if
 * notices were lost. A file can be named several times. */
static inline int sk_closings_read(int fd, int32_t *numbers, int most) {
    union {
        struct inotify_event first;
        char bytes[4096];
    } read_in;
    int n = 0;
    while (n + (int)(sizeof read_in / sizeof(struct inotify_event)) <= most) {
        ssize_t len = read(fd, read_in.bytes, sizeof read_in);
        if (len <= 0) break;
        for (ssize_t at = 0; at < len;) {
            struct inotify_event event;
            memcpy(&event, read_in.bytes + at, sizeof event);
            if (event.mask & IN_Q_OVERFLOW) return -EOVERFLOW;
            if (event.mask & IN_CLOSE_WRITE) numbers[n++] = event.wd;
            at += (ssize_t)(sizeof event + event.len);
        }
    }
    return n;
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Reserve memory for [from, to) of the file, and make the file at least `to` bytes long. -ENOSPC: there is no memory;
 * -EFBIG: `to` is past RLIMIT_FSIZE. It works in pieces, because a signal that interrupts a call undoes all of it
 * (before Linux 6.8 any pending signal does). After an interruption the pieces get smaller, so that an interval timer
 * cannot keep us here for ever. */
static inline int sk_file_reserve(int fd, uint64_t from, uint64_t to) {
    const uint64_t most = 16u << 20, least = 4096;
    for (uint64_t piece = most; from < to;) {
        uint64_t len = to - from < piece ? to - from : piece;
        if (fallocate(fd, 0, (off_t)from, (off_t)len) == 0) {
            from += len;
            if (piece < most) piece *= 2;
        } else if (errno != EINTR) return -errno;
        else if (piece > least) piece /= 2;
    }
    return 0;
}

/* Give the memory of [from, to) back to the system; the file keeps its length and reads as zero there. */
static inline int sk_file_discard(int fd, uint64_t from, uint64_t to) {
    if (from >= to) return 0;
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(fd, mode, (off_t)from, (off_t)(to - from)) == 0 ? 0 : -errno;
}

/* Read `len` bytes at `from`. Returns false if the file has fewer bytes there, or cannot be read. */
static inline bool sk_file_peek(int fd, void *to, uint64_t len, uint64_t from) {
    return pread(fd, to, len, (off_t)from) == (ssize_t)len;
}

/* Bytes of free memory in the file system of the file. */
static inline uint64_t sk_file_room(int fd) {
    struct statvfs room;
    return fstatvfs(fd, &room) == 0 ? (uint64_t)room.f_bavail * room.f_frsize : 0;
}

/* Returns NULL, with errno set, when the process has no room for the mapping. */
static inline void *sk_map(int fd, uint64_t len) {
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Replace a mapping, in one step, by a mapping of the same bytes through this open file. */
static inline bool sk_map_over(void *at, int fd, uint64_t len) {
    return mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
}

/* A mapping that keeps the open file and its locks; children do not inherit it. Returns NULL as sk_map does. */
static inline void *sk_map_pin(int fd, uint64_t len) {
    void *at = mmap(NULL, len, PROT_NONE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return NULL;
    if (madvise(at, len, MADV_DONTFORK) == 0) return at;
    munmap(at, len);
    return NULL;
}

/* Memory of this process: `len` bytes that read as zero and cost nothing, the first `filled` of which can be written.
 * Returns NULL as sk_map does. */
static inline void *sk_map_zeros(uint64_t len, uint64_t filled) {
    void *at = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    if (mprotect(at, filled, PROT_READ | PROT_WRITE) == 0) return at;
    munmap(at, len);
    return NULL;
}

static inline void sk_unmap(void *at, uint64_t len) { munmap(at, len); }

/* --- files ----------------------------------------------------------------------------------- */

/* The attributes of a file. */
typedef struct sk_file {
    uint64_t id[2];  /* device and inode: no other file that exists now has the same two */
    uint64_t size;   /* bytes */
    uint64_t held;   /* bytes of memory */
    uint32_t mode;   /* permissions */
    uint32_t uid, gid;
    bool regular;
} sk_file;

static inline void sk_file_of(sk_file *file, const struct stat *st) {
    file->id[0] = (uint64_t)st->st_dev;
    file->id[1] = (uint64_t)st->st_ino;
    file->size = (uint64_t)st->st_size;
    file->held = (uint64_t)st->st_blocks * 512;
    file->mode = st->st_mode & 07777;
    file->uid = st->st_uid;
    file->gid = st->st_gid;
    file->regular = S_ISREG(st->st_mode);
}

static inline int sk_file_look(int fd, sk_file *file) {
    struct stat st;
    *file = (sk_file){0};
    if (fstat(fd, &st) != 0) return -errno;
    sk_file_of(file, &st);
    return 0;
}

/* The attributes of the file that the name leads to; does not open the file. */
static inline int sk_file_at(const char *path, sk_file *file) {
    struct stat st;
    *file = (sk_file){0};
    if (lstat(path, &st) != 0) return -errno;
    sk_file_of(file, &st);
    return 0;
}

/* The descriptor, or a negative errno. Never 0, 1 or 2: if a program has closed those, C libraries still write their
 * messages to these numbers, and the messages would go into the file. */
static inline int sk_file_opened(int fd) {
    if (fd < 0) return -errno;
    if (fd > STDERR_FILENO || sk_own_descriptors) return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), reason = errno;
    close(fd);
    return higher < 0 ? -reason : higher;
}

/* A file in `folder` that has no name yet: a death before sk_file_publish leaves nothing. */
static inline int sk_file_anonymous(const char *folder) {
    return sk_file_opened(open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

/* Set the permissions and the group of the file (UINT32_MAX: unchanged), to give other users access. */
static inline int sk_file_admit(int fd, uint32_t mode, uint32_t gid) {
    if (gid != UINT32_MAX && fchown(fd, (uid_t)-1, (gid_t)gid) != 0) return -errno;
    return mode == 0600 || fchmod(fd, (mode_t)mode) == 0 ? 0 : -errno;
}

/* Give the anonymous file its name in one step; -EEXIST: the name is taken; -ENOSYS: there is no /proc. */
static inline int sk_file_publish(int fd, const char *path) {
    char self[40];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) return 0;
    if (errno != ENOENT || access(self, F_OK) == 0) return -errno;
    if (linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0) return 0; /* before Linux 6.10 for root only */
    return errno == ENOENT ? -ENOSYS : -errno;
}

/* O_NONBLOCK: a lease of another user on the file, or a device with that name, cannot make us wait. */
static inline int sk_file_open(const char *path) {
    return sk_file_opened(open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
}

/* The same for reading only. */
static inline int sk_file_open_to_read(const char *path) {
    return sk_file_opened(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
}

/* Rename a file in one step; -EEXIST: the new name is taken. */
static inline int sk_file_rename(const char *from, const char *to) {
    const unsigned int noreplace = 1;
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, noreplace) == 0 ? 0 : -errno;
}

static inline int sk_file_remove(const char *path) { return unlink(path) == 0 ? 0 : -errno; }

static inline void sk_file_close(int fd) { close(fd); }

#endif
