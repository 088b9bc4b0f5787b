/* Taking records out of a queue: see sk_queue.h for the layout and the reasoning.
 *
 * The caller provides the memory for the item, so nothing is allocated under the lock. A first call with a small buffer
 * either takes the item or returns its size (SK_LARGER). The second call provides a buffer of that size, and takes the
 * item only if it is still the first. */
#ifndef SK_QUEUE_GET_H
#define SK_QUEUE_GET_H

#include "structures/sk_queue_room.h"

/* The record that a get found. */
typedef struct sk_found {
    uint64_t head; /* position of the record */
    uint64_t payload;
    uint32_t kind;
} sk_found;

/* Whether the queue is certainly empty. The two positions are read one after the other; if they are equal, they were
 * equal when the second one was read. */
static inline bool sk_queue_is_empty(const sk_queue *q, uint64_t *tail) {
    uint64_t head = sk_load64_acquire(&q->head);
    *tail = sk_load64_acquire(&q->tail);
    return head == *tail;
}

/* The part of a get before it copies bytes: wait for an item, take the lock, find the ring. SK_OK: the caller holds
 * get_lock.
 * SK_INTERRUPTED is also the result when an item has come. So the caller first handles the signals that arrived during
 * the wait, and only then takes the item. */
SK_HOT static inline int sk_queue_begin_get(sk_segment *s, sk_queue *q, sk_call call, uint64_t *head,
                                            uint64_t *tail, sk_ring *r) {
    uint64_t began = 0;
    for (;;) {
        uint64_t seen;
        uint32_t state = sk_load32_acquire(&q->state);
        if (state == SK_QUEUE_ENDED) return SK_SHUTDOWN;
        int rc = SK_EMPTY;
        if (!sk_queue_is_empty(q, &seen)) {
            rc = sk_queue_lock_get(s, q, call);
            if (rc != SK_OK) return rc;
            *head = sk_load64_relaxed(&q->head);
            *tail = sk_load64_relaxed(&q->tail_seen);
            if (*tail == *head) {
                *tail = sk_load64_acquire(&q->tail); /* A5: pairs with R5 */
                sk_store64_relaxed(&q->tail_seen, *tail);
            }
            if (sk_load32_relaxed(&q->state) == SK_QUEUE_ENDED) rc = SK_SHUTDOWN;
            else if (*tail == *head) rc = SK_EMPTY;
            else if ((rc = sk_queue_ring(s, q, r)) == SK_OK && !sk_queue_sound(r, *head, *tail)) rc = SK_CORRUPT;
            if (rc == SK_OK) return rc;
            sk_queue_free_get(q);
            seen = *tail;
        }
        if (rc != SK_EMPTY) return rc;
        /* No put follows the change of state. So nothing more comes if the queue was empty after the state was read. */
        if (state != SK_QUEUE_OPEN) return SK_SHUTDOWN;
        if (!call.willing) return SK_EMPTY;
        if (call.until == 0) return SK_BUSY;
        rc = sk_queue_ring(s, q, r);
        if (rc != SK_OK) return rc;
        const void *next = sk_ring_at(r, sk_units(seen));
        rc = sk_queue_wait_round(s, &q->tail, seen, &q->items, state, sk_queue_maxsize(q), next, &began,
                                 SK_PARK_SLICE_NS, call.until);
        if (rc == SK_OK && sk_load64_relaxed(&q->tail) != seen) rc = SK_INTERRUPTED;
        if (rc != SK_OK) return rc;
    }
}

/* Whether an item comes within two or three microseconds: for a caller that has no other work to do meanwhile. */
static inline bool sk_queue_glance(sk_segment *s) {
    sk_queue *q = sk_queue_of(s);
    sk_ring r;
    uint64_t head = sk_load64_acquire(&q->head);
    if (sk_load32_relaxed(&s->waiter.one_core) || sk_queue_ring(s, q, &r) != SK_OK) return false;
    for (uint32_t i = 0; i < SK_PATIENCE_MIN * 4; i++) {
        __builtin_prefetch(sk_ring_at(&r, sk_units(head)));
        if (sk_load64_relaxed(&q->tail) != head) return true;
        sk_relax();
    }
    return false;
}

/* Read the header of the record at `head`. SK_CORRUPT if it is no valid header, or if the record ends after `tail`. */
static inline int sk_queue_read_head(const sk_ring *r, uint64_t head, uint64_t tail, sk_found *found) {
    uint64_t head_word = sk_ring_head_at(r, sk_units(head));
    found->head = head;
    found->payload = sk_record_payload(head_word);
    found->kind = sk_record_kind(head_word);
    uint32_t units_used = sk_units(tail) - sk_units(head);
    return sk_record_sound(head_word) && sk_record_units(found->payload) <= units_used ? SK_OK : SK_CORRUPT;
}

