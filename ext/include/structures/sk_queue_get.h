/* Taking records out of a queue: see sk_queue.h for the layout and the reasoning.
 *
 * The caller provides the memory for the item, so nothing is allocated under the lock. A first call with a small buffer
 * either takes the item or returns its size (SK_LARGER). The second call provides a buffer of that size, and takes the
 * item only if it is still the first. */
#ifndef SK_QUEUE_GET_H
#define SK_QUEUE_GET_H

#include "structures/sk_queue_room.h"

/* Whether the queue is certainly empty. The two positions are read one after the other; if they are equal, they were
 * equal when the second one was read. */
static inline bool sk_queue_is_empty(const sk_queue *q, uint64_t *tail) {
    uint64_t head = sk_load64_acquire(&q->head);
    *tail = sk_load64_acquire(&q->tail);
    return head == *tail;
}

/* Where a get found its record, under get_lock. */
typedef struct sk_first {
    uint64_t head; /* position of the record */
    uint64_t tail; /* the record ends before this position */
    uint32_t row;  /* of a record that came back; SK_FORGONE_NO_ROW: it is the one at the head of the queue */
    sk_ring ring;
} sk_first;

/* Under get_lock: find the first record. SK_OK, SK_EMPTY, SK_SHUTDOWN, SK_CORRUPT. */
SK_HOT static inline int sk_queue_find(sk_segment *s, sk_queue *q, sk_first *at) {
    at->head = sk_load64_relaxed(&q->head);
    at->row = SK_FORGONE_NO_ROW;
    if (sk_load32_relaxed(&q->state) == SK_QUEUE_ENDED) return SK_SHUTDOWN;
    if (__builtin_expect(sk_load32_relaxed(&q->leases.rows) != 0, 0) && sk_leases_trim(&q->leases, sk_queue_rows(q)) != 0 &&
        sk_leases_late(&q->leases))
        sk_leases_recover(s, &q->leases, sk_queue_rows(q));
    if (__builtin_expect(sk_load32_relaxed(&q->leases.back) != 0, 0)) {
        at->tail = at->head;
        if (sk_leases_first(&q->leases, sk_queue_rows(q), &at->row, &at->head)) {
            int rc = sk_queue_ring(s, q, &at->ring);
            return rc == SK_OK && !sk_ring_spans(&at->ring, sk_units(at->head), sk_units(at->tail)) ? SK_CORRUPT : rc;
        }
    }
    at->tail = sk_load64_relaxed(&q->tail_seen);
    if (at->tail == at->head) {
        at->tail = sk_load64_acquire(&q->tail); /* A5: pairs with R5 */
        sk_store64_relaxed(&q->tail_seen, at->tail);
    }
    if (at->tail == at->head) return SK_EMPTY;
    int rc = sk_queue_ring(s, q, &at->ring);
    return rc == SK_OK && !sk_queue_sound(&at->ring, at->head, at->tail) ? SK_CORRUPT : rc;
}

/* Whether a queue without an item may get one back. It cannot if no row is in use: a row comes into use only by taking
 * an item. */
static inline bool sk_queue_may_come_back(sk_queue *q) {
    const sk_lease_row *row = sk_queue_rows(q);
    for (uint32_t i = 0, rows = sk_leases_rows(&q->leases); i < rows; i++)
        if (sk_load64_acquire(&row[i].word) != 0) return true;
    return false;
}

/* The part of a get before it copies bytes: wait for an item, take the lock, find the ring. SK_OK: the caller holds
 * get_lock.
 * SK_INTERRUPTED is also the result when an item has come. So the caller first handles the signals that arrived during
 * the wait, and only then takes the item. */
