/* A re-entrant mutex: one thread holds it and may take it again, any number of times. Layout: see sk_mutex.h.
 *
 *   thread   0, or owner << 32 | thread: which thread of the owner holds it     the holder
 *   count    how often that thread has taken it; 1 or more while it is held     the holder
 *
 * The word alone says whether the mutex is held and by which process; a change of the word commits. A thread holds the
 * mutex if the word names its process and `thread` names the thread itself: the holder stores `thread` after it took
 * the word, and clears it before it frees the word. After a death `thread` still names the dead owner, and the word
 * names the process that took over. So no thread takes the old value for its own; numbers of threads are not used twice
 * in one process.
 *
 * Deaths. As for a mutex: at every step between taking and freeing, the word names the dead holder. The next holder
 * overwrites `thread` and `count`. */
#ifndef SK_RLOCK_H
#define SK_RLOCK_H

#include "structures/sk_mutex.h"

static inline uint64_t sk_rlock_name(const sk_segment *s, uint32_t thread) {
    return (uint64_t)sk_me(s) << 32 | thread;
}

/* Whether this thread holds the mutex. Only the thread itself can make this true or false. */
static inline bool sk_rlock_mine(const sk_segment *s, const sk_mutex *m, uint32_t thread) {
    return sk_me(s) != 0 && sk_lock_owner(&m->word) == sk_me(s) &&
           sk_load64_relaxed(&m->thread) == sk_rlock_name(s, thread);
}

/* Record this thread as the holder if `rc` says that it has the word. */
static inline int sk_rlock_held(const sk_segment *s, sk_mutex *m, uint32_t thread, uint64_t count, int rc) {
    if (rc != SK_OK && rc != SK_OWNER_DIED) return rc;
    sk_store64_relaxed(&m->count, count);
    sk_store64_relaxed(&m->thread, sk_rlock_name(s, thread));
    return rc;
}

/* Take the mutex in one step if it is free, whichever thread or task asks: SK_OK, SK_OWNER_DIED (taken), SK_NO_SEAT;
 * SK_BUSY: it is not free, or a thread has the token. */
static inline int sk_rlock_try_free(const sk_segment *s, sk_mutex *m, uint32_t thread) {
    if (sk_load32_relaxed(&m->word) != 0) return SK_BUSY;
    return sk_rlock_held(s, m, thread, 1, sk_mutex_try(s, m));
}

/* Take the mutex once more, or if it is free and no thread has the token: SK_OK, SK_OWNER_DIED (taken), SK_BUSY,
 * SK_NO_SEAT. */
static inline int sk_rlock_try(const sk_segment *s, sk_mutex *m, uint32_t thread) {
    if (sk_rlock_mine(s, m, thread)) {
        sk_store64_relaxed(&m->count, sk_load64_relaxed(&m->count) + 1);
        return SK_OK;
    }
    return sk_rlock_held(s, m, thread, 1, sk_mutex_try(s, m));
}

/* Take the mutex `count` times at once, waiting as sk_mutex_take does. This thread must not hold it. */
static inline int sk_rlock_take(sk_segment *s, sk_mutex *m, uint64_t count, uint64_t until, sk_wait_state *wait) {
    return sk_rlock_held(s, m, wait->thread, count, sk_mutex_take(s, m, until, wait));
}

/* Free the mutex, however often this thread has taken it. */
static inline int sk_rlock_free(const sk_segment *s, sk_mutex *m) {
    sk_store64_relaxed(&m->thread, 0);
    return sk_mutex_give(s, m);
}

/* Release the mutex once: SK_OK; SK_EXCESS: this thread does not hold it. */
static inline int sk_rlock_give(const sk_segment *s, sk_mutex *m, uint32_t thread) {
    if (!sk_rlock_mine(s, m, thread)) return SK_EXCESS;
    uint64_t count = sk_load64_relaxed(&m->count);
    if (count > 1) {
        sk_store64_relaxed(&m->count, count - 1);
        return SK_OK;
    }
    sk_store64_relaxed(&m->thread, 0);
    sk_mutex_give_own(m);
    return SK_OK;
}

#endif
