/* Creating a queue, counting its items, declaring items done, shutting it down: see sk_queue.h. */
#ifndef SK_QUEUE_STATE_H
#define SK_QUEUE_STATE_H

#include "structures/sk_queue_room.h"

/* The two positions of a queue at one moment. */
static inline void sk_queue_positions(const sk_queue *q, uint64_t *head, uint64_t *tail) {
    uint64_t again = sk_load64_acquire(&q->head);
    do {
        *head = again;
        *tail = sk_load64_acquire(&q->tail);
        again = sk_load64_acquire(&q->head);
    } while (again != *head);
}

static inline uint32_t sk_queue_count(const sk_queue *q) {
    uint64_t head, tail;
    if (sk_load32_acquire(&q->state) == SK_QUEUE_ENDED) return 0;
    sk_queue_positions(q, &head, &tail);
    return sk_items(tail) - sk_items(head);
}

static inline uint64_t sk_queue_bytes(const sk_queue *q) {
    uint64_t head, tail;
    sk_queue_positions(q, &head, &tail);
    return (uint64_t)(uint32_t)(sk_units(tail) - sk_units(head)) * SK_UNIT;
}

/* The size of the ring in bytes. */
static inline uint64_t sk_queue_capacity(const sk_queue *q) {
    return sk_geometry_units(sk_load64_acquire(&q->geometry)) * SK_UNIT;
}

/* By how many bytes the ring would have to grow now to hold another item of `payload` bytes. For messages. */
static inline uint64_t sk_queue_lacks(sk_segment *s, uint64_t payload) {
    sk_queue *q = sk_queue_of(s);
    sk_ring r;
    uint64_t head, tail;
    sk_queue_positions(q, &head, &tail);
    if (sk_queue_ring(s, q, &r) != SK_OK || !sk_queue_sound(&r, head, tail)) return 0;
    return sk_queue_lack(&r, sk_units(head), sk_units(tail) - sk_units(head), sk_record_units(payload)) * SK_UNIT;
}

/* The number of items put and not yet declared done. If the queue was ended at once, the items that were never taken
 * count as done: they lie behind the frozen head. */
static inline uint32_t sk_queue_unfinished(const sk_queue *q, uint32_t done) {
    bool ended = sk_load32_acquire(&q->state) == SK_QUEUE_ENDED;
    int32_t left = (int32_t)(sk_items(sk_load64_acquire(ended ? &q->head : &q->tail)) - done);
    return left > 0 ? (uint32_t)left : 0;
}

static inline uint32_t sk_queue_unfinished_now(const sk_queue *q) {
    return sk_queue_unfinished(q, sk_load32_acquire(&q->done));
}

/* Declare n items done. SK_EXCESS: fewer than n are unfinished. */
static inline int sk_queue_task_done(sk_queue *q, uint32_t n) {
    uint32_t done = sk_load32_acquire(&q->done);
    do {
        if (sk_queue_unfinished(q, done) < n) return SK_EXCESS;
    } while (!sk_cas32_seq_cst(&q->done, &done, done + n)); /* commits */
    if (sk_queue_unfinished(q, done + n) == 0) sk_eventcount_notify(&q->idle, SK_EVERYBODY);
    return SK_OK;
}

/* Wait until all items are declared done: SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again). */
static inline int sk_queue_join(sk_segment *s, uint64_t until) {
    sk_queue *q = sk_queue_of(s);
    uint64_t began = 0;
    for (;;) {
        uint32_t done = sk_load32_acquire(&q->done), raised = sk_eventcount_prepare(&q->idle);
        if (sk_queue_unfinished_now(q) == 0) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc == SK_OK) rc = sk_park_slice(&s->waiter, &q->idle, raised, SK_PARK_SLICE_NS, until);
        sk_aside_also(&q->done, done);
        if (rc != SK_OK) return rc;
    }
}

/* End puts; with `at_once` also end gets. It takes both locks, so no operation that began before the change of state
 * commits after it. SK_OK, or the result of sk_queue_lock_put or sk_queue_lock_get. */
static inline int sk_queue_shutdown(sk_segment *s, bool at_once, uint64_t until) {
    sk_queue *q = sk_queue_of(s);
    sk_call call = {.until = until};
    int rc = sk_queue_lock_put(s, q, call);
    if (rc != SK_OK) return rc;
    rc = sk_queue_lock_get(s, q, call);
    if (rc == SK_OK) {
        uint32_t state = at_once ? SK_QUEUE_ENDED : SK_QUEUE_DRAINING;
        if (sk_load32_relaxed(&q->state) < state) sk_store32_seq_cst(&q->state, state); /* commits */
        sk_queue_free_get(q);
    }
    sk_queue_free_put(q);
    if (rc == SK_OK) {
        sk_eventcount_notify(&q->items, SK_EVERYBODY);
        sk_queue_notify_all_producers(q);
        sk_eventcount_notify(&q->idle, SK_EVERYBODY);
    }
    return rc;
}

/* Set another bound; producers that wait for room check it again. */
static inline void sk_queue_set_maxsize(sk_queue *q, uint64_t maxsize) {
    sk_store64_seq_cst(&q->maxsize, maxsize);
    sk_queue_notify_all_producers(q);
}

/* --- creating ---------------------------------------------------------------------------------- */

/* The offset of the ring in the file. */
static inline uint64_t sk_queue_floor_for(uint32_t seats) {
    return sk_round_up(sk_body_at(seats, 0) + sizeof(sk_queue), SK_PAGE);
}

static inline uint64_t sk_queue_body_len(uint32_t seats, uint32_t log2) {
    return sk_queue_floor_for(seats) + ((uint64_t)SK_UNIT << log2) - sk_body_at(seats, 0);
}

/* sk_plan.fill of a queue. Both positions and `done` begin at `start`, which may be any position; tests begin near the
 * wrap. */
static inline int sk_queue_fill(sk_segment *s) {
    sk_queue *q = sk_queue_of(s);
    const uint64_t *param = sk_header_of(s)->param;
    uint64_t start = param[SK_QUEUE_START];
    uint32_t units = 1u << param[SK_QUEUE_LOG2];
    sk_store64_relaxed(&q->tail, start);
    sk_store64_relaxed(&q->tail_seen, start);
    sk_store64_relaxed(&q->head, start);
    sk_store64_relaxed(&q->head_seen, start);
    sk_store32_relaxed(&q->done, sk_items(start));
    sk_store64_relaxed(&q->maxsize, param[SK_QUEUE_MAXSIZE]);
    sk_store64_relaxed(&q->geometry, sk_geometry(units, sk_units(start) / units * units));
    return SK_OK;
}

/* SK_CORRUPT if header and geometry do not fit. Every operation checks the words that change. */
static inline int sk_queue_refuse(sk_segment *s) {
    const sk_header *h = sk_header_of(s);
    if (s->base_len < h->body + sizeof(sk_queue)) return SK_CORRUPT;
    if (sk_queue_floor(s) != sk_queue_floor_for(h->seats)) return SK_CORRUPT;
    sk_ring r;
    return sk_queue_ring(s, sk_queue_of(s), &r);
}

#endif