SK_HOT static inline int sk_queue_begin_get(sk_segment *s, sk_queue *q, sk_call call, sk_first *at) {
    uint64_t began = 0;
    for (;;) {
        uint64_t seen;
        uint32_t state = sk_load32_acquire(&q->state);
        if (state == SK_QUEUE_ENDED) return SK_SHUTDOWN;
        int rc = SK_EMPTY;
        if (!sk_queue_is_empty(q, &seen) || sk_load32_relaxed(&q->leases.back) != 0 || sk_leases_late(&q->leases)) {
            rc = sk_queue_lock_get(s, q, call);
            if (rc != SK_OK) return rc;
            rc = sk_queue_find(s, q, at);
            if (rc == SK_OK) return rc;
            sk_queue_free_get(q);
            seen = at->tail;
        }
        if (rc != SK_EMPTY) return rc;
        /* No put follows the change of state. So nothing more comes if the queue was empty after the state was read,
         * except from leases. */
        if (state != SK_QUEUE_OPEN && !sk_queue_may_come_back(q)) return SK_SHUTDOWN;
        if (!call.willing) return SK_EMPTY;
        if (call.until == 0) return SK_BUSY;
        rc = sk_queue_ring(s, q, &at->ring);
        if (rc != SK_OK) return rc;
        const void *next = sk_ring_at(&at->ring, sk_units(seen));
        rc = sk_queue_wait_round(s, &q->tail, seen, &q->items, state, sk_queue_maxsize(q), next, &began,
                                 SK_PARK_SLICE_NS, call.until);
        if (rc == SK_OK && (sk_load64_relaxed(&q->tail) != seen || sk_load32_relaxed(&q->leases.back) != 0))
            rc = SK_INTERRUPTED;
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

/* Take `items` records at `at`, which end at `next`. */
SK_HOT static inline void sk_queue_commit_get(sk_queue *q, const sk_first *at, uint64_t next, uint32_t items) {
    if (__builtin_expect(at->row != SK_FORGONE_NO_ROW, 0)) {
        sk_store64_release(&sk_queue_rows(q)[at->row].word, 0); /* commits the get of a record that came back */
        sk_queue_free_get(q);
        return;
    }
    sk_store64_release(&q->head, next); /* commits the get. R4: pairs with A4 */
    sk_queue_free_get(q);
    if (sk_queue_maxsize(q) != 0) sk_queue_notify_producers(q, items);
}

/* Lease the record at `at`, which ends at `next`. SK_TOO_MANY: no row is free. */
SK_HOT static inline int sk_queue_commit_lease(sk_segment *s, sk_queue *q, const sk_first *at, uint64_t next,
                                               sk_lease *lease) {
    sk_lease_row *row = sk_queue_rows(q);
    uint32_t me = sk_me(s);
    if (__builtin_expect(at->row != SK_FORGONE_NO_ROW, 0)) {
        lease->row = at->row;
        lease->deliveries = sk_lease_again(sk_load64_relaxed(&row[at->row].word));
        lease->word = sk_lease_word(me, lease->deliveries, SK_LEASE_LEASED);
        sk_store64_release(&row[at->row].word, lease->word); /* commits the lease of a record that came back */
        sk_queue_free_get(q);
        return SK_OK;
    }
    lease->row = sk_leases_free_row(&q->leases, row);
    if (lease->row == SK_LEASES_ROWS) {
        sk_queue_free_get(q);
        return SK_TOO_MANY;
    }
    lease->deliveries = 1;
    lease->word = sk_lease_word(me, 1, SK_LEASE_LEASED);
    sk_leases_keep(&q->leases, row, lease->row, at->head, lease->word);
    sk_queue_commit_get(q, at, next, 1); /* commits the lease */
    return SK_OK;
}

/* Take the first record into `room` bytes at `to`; with `lease`, lease it. SK_LARGER: the record stays; *found
 * describes it, and `to` holds its first `room` bytes. Also SK_EMPTY, SK_SHUTDOWN, SK_CORRUPT, SK_TOO_MANY, and the
 * other results of sk_queue_begin_get. */
SK_HOT static inline int sk_queue_take(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_lease *lease,
                                       sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_first at;
    int rc = sk_queue_begin_get(s, q, call, &at);
    if (rc != SK_OK) return rc;
    rc = sk_queue_read_head(&at.ring, at.head, at.tail, found);
    if (rc == SK_OK) {
        uint64_t take = found->payload < room ? found->payload : room;
        sk_queue_read(&at.ring, &q->get_moves, sk_units(at.head), SK_RECORD_HEAD, to, take);
        if (take < found->payload) rc = SK_LARGER;
    }
    if (rc != SK_OK) {
        sk_queue_free_get(q);
        return rc;
    }
    uint64_t next = sk_position_plus(at.head, 1, (uint32_t)sk_record_units(found->payload));
    if (lease != NULL) return sk_queue_commit_lease(s, q, &at, next, lease);
    sk_queue_commit_get(q, &at, next, 1);
    return SK_OK;
}

SK_HOT static inline int sk_queue_get(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_call call) {
    return sk_queue_take(s, to, room, found, NULL, call);
}

/* Take or lease the record that an earlier call found. Its first `skip` bytes are not copied, because that call copied
 * them. SK_LARGER: another consumer has taken the record, or it has moved; start again. Never waits for an item. */
static inline int sk_queue_take_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted, sk_lease *lease,
                                      sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_first at;
    call.willing = false;
    int rc = sk_queue_begin_get(s, q, call, &at);
    if (rc != SK_OK) return rc == SK_EMPTY ? SK_LARGER : rc;
    sk_found found;
    rc = sk_queue_read_head(&at.ring, at.head, at.tail, &found);
    if (rc == SK_OK && (found.head != wanted->head || found.payload != wanted->payload)) rc = SK_LARGER;
    if (rc == SK_OK)
        sk_queue_read(&at.ring, &q->get_moves, sk_units(at.head), SK_RECORD_HEAD + skip, to, found.payload - skip);
    if (rc != SK_OK) {
        sk_queue_free_get(q);
        return rc;
    }
    uint64_t next = sk_position_plus(at.head, 1, (uint32_t)sk_record_units(found.payload));
    if (lease != NULL) return sk_queue_commit_lease(s, q, &at, next, lease);
    sk_queue_commit_get(q, &at, next, 1);
    return SK_OK;
}

static inline int sk_queue_get_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted, sk_call call) {
    return sk_queue_take_found(s, to, skip, wanted, NULL, call);
}

