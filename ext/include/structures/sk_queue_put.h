/* Putting records into a queue: see sk_queue.h for the layout and the reasoning. */
#ifndef SK_QUEUE_PUT_H
#define SK_QUEUE_PUT_H

#include "structures/sk_queue_room.h"

/* Under put_lock: for how many items there is room, at most `most`. If 0, *head is the position on which to wait. */
static inline uint32_t sk_queue_item_room(sk_queue *q, uint64_t tail, uint32_t most, uint64_t *head) {
    uint64_t maxsize = sk_queue_maxsize(q);
    if (maxsize == 0) return most;
    for (int fresh = 0; fresh < 2; fresh++) {
        *head = fresh ? sk_forgone_head(&q->forgone, &q->head) : sk_load64_relaxed(&q->head_seen); /* A4 in there */
        sk_store64_relaxed(&q->head_seen, *head);
        uint64_t there = sk_items(tail) - sk_items(*head);
        if (there < maxsize) {
            uint64_t room = maxsize - there;
            if (room >= most || fresh) return room < most ? (uint32_t)room : most;
        }
    }
    return 0;
}

/* Under put_lock, with no room for items: drop the first ones, so that there is room for `most` items or as many as
 * `maxsize` allows. They leave by one commit (sk_forgone.h). If memory is short afterwards, they are gone all the
 * same. */
SK_COLD static inline int sk_queue_drop(sk_segment *s, sk_queue *q, uint64_t tail, uint32_t most, sk_call call) {
    int rc = sk_queue_lock_get(s, q, call);
    if (rc != SK_OK) return rc;
    uint64_t head = sk_load64_relaxed(&q->head), maxsize = sk_queue_maxsize(q), next = head;
    uint64_t there = sk_items(tail) - sk_items(head), wanted = there + (most < maxsize ? most : maxsize);
    uint32_t n = maxsize != 0 && wanted > maxsize ? (uint32_t)(wanted - maxsize) : 0;
    sk_ring r = {0};
    rc = sk_queue_ring(s, q, &r);
    if (rc == SK_OK && !sk_queue_sound(&r, head, tail)) rc = SK_CORRUPT;
    for (uint32_t i = 0; rc == SK_OK && i < n && next != tail; i++) {
        sk_found found;
        rc = sk_queue_read_head(&r, next, tail, &found);
        if (rc == SK_OK) next = sk_position_plus(next, 1, (uint32_t)sk_record_units(found.payload));
    }
    if (rc == SK_OK && next != head)
        sk_forgone_commit(&q->forgone, &q->head, sk_queue_rows(q), next, SK_FORGONE_NO_ROW,
                          sk_items(next) - sk_items(head), true);
    sk_store64_relaxed(&q->tail_seen, tail); /* the hint must not be before the head */
    sk_queue_free_get(q);
    return rc;
}

/* Under put_lock, with room for `need` units behind the tail: make sure that the new tail is less than two lengths past
 * the origin. If it is not, the head is at least one length past the origin, because head and new tail are within one
 * length of each other; so the origin moves on by one length. A consumer may meanwhile use either origin: with both,
 * each unit between its head and tail is at the same place. */
static inline int sk_queue_keep_origin(sk_queue *q, uint64_t tail, uint64_t need, sk_ring *r) {
    uint64_t past = (uint32_t)(sk_units(tail) - r->origin) + need, length = r->units;
    if (__builtin_expect(past < 2 * length, 1)) return SK_OK;
    if (past >= 3 * length) return SK_CORRUPT;
    r->origin += r->units;
    sk_store64_release(&q->geometry, sk_geometry(r->units, r->origin)); /* R3: pairs with A3 */
    return SK_OK;
}

/* Under put_lock: read the ring, and make room for `need` units behind the tail. */
/* Under put_lock, with no room behind the tail because records that were taken stay: move those together. */
SK_COLD static inline int sk_queue_compact(sk_segment *s, sk_queue *q, uint64_t tail, const sk_ring *r, sk_call call) {
    int rc = sk_queue_lock_get(s, q, call);
    if (rc != SK_OK) return rc;
    uint64_t head = sk_load64_relaxed(&q->head);
    uint32_t *moves[2] = {&q->put_moves, &q->get_moves};
    sk_leases_find_kept(&q->leases, sk_queue_rows(q), head);
    uint32_t base = sk_leases_base(&q->leases, head);
    if (!sk_ring_spans(r, base, sk_units(tail))) rc = SK_CORRUPT;
    else if (base != sk_units(head)) rc = sk_leases_compact(&q->leases, sk_queue_rows(q), r, head, moves);
    sk_store64_relaxed(&q->base_seen, sk_leases_base(&q->leases, head));
    sk_queue_free_get(q);
    return rc;
}

