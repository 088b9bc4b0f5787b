/* Waiting for room in a queue: which producer is woken, and which one has the token. See sk_queue.h. */
#ifndef SK_QUEUE_ROOM_H
#define SK_QUEUE_ROOM_H

#include "structures/sk_queue.h"

/* A producer that was overtaken waits this long before it takes the token. Each use of the token costs a switch of
 * processes, and all other producers wait for it. (With SK_WAIT_STATE_LONG_NS, 1 ms, three producers of a queue of five
 * items used a token for each item.) */
#define SK_QUEUE_LONG_NS 20000000u

/* Whether the token belongs to this call; `wait` may be NULL. */
static inline bool sk_queue_has_token(const sk_segment *s, const sk_queue *q, const sk_wait_state *wait) {
    uint64_t token = sk_load64_relaxed(&q->token);
    return __builtin_expect(token != 0, 0) && wait != NULL && token == sk_wait_state_token_value(s, wait);
}

/* Called when there is room: whether this caller must leave it to the holder of the token. */
static inline bool sk_queue_barred(const sk_segment *s, sk_queue *q, sk_wait_state *wait) {
    return __builtin_expect(sk_load64_relaxed(&q->token) != 0, 0) && wait != NULL && sk_wait_state_must_yield(s, &q->token, wait);
}

/* Called when the queue is full at `head`: take the token if this producer was overtaken and has waited long. Returns
 * the longest time to sleep. */
static inline uint64_t sk_queue_ask(const sk_segment *s, sk_queue *q, sk_wait_state *wait, uint64_t head) {
    if (wait == NULL) return SK_PARK_SLICE_NS;
    wait->yielding_since = 0;
    if (wait->waited && wait->seen != head) wait->overtaken = true;
    wait->waited = true;
    wait->seen = head;
    return wait->overtaken ? sk_wait_state_take_token_after(s, &q->token, wait, SK_QUEUE_LONG_NS, SK_PARK_SLICE_NS)
                           : SK_PARK_SLICE_NS;
}

/* Leave the room to the holder of the token, for a short time: SK_OK, SK_TIMEOUT, SK_INTERRUPTED. */
static inline int sk_queue_step_back(sk_segment *s, sk_queue *q, uint64_t *began, uint64_t until) {
    int rc = sk_check_deadline(began, until);
    if (rc != SK_OK) return rc;
    uint32_t raised = sk_eventcount_prepare(&q->room);
    return sk_park_slice(&s->waiter, &q->room, raised, SK_WAIT_STATE_STEP_NS, until);
}

/* Release the token if this call has it, and notify one more producer: there may be room for it, and it slept while
 * `next` was notified. */
static inline void sk_queue_release_token(const sk_segment *s, sk_queue *q, const sk_wait_state *wait) {
    if (!sk_queue_has_token(s, q, wait)) return;
    uint64_t name = sk_wait_state_token_value(s, wait);
    if (sk_cas64_seq_cst(&q->token, &name, 0)) sk_eventcount_notify(&q->room, 1);
}

/* Stop waiting, if the call did wait. A notification that woke this producer is needed by the next one, so notify
 * again. */
static inline void sk_queue_cancel_put(sk_segment *s, const sk_wait_state *wait) {
    sk_queue *q = sk_queue_of(s);
    if (!wait->waited) return;
    sk_queue_release_token(s, q, wait);
    sk_eventcount_notify(&q->room, 1);
}

/* Called when there is room for `items` more items. The token is read behind the fence. So if a producer takes the
 * token and then checks for room, either this load sees the token or the producer sees the room. */
static inline void sk_queue_notify_producers(sk_queue *q, uint32_t items) {
    sk_fence_after_rmw(); /* W2: pairs with W1 in sk_eventcount_prepare */
    if (__builtin_expect(((sk_load32_relaxed(&q->room) | sk_load32_relaxed(&q->next)) & 1) == 0, 1)) return;
    int n = (int)(items < 1024 ? items : 1024);
    if (sk_load64_relaxed(&q->token) != 0) {
        sk_eventcount_notify(&q->next, 1);
        n--;
    }
    if (n > 0) sk_eventcount_notify(&q->room, n);
}

/* Called when the bound or the state has changed. */
static inline void sk_queue_notify_all_producers(sk_queue *q) {
    sk_eventcount_notify(&q->next, SK_EVERYBODY);
    sk_eventcount_notify(&q->room, SK_EVERYBODY);
}

#endif
