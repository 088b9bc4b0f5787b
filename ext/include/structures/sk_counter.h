/* Counters: one 64-bit signed word each, lock-free, every word on two cache lines of its own.
 *
 *   offset      what                                             written by
 *   i * 128     word i                                           any thread, in one atomic step, which commits
 *   8           striped counters: the reader's lock (sk_lock.h)  readers of the sum
 *   12          and how often it was taken                       its holder
 *
 * A plain counter is word 0; a group has one word for each name. A striped counter has a base in word 0 and after it
 * one word (a stripe) for each seat, to which the process on that seat adds. Its value is the sum of all these words,
 * so the additions of a dead process remain. Setting a value changes the base alone, in one step.
 * Additions use compare-and-swap and not fetch-and-add, so that a sum that does not fit is refused before another
 * thread can see it.
 *
 * The sum is linearizable. A reader takes the reader's lock; while it is taken, all processes add to the base. Then a
 * stripe can still be changed only by additions that began before, at most one for each thread. After these, two
 * readings of all stripes are equal, and the base is read between them. The sum of stripes and base is then valid: if
 * it includes an addition, it also includes every addition that had ended before that one began. If another reader
 * keeps the lock for long (because it is stopped), a reader reads while that one holds the lock. The lock of a dead
 * reader costs speed until the next reader comes, and has no other effect. */
#ifndef SK_COUNTER_H
#define SK_COUNTER_H

#include "core/sk_lock.h"

static inline uint64_t *sk_counter_word(void *body, uint64_t i) {
    return (uint64_t *)(void *)((unsigned char *)body + i * SK_LINE);
}

static inline int64_t sk_counter_value(const uint64_t *word) { return (int64_t)sk_load64_seq_cst(word); }

/* Add n. SK_OK: *sum is the new value; SK_OVERFLOW: the word is unchanged. */
static inline int sk_counter_add(uint64_t *word, int64_t n, int64_t *sum) {
    uint64_t seen = sk_load64_relaxed(word);
    do {
        if (__builtin_add_overflow((int64_t)seen, n, sum)) return SK_OVERFLOW;
    } while (!sk_cas64_seq_cst(word, &seen, (uint64_t)*sum));
    return SK_OK;
}

static inline int64_t sk_counter_exchange(uint64_t *word, int64_t value) {
    return (int64_t)sk_swap64_seq_cst(word, (uint64_t)value);
}

static inline bool sk_counter_compare_exchange(uint64_t *word, int64_t expected, int64_t desired) {
    uint64_t seen = (uint64_t)expected;
    return sk_cas64_seq_cst(word, &seen, (uint64_t)desired);
}

/* --- striped -------------------------------------------------------------------------------------- */

#define SK_SUM_PATIENCE_NS 100000000u

static inline uint32_t *sk_counter_lock(uint64_t *base) { return (uint32_t *)(void *)(base + 1); }

static inline int sk_counter_add_striped(uint64_t *base, uint64_t *stripe, int64_t n, int64_t *sum) {
    bool read = sk_load32_seq_cst(sk_counter_lock(base)) != 0;
    return sk_counter_add(__builtin_expect(read, 0) ? base : stripe, n, sum);
}

/* The sum: base + stripes. */
typedef struct sk_counter_sum {
    int64_t base;
    int64_t high; /* the stripes together need not fit in 64 bits: high * 2^64 + low */
    uint64_t low;
} sk_counter_sum;

static inline void sk_counter_collect(const sk_segment *s, uint64_t *base, int64_t stripe[SK_SEATS_MAX]) {
    for (uint32_t i = 0; i < s->seats.count; i++) stripe[i] = sk_counter_value(sk_counter_word(base, i + 1));
}

/* Try once to read the sum while a reader has the lock. Returns whether it is valid: two readings of all stripes are
 * equal, and one reader had the lock all the time. */
static inline bool sk_counter_agree(const sk_segment *s, uint64_t *base, sk_counter_sum *sum) {
    int64_t first[SK_SEATS_MAX], second[SK_SEATS_MAX];
    uint32_t *lock = sk_counter_lock(base), holder = sk_load32_seq_cst(lock) & SK_OWNER_MASK, taken = sk_load32_seq_cst(lock + 1);
    if (holder == 0) return false;
    sk_counter_collect(s, base, first);
    sum->base = sk_counter_value(base);
    sk_counter_collect(s, base, second);
    if (memcmp(first, second, s->seats.count * sizeof(int64_t)) != 0) return false;
    if ((sk_load32_seq_cst(lock) & SK_OWNER_MASK) != holder || sk_load32_seq_cst(lock + 1) != taken) return false;
    __int128 stripes = 0;
    for (uint32_t i = 0; i < s->seats.count; i++) stripes += first[i];
    sum->high = (int64_t)(stripes >> 64);
    sum->low = (uint64_t)stripes;
    return true;
}

/* Read the sum; if `value` is not NULL, also change the base so that the sum is *value, in one step. SK_OK;
 * SK_OVERFLOW: nothing was changed; SK_NO_SEAT and other results of sk_seat_take. */
static inline int sk_counter_read(sk_segment *s, uint64_t *base, sk_counter_sum *sum, const int64_t *value) {
    uint32_t *lock = sk_counter_lock(base);
    for (;;) {
        uint64_t until = sk_now_ns() + SK_SUM_PATIENCE_NS;
        int rc;
        do rc = sk_lock_take(s, lock, until);
        while (rc == SK_INTERRUPTED);
        bool mine = rc == SK_OK || rc == SK_OWNER_DIED;
        if (!mine && rc != SK_TIMEOUT) return rc;
        if (mine) sk_add32_seq_cst(lock + 1, 1);
        bool over;
        while (!(over = sk_counter_agree(s, base, sum)) && (mine || sk_load32_seq_cst(lock) != 0)) sk_relax();
        rc = SK_OK;
        if (over && value != NULL) {
            __int128 to = *value - ((__int128)sum->high * ((__int128)1 << 64) + sum->low);
            if (to > INT64_MAX || to < INT64_MIN) rc = SK_OVERFLOW;
            else over = mine && sk_counter_compare_exchange(base, sum->base, (int64_t)to);
        }
        if (mine) sk_lock_give(lock);
        if (over) return rc;
    }
}

/* Read the sum without the lock: it is exact only if no thread adds meanwhile. */
static inline void sk_counter_glance(const sk_segment *s, uint64_t *base, sk_counter_sum *sum) {
    int64_t stripe[SK_SEATS_MAX];
    __int128 stripes = 0;
    sk_counter_collect(s, base, stripe);
    for (uint32_t i = 0; i < s->seats.count; i++) stripes += stripe[i];
    *sum = (sk_counter_sum){sk_counter_value(base), (int64_t)(stripes >> 64), (uint64_t)stripes};
}

/* sk_plan.fill of a plain or striped counter: param[0] is its first value. */
static inline int sk_counter_fill(sk_segment *s) {
    sk_store64_relaxed(sk_counter_word(sk_body_of(s), 0), sk_header_of(s)->param[0]);
    return SK_OK;
}

/* SK_OK if the body has room for that many words, otherwise SK_CORRUPT. */
static inline int sk_counter_refuse(const sk_segment *s, uint64_t words) {
    uint64_t room = s->base_len - sk_header_of(s)->body;
    return words <= room / SK_LINE ? SK_OK : SK_CORRUPT;
}

#endif
