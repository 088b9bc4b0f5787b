/* Counters: one 64-bit signed word each, lock-free, every word on two cache lines of its own.
 *
 *   offset      what                     written by
 *   i * 128     word i                   anybody, by compare-and-swap; that commits
 *
 * A plain counter is word 0; a group has a word a name. A striped counter has a base in word 0 and a word a seat
 * behind it, to which the process on that seat adds; its value is the sum of all, so a dead process's word keeps its
 * count, and setting a value moves the base alone, in one step.
 * Compare-and-swap rather than fetch-and-add, so that a sum that does not fit is refused before anybody sees it. */
#ifndef SK_COUNTER_H
#define SK_COUNTER_H

#include "sk_segment.h"

static inline uint64_t *sk_counter_word(void *body, uint64_t i) {
    return (uint64_t *)(void *)((unsigned char *)body + i * SK_LINE);
}

static inline int64_t sk_counter_value(const uint64_t *word) { return (int64_t)sk_load64_seq_cst(word); }

/* SK_OK with the new value in *sum, or SK_OVERFLOW with the word as it was. */
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

/* sk_plan.fill of a plain or striped counter: param[0] is its first value. */
static inline int sk_counter_fill(sk_segment *s) {
    sk_store64_relaxed(sk_counter_word(sk_body_of(s), 0), sk_header_of(s)->param[0]);
    return SK_OK;
}

/* Whether the body holds so many words. */
static inline int sk_counter_refuse(const sk_segment *s, uint64_t words) {
    uint64_t room = s->base_len - sk_header_of(s)->body;
    return words <= room / SK_LINE ? SK_OK : SK_CORRUPT;
}

#endif