SK_HOT static inline void sk_queue_commit_get(sk_queue *q, uint64_t head, uint32_t items) {
    sk_store64_release(&q->head, head); /* commits the get. R4: pairs with A4 */
    sk_queue_free_get(q);
    if (sk_queue_maxsize(q) != 0) sk_queue_notify_producers(q, items);
}

/* Take the first record into `room` bytes at `to`. SK_LARGER: the record stays; *found describes it, and `to` holds its
 * first `room` bytes. Also SK_EMPTY, SK_SHUTDOWN, SK_CORRUPT, and the other results of sk_queue_begin_get. */
SK_HOT static inline int sk_queue_get(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    uint64_t head = 0, tail = 0;
    sk_ring r;
    int rc = sk_queue_begin_get(s, q, call, &head, &tail, &r);
    if (rc != SK_OK) return rc;
    rc = sk_queue_read_head(&r, head, tail, found);
    if (rc == SK_OK) {
        uint64_t take = found->payload < room ? found->payload : room;
        sk_queue_read(&r, &q->get_moves, sk_units(head), SK_RECORD_HEAD, to, take);
        if (take < found->payload) rc = SK_LARGER;
    }
    if (rc != SK_OK) {
        sk_queue_free_get(q);
        return rc;
    }
    uint32_t units = (uint32_t)sk_record_units(found->payload);
    sk_queue_commit_get(q, sk_position_plus(head, 1, units), 1);
    return SK_OK;
}

/* Take the record that an earlier call found. Its first `skip` bytes are not copied, because that call copied them.
 * SK_LARGER: another consumer has taken the record; start again. Never waits for an item. */
static inline int sk_queue_get_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    uint64_t head = 0, tail = 0;
    sk_ring r;
    call.willing = false;
    int rc = sk_queue_begin_get(s, q, call, &head, &tail, &r);
    if (rc != SK_OK) return rc == SK_EMPTY ? SK_LARGER : rc;
    sk_found found;
    rc = sk_queue_read_head(&r, head, tail, &found);
    if (rc == SK_OK && (found.head != wanted->head || found.payload != wanted->payload)) rc = SK_LARGER;
    if (rc == SK_OK) sk_queue_read(&r, &q->get_moves, sk_units(head), SK_RECORD_HEAD + skip, to, found.payload - skip);
    if (rc != SK_OK) {
        sk_queue_free_get(q);
        return rc;
    }
    uint32_t units = (uint32_t)sk_record_units(found.payload);
    sk_queue_commit_get(q, sk_position_plus(head, 1, units), 1);
    return SK_OK;
}

/* Take up to *items whole records, at most *units units of them, into the memory at `to`, in one commit. Afterwards
 * *items and *units say how many were taken.
 * SK_LARGER: the first record does not fit, and stays; *found describes it, and `to` holds the beginning of its
 * payload. */
static inline int sk_queue_get_records(sk_segment *s, unsigned char *to, uint32_t *items, uint64_t *units,
                                       sk_found *found, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    uint64_t head = 0, tail = 0, end, room = *units;
    uint32_t most = *items, n = 0;
    sk_ring r = {0};
    *items = 0;
    *units = 0;
    int rc = sk_queue_begin_get(s, q, call, &head, &tail, &r);
    if (rc != SK_OK) return rc;
    if (n < most) { /* a batch takes all items that there are: read the tail and not the hint */
        tail = sk_load64_acquire(&q->tail); /* A5: pairs with R5 */
        sk_store64_relaxed(&q->tail_seen, tail);
        rc = sk_queue_ring(s, q, &r); /* again: the new tail may lie outside the ring as read before */
        if (rc == SK_OK && !sk_queue_sound(&r, head, tail)) rc = SK_CORRUPT;
    }
    uint64_t whole = 0;
    for (end = head; rc == SK_OK && n < most && end != tail; n++) {
        sk_found here;
        rc = sk_queue_read_head(&r, end, tail, &here);
        uint64_t more = sk_record_units(here.payload);
        if (rc != SK_OK || whole + more > room) {
            if (rc == SK_OK && n == 0) {
                *found = here;
                sk_ring_read(&r, sk_units(end), SK_RECORD_HEAD, to, room * SK_UNIT < here.payload ? room * SK_UNIT : here.payload);
                rc = SK_LARGER;
            }
            break;
        }
        whole += more;
        end = sk_position_plus(end, 1, (uint32_t)more);
    }
    if (rc != SK_OK) {
        sk_queue_free_get(q);
        return rc;
    }
    sk_queue_read(&r, &q->get_moves, sk_units(head), 0, to, whole * SK_UNIT);
    sk_queue_commit_get(q, end, n);
    *items = n;
    *units = whole;
    return SK_OK;
}

#endif
