/* The memory of the model: each word is a list of values, and a participant may read an older value than the newest,
 * unless its view forbids this. So a load may be done before an earlier store or load, as on ARM64.
 *
 *   place     a word, or 16 bytes that are accessed by plain copies, with its values in the order of their stores
 *   view      for each place, the oldest value that may still be read
 *   value     carries the view of the participant that released it; an acquire load that reads the value adds this view
 *             to its own
 *   now       the view of a participant
 *   pending   its view after the next acquire fence
 *   released  the view that its relaxed stores carry
 *   order     the view that all sequentially consistent operations and fences share
 *
 * This is the C11 model in the operational form of Kang and others, "A Promising Semantics for Relaxed-Memory
 * Concurrency" (2017), without promises: a store is never visible before loads that precede it in its program. A
 * read-modify-write, also a compare-and-swap that fails, sees the newest value. What a waker did happens-before what
 * the woken participant does, as with the locks of the system. A plain copy must have seen all earlier copies of the
 * same bytes; otherwise it is a race. In each schedule at most `stale` loads read an older value, one of the three
 * before the newest; with 0 the memory is sequentially consistent.
 *
 * `without` disables one kind of order, to show that it is needed. */
#ifndef MEMORY_H
#define MEMORY_H

enum {
    RELAXED = 0,
    ACQUIRE = 1,
    RELEASE = 2,
    ACQ_REL = 3,
    SEQ_CST = 7,
};
enum {
    FENCES = 1,          /* sk_fence_after_rmw, sk_fence_seq_cst */
    ACQUIRE_FENCES = 2,  /* sk_fence_acquire */
    RELEASE_STORES = 4,  /* sk_store_release */
    ACQUIRE_LOADS = 8,   /* sk_load_acquire */
    TAKING = 16,         /* the acquire in sk_cas_acquire and sk_cas_acq_rel */
    PUBLISHING = 32,     /* the release in sk_cas_acq_rel */
    GIVING = 64,         /* the release in sk_swap_release */
};

#define PLACES 160 /* of one scenario */
#define VALUES 512
#define OLDER 3

typedef struct view {
    uint16_t at[PLACES];
} view;

typedef struct value {
    uint64_t bits;
    view seen;
} value;

static struct {
    int places, stale, left;
    unsigned without;
    bool raced;
    uint16_t of[sizeof shared / 4]; /* place + 1 of each 4 bytes */
    uint16_t first[PLACES];         /* which 4 bytes */
    uint16_t n[PLACES];
    value values[PLACES][VALUES];
    view now[MOST_PARTICIPANTS], pending[MOST_PARTICIPANTS], released[MOST_PARTICIPANTS], order;
} memory;

static int decide(unsigned options, int first);

/* Whether the model keeps the values of this word. */
static inline bool kept(const void *p) { return model.running && memory.stale > 0 && is_shared(p); }

static inline void join(view *to, const view *more) {
    for (int i = 0; i < memory.places; i++)
        if (more->at[i] > to->at[i]) to->at[i] = more->at[i];
}

static void forget_all(void) {
    for (int i = 0; i < memory.places; i++) memory.of[memory.first[i]] = 0;
    memory.places = 0;
    memory.left = memory.stale;
    memory.raced = false;
    memset(memory.now, 0, sizeof memory.now);
    memset(memory.pending, 0, sizeof memory.pending);
    memset(memory.released, 0, sizeof memory.released);
    memset(&memory.order, 0, sizeof memory.order);
}

static inline int place_of(const void *p, uint64_t bits) {
    size_t at = (size_t)((const unsigned char *)p - shared) / 4;
    if (memory.of[at] == 0) {
        if (memory.places == PLACES) {
            fprintf(stderr, "more places than the model has\n");
            exit(2);
        }
        memory.first[memory.places] = (uint16_t)at;
        memory.n[memory.places] = 1;
        memory.values[memory.places][0].bits = bits;
        memset(&memory.values[memory.places][0].seen, 0, sizeof(view));
        memory.of[at] = (uint16_t)++memory.places;
    }
    return memory.of[at] - 1;
}