/* Under put_lock: read the ring, and make room for `need` units behind the tail. */
SK_HOT static inline int sk_queue_unit_room(sk_segment *s, sk_queue *q, uint64_t tail, uint64_t need, sk_call call,
                                     sk_ring *r) {
    for (bool compacted = false;;) {
        int rc = sk_queue_ring(s, q, r);
        if (rc != SK_OK) return rc;
        uint32_t base = (uint32_t)sk_load64_relaxed(&q->base_seen), used = sk_units(tail) - base;
        if (used + need <= r->units) return sk_queue_keep_origin(q, tail, need, r);
        base = sk_queue_base(q); /* A2, A4 in there */
        sk_store64_relaxed(&q->base_seen, base);
        if (!sk_ring_spans(r, base, sk_units(tail))) return SK_CORRUPT;
        used = sk_units(tail) - base;
        if (used + need <= r->units) return sk_queue_keep_origin(q, tail, need, r);
        if (sk_load64_relaxed(&q->leases.kept) != 0 && !compacted) {
            if (call.until == 0) return SK_BUSY;
            rc = sk_queue_compact(s, q, tail, r, call);
            if (rc != SK_OK) return rc;
            compacted = true;
            base = (uint32_t)sk_load64_relaxed(&q->base_seen);
            used = sk_units(tail) - base;
            /* With a quarter of the ring free, the next compaction is far enough away. */
            if (used + need <= r->units - r->units / 4) continue;
        }
        rc = sk_queue_grow(s, q, r, base, used, need, call);
        if (rc != SK_OK && !(compacted && used + need <= r->units)) return rc;
        if (rc != SK_OK) return sk_queue_keep_origin(q, tail, need, r); /* it cannot grow, but there is room */
    }
}

/* The first part of a put: take the lock, and wait until `maxsize` leaves room for one item or more, at most *items.
 * SK_OK: the caller holds put_lock, *items is that number, and the token of the call, if it had one, is released. */
SK_HOT static inline int sk_queue_begin_put(sk_segment *s, sk_queue *q, uint32_t *items, sk_call call, uint64_t *tail) {
    uint64_t began = 0;
    for (;;) {
        int rc = sk_queue_lock_put(s, q, call);
        if (rc != SK_OK) return rc;
        uint64_t head = 0;
        uint32_t room = 0;
        *tail = sk_load64_relaxed(&q->tail);
        uint64_t maxsize = sk_queue_maxsize(q);
        if (sk_load32_relaxed(&q->state) != SK_QUEUE_OPEN) rc = SK_SHUTDOWN;
        else if ((room = sk_queue_item_room(q, *tail, *items, &head)) == 0) {
            rc = sk_queue_drops(s) ? sk_queue_drop(s, q, *tail, *items, call) : SK_FULL;
            if (rc == SK_OK && (room = sk_queue_item_room(q, *tail, *items, &head)) == 0) rc = SK_FULL;
        }
        else if (maxsize != 0 && call.willing && sk_queue_barred(s, q, call.wait)) rc = SK_BUSY;
        if (rc == SK_OK) {
            *items = room;
            sk_queue_release_token(s, q, call.wait);
            return SK_OK;
        }
        sk_queue_free_put(q);
        if ((rc != SK_FULL && rc != SK_BUSY) || !call.willing) return rc;
        if (call.until == 0) return SK_BUSY;
        if (rc == SK_FULL) {
            uint64_t slice = sk_queue_ask(s, q, call.wait, head);
            uint32_t *event = sk_queue_has_token(s, q, call.wait) ? &q->next : &q->room;
            rc = sk_queue_wait_round(s, &q->head, head, event, SK_QUEUE_OPEN, maxsize, q, &began, slice, call.until);
        } else {
            rc = sk_queue_step_back(s, q, &began, call.until);
            if (rc == SK_TIMEOUT) { /* there was room: at the deadline take it, and ignore the token */
                call.wait = NULL;
                continue;
            }
        }
        if (rc != SK_OK) return rc;
    }
}

