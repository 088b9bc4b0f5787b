/* Operations of a queue for event loops: see sk_queue.h. */
#ifndef SK_QUEUE_TASKS_H
#define SK_QUEUE_TASKS_H

#include "structures/sk_queue_get.h"
#include "structures/sk_queue_state.h"

/* Wait as a get does, but take nothing. SK_OK: there was an item. */
static inline int sk_queue_look_for_item(sk_segment *s, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    uint64_t head = 0, tail = 0;
    sk_ring r;
    int rc = sk_queue_begin_get(s, q, call, &head, &tail, &r);
    if (rc == SK_OK) sk_queue_free_get(q);
    return rc;
}

/* Stop waiting. A notification that woke this waiter is needed by the next one, so notify again. */
static inline void sk_queue_cancel_get(sk_segment *s) {
    uint64_t tail;
    if (!sk_queue_is_empty(sk_queue_of(s), &tail)) sk_eventcount_notify(&sk_queue_of(s)->items, 1);
}

/* --- readiness: wait until a call would not have to wait, and take nothing ------------------------------- */

/* Wait until there is an item, or the queue is shut down. SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again). */
static inline int sk_queue_ready_to_get(sk_segment *s, uint64_t until) {
    sk_queue *q = sk_queue_of(s);
    uint64_t began = 0, tail;
    for (;;) {
        uint32_t state = sk_load32_acquire(&q->state);
        if (!sk_queue_is_empty(q, &tail) || state != SK_QUEUE_OPEN) return SK_OK;
        int rc = sk_queue_wait_round(s, &q->tail, tail, &q->items, state, sk_queue_maxsize(q), q, &began,
                                     SK_PARK_SLICE_NS, until);
        if (rc != SK_OK) return rc;
    }
}

/* Wait until there is room for one item, or the queue is shut down. The same results. */
static inline int sk_queue_ready_to_put(sk_segment *s, uint64_t until) {
    sk_queue *q = sk_queue_of(s);
    uint64_t began = 0, head, tail;
    for (;;) {
        uint64_t maxsize = sk_queue_maxsize(q);
        if (maxsize == 0 || sk_load32_acquire(&q->state) != SK_QUEUE_OPEN) return SK_OK;
        sk_queue_positions(q, &head, &tail);
        if (sk_items(tail) - sk_items(head) < maxsize) return SK_OK;
        int rc = sk_queue_wait_round(s, &q->head, head, &q->room, SK_QUEUE_OPEN, maxsize, q, &began, SK_PARK_SLICE_NS,
                                     until);
        if (rc != SK_OK) return rc;
    }
}

/* Stop waiting for room: the next producer needs the notification that woke this waiter. */
static inline void sk_queue_cancel_ready_to_put(sk_segment *s) { sk_eventcount_notify(&sk_queue_of(s)->room, 1); }

#endif
