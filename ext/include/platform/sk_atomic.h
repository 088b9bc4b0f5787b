/* Atomic words, with the ordering in each name. The only header with __atomic built-ins.
 *
 * Pairings are noted at the call sites: "R1: pairs with A1".
 * Words live in memory that several processes map. C11 _Atomic types are not used, because an implementation may use a
 * lock that is private to a process. These built-ins are lock-free or do not link. */
#ifndef SK_ATOMIC_H
#define SK_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

_Static_assert(__atomic_always_lock_free(4, 0), "32-bit words must be lock-free");
_Static_assert(__atomic_always_lock_free(8, 0), "64-bit words must be lock-free");

/* Hot words keep two cache lines between them: the prefetcher fetches lines in pairs. */
#define SK_LINE 128u

#define SK_ATOMIC_WORD(bits)                                                                        \
    static inline uint##bits##_t sk_load##bits##_relaxed(const uint##bits##_t *p) {                 \
        return __atomic_load_n(p, __ATOMIC_RELAXED);                                                \
    }                                                                                               \
    static inline uint##bits##_t sk_load##bits##_acquire(const uint##bits##_t *p) {                 \
        return __atomic_load_n(p, __ATOMIC_ACQUIRE);                                                \
    }                                                                                               \
    static inline uint##bits##_t sk_load##bits##_seq_cst(const uint##bits##_t *p) {                 \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                \
    }                                                                                               \
    static inline void sk_store##bits##_relaxed(uint##bits##_t *p, uint##bits##_t v) {              \
        __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                   \
    }                                                                                               \
    static inline void sk_store##bits##_release(uint##bits##_t *p, uint##bits##_t v) {              \
        __atomic_store_n(p, v, __ATOMIC_RELEASE);                                                   \
    }                                                                                               \
    static inline void sk_store##bits##_seq_cst(uint##bits##_t *p, uint##bits##_t v) {              \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                   \
    }                                                                                               \
    static inline uint##bits##_t sk_swap##bits##_seq_cst(uint##bits##_t *p, uint##bits##_t v) {     \
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                         \
    }                                                                                               \
    static inline uint##bits##_t sk_swap##bits##_release(uint##bits##_t *p, uint##bits##_t v) {     \
        return __atomic_exchange_n(p, v, __ATOMIC_RELEASE);                                         \
    }                                                                                               \
    static inline uint##bits##_t sk_add##bits##_relaxed(uint##bits##_t *p, uint##bits##_t v) {      \
        return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);                                          \
    }                                                                                               \
    static inline uint##bits##_t sk_add##bits##_seq_cst(uint##bits##_t *p, uint##bits##_t v) {      \
        return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                          \
    }                                                                                               \
    /* On failure *seen is the value of the word. */                                                \
    static inline bool sk_cas##bits##_acquire(uint##bits##_t *p, uint##bits##_t *seen,              \
                                              uint##bits##_t v) {                                   \
        return __atomic_compare_exchange_n(p, seen, v, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);  \
    }                                                                                               \
    static inline bool sk_cas##bits##_acq_rel(uint##bits##_t *p, uint##bits##_t *seen,              \
                                              uint##bits##_t v) {                                   \
        return __atomic_compare_exchange_n(p, seen, v, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);  \
    }                                                                                               \
    static inline bool sk_cas##bits##_seq_cst(uint##bits##_t *p, uint##bits##_t *seen,              \
                                              uint##bits##_t v) {                                   \
        return __atomic_compare_exchange_n(p, seen, v, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);  \
    }

SK_ATOMIC_WORD(8)
SK_ATOMIC_WORD(16)
SK_ATOMIC_WORD(32)
SK_ATOMIC_WORD(64)

static inline void *sk_load_pointer_acquire(void *const *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void sk_store_pointer_release(void **p, void *v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* Orders an earlier store before a later load (the one order that x86 does not give). */
static inline void sk_fence_seq_cst(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* The same if an atomic read-modify-write stands between the store and the load. On x86 it is a full barrier already,
 * so only the compiler must not reorder (this saves 8 ns of a put and get). */
static inline void sk_fence_after_rmw(void) {
#if defined(__x86_64__) || defined(__i386__)
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
    sk_fence_seq_cst();
#endif
}

/* Orders earlier loads before later ones: after a relaxed load has read a value, later loads see all that the writer of
 * the value published before it. */
static inline void sk_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

#endif
