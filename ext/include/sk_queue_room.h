/* Waiting for room in a queue: who is woken, and whose turn it is. See sk_queue.h. */
#ifndef SK_QUEUE_ROOM_H
#define SK_QUEUE_ROOM_H

#include "sk_queue.h"

/* So long has one waited since it was overtaken before it takes the turn. Each turn costs a change of processes, and for that
 * time all other producers: with a lock's one millisecond three producers of a queue of five items had a turn for each item. */
#define SK_QUEUE_LONG_NS 20000000u

/* Whether the turn belongs to this call; `stay` may be NULL. */
static inline bool sk_queue_has_turn(const sk_segment *s, const sk_queue *q, const sk_stay *stay) {
    uint64_t turn = sk_load64_relaxed(&q->turn);
    return __builtin_expect(turn != 0, 0) && stay != NULL && turn == sk_stay_name(s, stay);
}

/* There is room: whether it is left for the one whose turn it is. */
static inline bool sk_queue_barred(const sk_segment *s, sk_queue *q, sk_stay *stay) {
    return __builtin_expect(sk_load64_relaxed(&q->turn) != 0, 0) && stay != NULL && sk_stay_barred(s, &q->turn, stay);
}

/* There is no room behind `head`. How long to sleep at most; who was overtaken and has waited long may have the turn now. */
static inline uint64_t sk_queue_ask(const sk_segment *s, sk_queue *q, sk_stay *stay, uint64_t head) {
    if (stay == NULL) return SK_PARK_SLICE_NS;
    stay->freed = 0;
    if (stay->waited && stay->seen != head) stay->overtaken = true;
    stay->waited = true;
    stay->seen = head;
    return stay->overtaken ? sk_stay_ask_after(s, &q->turn, stay, SK_QUEUE_LONG_NS, SK_PARK_SLICE_NS) : SK_PARK_SLICE_NS;
}

/* Leave the room to the one whose turn it is, for a short time: SK_OK, SK_TIMEOUT, SK_INTERRUPTED. */
static inline int sk_queue_step_back(sk_segment *s, sk_queue *q, uint64_t *began, uint64_t until) {
    int rc = sk_turn(began, until);
    if (rc != SK_OK) return rc;
    uint32_t raised = sk_event_raise(&q->room);
    return sk_park_slice(&s->waiter, &q->room, raised, SK_STAY_STEP_NS, until);
}

/* Its turn is over, taken or not: there may be room for one more, who slept while `next` was called. */
static inline void sk_queue_end_turn(const sk_segment *s, sk_queue *q, const sk_stay *stay) {
    if (!sk_queue_has_turn(s, q, stay)) return;
    uint64_t name = sk_stay_name(s, stay);
    if (sk_cas64_seq_cst(&q->turn, &name, 0)) sk_event_call(&q->room, 1);
}

/* Wait no longer, if it did wait: a call that woke this one may have been meant for the next. */
static inline void sk_queue_quit_put(sk_segment *s, const sk_stay *stay) {
    sk_queue *q = sk_queue_of(s);
    if (!stay->waited) return;
    sk_queue_end_turn(s, q, stay);
    sk_event_call(&q->room, 1);
}

/* There is room for so many more items. The turn is read behind the fence: whoever took it, and then found the queue full,
 * is seen to have it, or sees the room itself. */
static inline void sk_queue_call_producers(sk_queue *q, uint32_t items) {
    sk_fence_after_rmw(); /* W2: pairs with W1 in sk_event_raise */
    if (__builtin_expect(((sk_load32_relaxed(&q->room) | sk_load32_relaxed(&q->next)) & 1) == 0, 1)) return;
    int n = (int)(items < 1024 ? items : 1024);
    if (sk_load64_relaxed(&q->turn) != 0) {
        sk_event_call(&q->next, 1);
        n--;
    }
    if (n > 0) sk_event_call(&q->room, n);
}

/* The bound or the state is another one. */
static inline void sk_queue_call_all_producers(sk_queue *q) {
    sk_event_call(&q->next, SK_EVERYBODY);
    sk_event_call(&q->room, SK_EVERYBODY);
}

#endif
