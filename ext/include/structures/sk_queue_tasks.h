/* Operations of a queue for event loops: see sk_queue.h. */
#ifndef SK_QUEUE_TASKS_H
#define SK_QUEUE_TASKS_H

#include "structures/sk_queue_get.h"

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

#endif
