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
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif

/* --- time ------------------------------------------------------------------------------------ */

/* Nanoseconds of a clock that all processes of the machine share and nobody sets. */
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

/* The same as of the last tick (1 to 10 ms ago), for a quarter of the price: 5 ns. */
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

/* Who we are in our own pid namespace: for people, never for a decision. */
static inline uint32_t sk_pid(void) { return (uint32_t)getpid(); }

/* --- waiting --------------------------------------------------------------------------------- */

/* Whether a read of this descriptor would return at once. */
static inline bool sk_readable(int fd) {
    struct pollfd look = {fd, POLLIN, 0};
    return poll(&look, 1, 0) > 0;
}

/* Sleep while *word is `seen`, at most ns. 0 when woken; -EAGAIN (it differs), -ETIMEDOUT, -EINTR. */
static inline int sk_sleep_on(uint32_t *word, uint32_t seen, uint64_t ns) {
    struct timespec span = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    return syscall(SYS_futex, word, FUTEX_WAIT, seen, &span, NULL, 0) == 0 ? 0 : -errno;
}

/* Wake at most n sleepers of *word; answers how many there were. */
static inline int sk_rouse(uint32_t *word, int n) {
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
    return woken < 0 ? 0 : (int)woken;
}

/* Words to sleep on at once. The system's own struct and number, which older headers lack (Linux 5.16). */
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

/* Sleep while each word is what was seen, until the monotonic time. Which one was woken; -EAGAIN (one differs),
 * -ETIMEDOUT, -EINTR, -EFAULT (one is gone), -ENOSYS, -EPERM. */
static inline int sk_sleep_on_any(sk_words *words, uint64_t until) {
    const long futex_waitv = 449;
    if (until > (uint64_t)INT64_MAX) until = (uint64_t)INT64_MAX;
    struct timespec end = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    long rc = syscall(futex_waitv, words->word, words->count, 0, &end, CLOCK_MONOTONIC);
    return rc < 0 ? -errno : (int)rc;
}

/* --- threads --------------------------------------------------------------------------------- */

/* A mutex for the threads of this process alone; never in shared memory, never held in a call that can wait. */
typedef pthread_mutex_t sk_private;

static inline void sk_private_init(sk_private *lock) { pthread_mutex_init(lock, NULL); }
static inline void sk_private_enter(sk_private *lock) { pthread_mutex_lock(lock); }
static inline void sk_private_leave(sk_private *lock) { pthread_mutex_unlock(lock); }

/* --- liveness -------------------------------------------------------------------------------- */

static inline struct flock sk_flock_of(short type, uint64_t from, uint64_t len) {
    struct flock range = {0};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = (off_t)from;
    range.l_len = (off_t)len;
    return range;
}

/* Take the bytes for this open file; -EAGAIN when another open file has one of them. */
static inline int sk_file_lock(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_WRLCK, from, len);
    return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : (errno == EACCES ? -EAGAIN : -errno);
}

static inline int sk_file_unlock(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_UNLCK, from, len);
    return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : -errno;
}

/* How many bytes the first lock of another open file within the range covers; 0 when there is none. */
static inline int64_t sk_file_holder(int fd, uint64_t from, uint64_t len) {
    struct flock range = sk_flock_of(F_WRLCK, from, len);
    if (fcntl(fd, F_OFD_GETLK, &range) != 0) return -errno;
    return range.l_type == F_UNLCK ? 0 : (int64_t)range.l_len;
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Reserve memory for [from, to) of the file and let it reach at least to `to`. -ENOSPC when there is none.
 * By pieces, because a signal undoes the whole of the call that it interrupts (before Linux 6.8 any pending signal):
 * smaller pieces after an interruption, so that an interval timer cannot keep us here for ever. */
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

/* Give the memory of [from, to) back; the file keeps its length and reads as zero there. */
static inline int sk_file_discard(int fd, uint64_t from, uint64_t to) {
    if (from >= to) return 0;
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(fd, mode, (off_t)from, (off_t)(to - from)) == 0 ? 0 : -errno;
}

static inline int64_t sk_file_size(int fd) {
    struct stat st;
    if (fstat(fd, &st) != 0) return -errno;
    return S_ISREG(st.st_mode) ? (int64_t)st.st_size : -EINVAL;
}

/* Memory that the file holds, in bytes: less than its size where parts were given back. */
static inline int64_t sk_file_held(int fd) {
    struct stat st;
    return fstat(fd, &st) != 0 ? -errno : (int64_t)st.st_blocks * 512;
}

/* Read the first `len` bytes; whether there were so many. */
static inline bool sk_file_peek(int fd, void *to, uint64_t len) { return pread(fd, to, len, 0) == (ssize_t)len; }

/* NULL, with errno set, when the system has no room for the mapping. */
static inline void *sk_map(int fd, uint64_t len) {
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

static inline void sk_unmap(void *at, uint64_t len) { munmap(at, len); }

/* --- names ----------------------------------------------------------------------------------- */

/* A file in `folder` that has no name yet: a death before sk_file_publish leaves nothing. */
static inline int sk_file_unborn(const char *folder) {
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

static inline void sk_fd_path(char *path, size_t room, int fd) {
    snprintf(path, room, "/proc/self/fd/%d", fd);
}

/* Give the unborn file its name, whole, in one step; -EEXIST when the name is taken. */
static inline int sk_file_publish(int fd, const char *path) {
    char self[40];
    sk_fd_path(self, sizeof self, fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

static inline int sk_file_open(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* The same file through an open file of its own, even when it has lost its name. */
static inline int sk_file_reopen(int fd) {
    char self[40];
    sk_fd_path(self, sizeof self, fd);
    int anew = open(self, O_RDWR | O_CLOEXEC);
    return anew < 0 ? -errno : anew;
}

static inline bool sk_file_named(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* What tells this file from every other, or 0, 0. */
static inline void sk_file_identity(int fd, uint64_t id[2]) {
    struct stat st;
    bool known = fstat(fd, &st) == 0;
    id[0] = known ? (uint64_t)st.st_dev : 0;
    id[1] = known ? (uint64_t)st.st_ino : 0;
}

/* Whether the name still leads to this very file. */
static inline bool sk_file_is_at(int fd, const char *path) {
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

static inline int sk_file_remove(const char *path) { return unlink(path) == 0 ? 0 : -errno; }

static inline void sk_file_close(int fd) { close(fd); }

#endif
