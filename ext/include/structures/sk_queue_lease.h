/* Ending leases, and letting items leave without taking them: see sk_leases.h and sk_forgone.h.
 *
 * sk_queue_get.h has the beginning of a lease. A lease ends without a lock, so that a handler or a finalizer that ends
 * it never waits. */
#ifndef SK_QUEUE_LEASE_H
#define SK_QUEUE_LEASE_H

#include "structures/sk_queue_get.h"
#include "structures/sk_queue_state.h"

static inline int sk_queue_lease(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_lease *lease, sk_call call) {
    return sk_queue_take(s, to, room, found, lease, call);
}

static inline int sk_queue_lease_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted, sk_lease *lease,
                                       sk_call call) {
    return sk_queue_take_found(s, to, skip, wanted, lease, call);
}

/* Copy the payload of a leased record, which has `size` bytes. SK_OK; SK_GONE: the lease has ended, or is another
 * process's; SK_CORRUPT; and the results of sk_queue_lock_get. */
static inline int sk_queue_read_lease(sk_segment *s, const sk_lease *lease, void *to, uint64_t size, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    const sk_lease_row *row = sk_queue_rows(q);
    sk_ring r = {0};
    sk_found found;
    if (lease->word == 0 || lease->row >= SK_LEASES_ROWS) return SK_GONE;
    int rc = sk_queue_lock_get(s, q, call);
    if (rc != SK_OK) return rc;
    uint64_t head = sk_load64_relaxed(&q->head), record = sk_load64_relaxed(&row[lease->row].record);
    if (sk_lease_owner(lease->word) != sk_me(s) || sk_load64_relaxed(&row[lease->row].word) != lease->word) rc = SK_GONE;
    else rc = sk_queue_ring(s, q, &r);
    if (rc == SK_OK && !sk_ring_spans(&r, sk_units(record), sk_units(head))) rc = SK_CORRUPT;
    if (rc == SK_OK) rc = sk_queue_read_head(&r, record, head, &found);
    if (rc == SK_OK && found.payload != size) rc = SK_CORRUPT;
    if (rc == SK_OK) sk_queue_read(&r, &q->get_moves, sk_units(record), SK_RECORD_HEAD, to, size);
    sk_queue_free_get(q);
    return rc;
}

/* End a lease: the item is taken for good. False: the lease had ended, or is another process's. */
static inline bool sk_queue_settle(sk_segment *s, sk_lease *lease) {
    sk_queue *q = sk_queue_of(s);
    if (!sk_lease_end(s, &q->leases, sk_queue_rows(q), lease, SK_LEASE_FREE)) return false;
    /* Consumers of a queue that was shut down wait for the end of the last lease. */
    if (__builtin_expect(sk_load32_relaxed(&q->state) != SK_QUEUE_OPEN, 0)) sk_eventcount_notify(&q->items, SK_EVERYBODY);
    return true;
}

/* End a lease: the item comes back, before all others. */
static inline bool sk_queue_give_back(sk_segment *s, sk_lease *lease) {
    sk_queue *q = sk_queue_of(s);
    if (!sk_lease_end(s, &q->leases, sk_queue_rows(q), lease, SK_LEASE_BACK)) return false;
    bool open = sk_load32_relaxed(&q->state) == SK_QUEUE_OPEN;
    sk_eventcount_notify(&q->items, open ? 1 : SK_EVERYBODY);
    if (!open) sk_queue_notify_joiners(q); /* if the queue was ended at once, the item counts as done */
    return true;
}

/* End a lease: the item leaves the queue without being taken, and counts as done. SK_OK; SK_GONE: the lease had ended,
 * or is another process's; and the results of sk_queue_lock_get. */
static inline int sk_queue_forgo(sk_segment *s, sk_lease *lease, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_lease_row *row = sk_queue_rows(q);
    if (lease->word == 0 || lease->row >= SK_LEASES_ROWS) return SK_GONE;
    int rc = sk_queue_lock_get(s, q, call);
    if (rc != SK_OK) return rc;
    if (sk_lease_owner(lease->word) != sk_me(s) || sk_load64_relaxed(&row[lease->row].word) != lease->word) rc = SK_GONE;
    else sk_forgone_commit(&q->forgone, &q->head, row, sk_load64_relaxed(&q->head), lease->row, 1, false);
    sk_queue_free_get(q);
    lease->word = 0;
    if (rc == SK_OK) sk_queue_notify_joiners(q);
    if (rc == SK_OK && sk_load32_relaxed(&q->state) != SK_QUEUE_OPEN) sk_eventcount_notify(&q->items, SK_EVERYBODY);
    return rc;
}

/* Let all items leave that are in the queue; *n is their number. Those that came back leave one by one, the others by
 * one commit. SK_OK, or the result of sk_queue_lock_get, with *n = 0. */
static inline int sk_queue_clear(sk_segment *s, uint64_t *n, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    sk_lease_row *row = sk_queue_rows(q);
    uint32_t at, items = 0;
    uint64_t record;
    *n = 0;
    int rc = sk_queue_lock_get(s, q, call);
    if (rc != SK_OK) return rc;
    if (sk_load32_relaxed(&q->state) != SK_QUEUE_ENDED) {
        uint64_t head = sk_load64_relaxed(&q->head), tail = sk_load64_acquire(&q->tail); /* A5: pairs with R5 */
        for (; sk_leases_first(&q->leases, row, &at, &record); ++*n)
            sk_forgone_commit(&q->forgone, &q->head, row, head, at, 1, false);
        items = sk_items(tail) - sk_items(head);
        if (items > 0) sk_forgone_commit(&q->forgone, &q->head, row, tail, SK_FORGONE_NO_ROW, items, false);
        sk_store64_relaxed(&q->tail_seen, tail);
        *n += items;
    }
    sk_queue_free_get(q);
    if (items > 0 && sk_queue_maxsize(q) != 0) sk_queue_notify_producers(q, items);
    if (*n > 0) sk_queue_notify_joiners(q);
    return SK_OK;
}

#endif