/* Wait as a get does, but take nothing: copy the first `room` bytes of the first record, which *found describes. */
static inline int sk_queue_look(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_first at;
    int rc = sk_queue_begin_get(s, q, call, &at);
    if (rc != SK_OK) return rc;
    rc = sk_queue_read_head(&at.ring, at.head, at.tail, found);
    if (rc == SK_OK) {
        uint64_t take = found->payload < room ? found->payload : room;
        sk_queue_read(&at.ring, &q->get_moves, sk_units(at.head), SK_RECORD_HEAD, to, take);
    }
    sk_queue_free_get(q);
    return rc;
}

/* Take up to *items whole records, at most *units units of them, into the memory at `to`, in one commit. Afterwards
 * *items and *units say how many were taken. A record that came back is taken by a commit of its own.
 * SK_LARGER: the first record does not fit, and stays; *found describes it, and `to` holds the beginning of its
 * payload. */
static inline int sk_queue_get_records(sk_segment *s, unsigned char *to, uint32_t *items, uint64_t *units,
                                       sk_found *found, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_first at = {0};
    uint64_t end, room = *units;
    uint32_t most = *items, n = 0;
    *items = 0;
    *units = 0;
    int rc = sk_queue_begin_get(s, q, call, &at);
    if (rc != SK_OK) return rc;
    if (at.row != SK_FORGONE_NO_ROW) most = most < 1 ? most : 1;
    else if (n < most) { /* a batch takes all items that there are: read the tail and not the hint */
        at.tail = sk_load64_acquire(&q->tail); /* A5: pairs with R5 */
        sk_store64_relaxed(&q->tail_seen, at.tail);
        rc = sk_queue_ring(s, q, &at.ring); /* again: the new tail may lie outside the ring as read before */
        if (rc == SK_OK && !sk_queue_sound(&at.ring, at.head, at.tail)) rc = SK_CORRUPT;
    }
    uint64_t whole = 0;
    for (end = at.head; rc == SK_OK && n < most && end != at.tail; n++) {
        sk_found here;
        rc = sk_queue_read_head(&at.ring, end, at.tail, &here);
        uint64_t more = sk_record_units(here.payload);
        if (rc != SK_OK || whole + more > room) {
            if (rc == SK_OK && n == 0) {
                *found = here;
                sk_ring_read(&at.ring, sk_units(end), SK_RECORD_HEAD, to,
                             room * SK_UNIT < here.payload ? room * SK_UNIT : here.payload);
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
    sk_queue_read(&at.ring, &q->get_moves, sk_units(at.head), 0, to, whole * SK_UNIT);
    if (n > 0) sk_queue_commit_get(q, &at, end, n);
    else sk_queue_free_get(q);
    *items = n;
    *units = whole;
    return SK_OK;
}

#endif