SK_HOT static inline void sk_queue_commit_put(sk_queue *q, uint64_t tail, uint32_t items) {
    sk_store64_release(&q->tail, tail); /* commits the put. R5: pairs with A5 */
    sk_queue_free_put(q);
    sk_eventcount_notify(&q->items, (int)(items < 1024 ? items : 1024));
}

/* Put one record, gathered from parts. SK_OK, SK_FULL, SK_SHUTDOWN, SK_TOO_LARGE, SK_NO_MEMORY, SK_CORRUPT; from
 * waiting: SK_BUSY, SK_TIMEOUT, SK_INTERRUPTED (call again), SK_STALLED (see sk_call). */
SK_HOT static inline int sk_queue_put(sk_segment *s, const sk_part *parts, uint32_t n, uint32_t kind, sk_call call) {
    sk_queue *q = sk_queue_of(s);
    uint64_t payload = 0, tail = 0;
    for (uint32_t i = 0; i < n; i++) payload += parts[i].len;
    if (payload > SK_PAYLOAD_MAX) return SK_TOO_LARGE;
    uint32_t units = (uint32_t)sk_record_units(payload), items = 1;
    int rc = sk_queue_begin_put(s, q, &items, call, &tail);
    if (rc != SK_OK) return rc;
    sk_ring r;
    rc = sk_queue_unit_room(s, q, tail, units, call, &r);
    if (rc != SK_OK) {
        sk_queue_free_put(q);
        return rc;
    }
    uint64_t head = sk_record_head(payload, kind), offset = SK_RECORD_HEAD;
    sk_ring_write(&r, sk_units(tail), 0, &head, SK_RECORD_HEAD);
    for (uint32_t i = 0; i < n; i++) {
        sk_queue_write(&r, &q->put_moves, sk_units(tail), offset, parts[i].at, parts[i].len);
        offset += parts[i].len;
    }
    sk_queue_commit_put(q, sk_position_plus(tail, 1, units), 1);
    return SK_OK;
}

#define SK_BATCH_UNITS (1u << 16) /* most units in one commit, so that a large batch needs no ring of its own size */

/* Choose a batch: the first of the `*items` whole records, as many as fit in `most` units, but at least one. Returns
 * its units, and the number of records in *items. */
static inline uint64_t sk_queue_batch(const unsigned char *records, uint32_t *items, uint64_t most) {
    uint64_t whole = 0;
    for (uint32_t i = 0; i < *items; i++) {
        uint64_t head;
        memcpy(&head, records + whole * SK_UNIT, sizeof head);
        uint64_t more = sk_record_units(sk_record_payload(head));
        if (i > 0 && whole + more > most) *items = i;
        else whole += more;
    }
    return whole;
}

/* Put as many of the `*items` whole records at `records` as there is room for, in one commit.
 * Afterwards *items and *units say how many were put; results as for sk_queue_put. */
static inline int sk_queue_put_records(sk_segment *s, const unsigned char *records, uint32_t *items, uint64_t *units,
                                       sk_call call) {
    sk_queue *q = sk_queue_of(s);
    uint64_t tail = 0, whole = 0;
    uint32_t room = *items;
    *units = 0;
    *items = 0;
    int rc = sk_queue_begin_put(s, q, &room, call, &tail);
    if (rc != SK_OK) return rc;
    sk_ring r;
    for (uint64_t most = SK_BATCH_UNITS;; most = whole / 2) {
        whole = sk_queue_batch(records, &room, most);
        rc = whole > SK_PAYLOAD_MAX / SK_UNIT ? SK_TOO_LARGE : sk_queue_unit_room(s, q, tail, whole, call, &r);
        if (rc != SK_NO_MEMORY || room == 1) break; /* if memory is short, half of them may fit */
    }
    if (rc != SK_OK) {
        sk_queue_free_put(q);
        return rc;
    }
    sk_queue_write(&r, &q->put_moves, sk_units(tail), 0, records, whole * SK_UNIT);
    sk_queue_commit_put(q, sk_position_plus(tail, room, (uint32_t)whole), room);
    *items = room;
    *units = whole;
    return SK_OK;
}

#endif