static inline value *newest(int place) { return &memory.values[place][memory.n[place] - 1]; }

/* Append a value, which carries the view `seen`. */
static inline void append(int place, uint64_t bits, const view *seen) {
    int n = memory.n[place], me = model.current;
    if (n == VALUES) {
        fprintf(stderr, "more values than the model keeps\n");
        exit(2);
    }
    value *v = &memory.values[place][n];
    v->bits = bits;
    v->seen = *seen;
    v->seen.at[place] = (uint16_t)n;
    memory.now[me].at[place] = (uint16_t)n;
    memory.n[place]++;
}

static inline unsigned order_of(unsigned order, unsigned weakened) { return memory.without & weakened ? RELAXED : order; }

/* Load a word; `there` is its newest value. */
static inline uint64_t model_load(const void *p, uint64_t there, unsigned order) {
    if (!kept(p)) return there;
    int place = place_of(p, there), me = model.current, last = memory.n[place] - 1;
    view *now = &memory.now[me];
    int least = now->at[place];
    if (order == SEQ_CST && memory.order.at[place] > least) least = memory.order.at[place];
    int older = last - least < OLDER ? last - least : OLDER, age = 0;
    if (older > 0 && memory.left > 0 && (age = decide((2u << older) - 1, 0)) > 0) memory.left--;
    value *v = &memory.values[place][last - age];
    now->at[place] = (uint16_t)(last - age);
    join(order & ACQUIRE ? now : &memory.pending[me], &v->seen);
    if (order == SEQ_CST && last - age > memory.order.at[place]) memory.order.at[place] = (uint16_t)(last - age);
    return v->bits;
}

static inline void model_store(const void *p, uint64_t was, uint64_t bits, unsigned order) {
    if (!kept(p)) return;
    int place = place_of(p, was), me = model.current;
    append(place, bits, order & RELEASE ? &memory.now[me] : &memory.released[me]);
    if (order == SEQ_CST) memory.order.at[place] = memory.now[me].at[place];
}

static inline void model_modify(const void *p, uint64_t was, uint64_t bits, unsigned order) {
    if (!kept(p)) return;
    int place = place_of(p, was), me = model.current;
    view before = newest(place)->seen;
    join(order & ACQUIRE ? &memory.now[me] : &memory.pending[me], &before);
    view carries = order & RELEASE ? memory.now[me] : memory.released[me];
    join(&carries, &before); /* a read-modify-write passes on the view of the value that it replaces */
    append(place, bits, &carries);
    if (order == SEQ_CST) memory.order.at[place] = memory.now[me].at[place];
}

/* A compare-and-swap that fails sees the newest value. */
static inline void model_saw(const void *p, uint64_t there) {
    if (!kept(p)) return;
    int place = place_of(p, there), me = model.current;
    memory.now[me].at[place] = (uint16_t)(memory.n[place] - 1);
    join(&memory.pending[me], &newest(place)->seen);
}

static inline void sk_fence_acquire(void) {
    if (model.running && !(memory.without & ACQUIRE_FENCES)) join(&memory.now[model.current], &memory.pending[model.current]);
}

static inline void model_barrier(void) {
    int me = model.current;
    if (!model.running || memory.stale == 0) return;
    join(&memory.now[me], &memory.pending[me]);
    join(&memory.now[me], &memory.order);
    memory.order = memory.released[me] = memory.now[me];
}

static inline void sk_fence_seq_cst(void) {
    if (!(memory.without & FENCES)) model_barrier();
}

static inline void sk_fence_after_rmw(void) { sk_fence_seq_cst(); }

/* Add the waker's view to the view of the woken participant. */
static inline void model_wakes(int woken) {
    if (model.running) join(&memory.now[woken], &memory.now[model.current]);
}

/* A plain access to 16 bytes: the participant must have seen all earlier ones; otherwise it is a race. */
static inline void model_touch(const void *p) {
    if (!kept(p)) return;
    static const view nothing;
    int place = place_of((const void *)((uintptr_t)p & ~(uintptr_t)15), 0);
    if (memory.now[model.current].at[place] != memory.n[place] - 1) memory.raced = true;
    append(place, 0, &nothing);
}

