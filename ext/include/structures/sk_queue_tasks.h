/* Operations of a queue for event loops: see sk_queue.h. */
#ifndef SK_QUEUE_TASKS_H
#define SK_QUEUE_TASKS_H

#include "structures/sk_queue_get.h"

/* Wait as a get does, but take nothing. SK_OK: there was an item. */
static inline int sk_queue_look_for_item(sk_segment *s, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_first at;
    int rc = sk_queue_begin_get(s, q, call, &at);
    if (rc == SK_OK) sk_queue_free_get(q);
    return rc;
}

/* Stop waiting. A notification that woke this waiter is needed by the next one, so notify again. */
static inline void sk_queue_cancel_get(sk_segment *s) {
    uint64_t tail;
    sk_queue *q = sk_queue_of(s);
    if (!sk_queue_is_empty(q, &tail) || sk_load32_relaxed(&q->leases.back) != 0) sk_eventcount_notify(&q->items, 1);
}

#endif