static inline void *model_copy(void *to, const void *from, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        model_touch((char *)to + i);
        model_touch((const char *)from + i);
    }
    return (memcpy)(to, from, n);
}
#define memcpy(to, from, n) model_copy(to, from, n)

#define WORD(bits, T)                                                                                              \
    static inline T model_load##bits(const T *p, unsigned order) {                                                 \
        step(p);                                                                                                   \
        return (T)model_load(p, *(const volatile T *)p, order);                                                    \
    }                                                                                                              \
    static inline void model_store##bits(T *p, T v, unsigned order) {                                              \
        step(p);                                                                                                   \
        model_store(p, *p, v, order);                                                                              \
        *(volatile T *)p = v;                                                                                      \
    }                                                                                                              \
    static inline T model_swap##bits(T *p, T v, unsigned order) {                                                  \
        step(p);                                                                                                   \
        T was = *p;                                                                                                \
        model_modify(p, was, v, order);                                                                            \
        *p = v;                                                                                                    \
        return was;                                                                                                \
    }                                                                                                              \
    static inline T model_add##bits(T *p, T v, unsigned order) {                                                   \
        step(p);                                                                                                   \
        T was = *p;                                                                                                \
        model_modify(p, was, (T)(was + v), order);                                                                 \
        *p = (T)(was + v);                                                                                         \
        return was;                                                                                                \
    }                                                                                                              \
    static inline bool model_cas##bits(T *p, T *seen, T v, unsigned order) {                                       \
        step(p);                                                                                                   \
        if (*p != *seen) {                                                                                         \
            model_saw(p, *p);                                                                                      \
            *seen = *p;                                                                                            \
            return false;                                                                                          \
        }                                                                                                          \
        model_modify(p, *p, v, order);                                                                             \
        *p = v;                                                                                                    \
        return true;                                                                                               \
    }                                                                                                              \
    static inline T sk_load##bits##_relaxed(const T *p) { return model_load##bits(p, RELAXED); }                   \
    static inline T sk_load##bits##_acquire(const T *p) { return model_load##bits(p, order_of(ACQUIRE, ACQUIRE_LOADS)); } \
    static inline T sk_load##bits##_seq_cst(const T *p) { return model_load##bits(p, SEQ_CST); }                   \
    static inline void sk_store##bits##_relaxed(T *p, T v) { model_store##bits(p, v, RELAXED); }                   \
    static inline void sk_store##bits##_release(T *p, T v) { model_store##bits(p, v, order_of(RELEASE, RELEASE_STORES)); } \
    static inline void sk_store##bits##_seq_cst(T *p, T v) { model_store##bits(p, v, SEQ_CST); }                   \
    static inline T sk_swap##bits##_seq_cst(T *p, T v) { return model_swap##bits(p, v, SEQ_CST); }                 \
    static inline T sk_swap##bits##_release(T *p, T v) { return model_swap##bits(p, v, order_of(RELEASE, GIVING)); } \
    static inline T sk_add##bits##_relaxed(T *p, T v) { return model_add##bits(p, v, RELAXED); }                   \
    static inline T sk_add##bits##_seq_cst(T *p, T v) { return model_add##bits(p, v, SEQ_CST); }                   \
    static inline bool sk_cas##bits##_seq_cst(T *p, T *seen, T v) { return model_cas##bits(p, seen, v, SEQ_CST); } \
    static inline bool sk_cas##bits##_acquire(T *p, T *seen, T v) {                                                \
        return model_cas##bits(p, seen, v, order_of(ACQUIRE, TAKING));                                             \
    }                                                                                                              \
    static inline bool sk_cas##bits##_acq_rel(T *p, T *seen, T v) {                                                \
        return model_cas##bits(p, seen, v, order_of(ACQUIRE, TAKING) | order_of(RELEASE, PUBLISHING));             \
    }
WORD(32, uint32_t)
WORD(64, uint64_t)

static inline void *sk_load_pointer_acquire(void *const *p) { return *p; }
static inline void sk_store_pointer_release(void **p, void *v) { *p = v; }

#endif
