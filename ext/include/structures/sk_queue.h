/* A queue of records: a byte ring with a word for producers and a word for consumers.
 *
 *   offset  what                                      written by
 *   0       put_lock, put_moves, head_seen            producers, head_seen under put_lock; moves: see sk_stall.h
 *   128     tail: position behind the last record     under put_lock; its store commits a put
 *   256     get_lock, get_moves, tail_seen            consumers, tail_seen under get_lock
 *   384     head: position of the first record        under get_lock; its store commits a get
 *   512     items, room, idle, next: eventcounts      waiters prepare, wakers notify (sk_wait.h)
 *   528     token of a producer: see sk_wait_state.h  producers that wait for room, by compare-and-swap
 *   640     done: items declared done                 any thread, by compare-and-swap
 *   768     geometry                                  under put_lock; if the ring grows, under both locks
 *           state                                     under both locks
 *           maxsize                                   any thread, by one store
 *   then    the ring, from a page of its own to the end of the file
 *
 * Deaths. If a process dies in a put (get) before the store of tail (head), the put never happened; after the store it
 * is done. The next process takes over the lock. If a process dies while the ring grows: growing reserves memory behind
 * the ring, copies there the records that must move, and stores `geometry`. Before that store the new part is unused
 * space, which repair gives back; after it the former places of those records are unused. Counts are differences of
 * positions, so no count can disagree. shutdown(immediate) is one store of `state`: the positions freeze, nothing is
 * drained, and counts are read differently from then on.
 * Fairness. A producer that sleeps at a full queue would lose against one that never pauses, which is awake when there
 * is room. So a producer takes the token if others took the room that it waited for and it still waits after 20 ms; the
 * others honour the token as sk_wait_state.h says. The holder of the token sleeps on `next`, the others on `room`. A
 * get notifies the holder first, and the holder notifies one more producer when it has released the token. Consumers
 * have no token, because it makes no difference which consumer gets an item.
 * Stopped processes. If the holder of a lock is stopped inside (SIGSTOP), the lock must stay taken. A caller without a
 * deadline waits on; a caller with a deadline keeps it; a caller that does not wait for an item or for room gets
 * SK_STALLED when the holder has made no progress for 80 ms. Counts, join and task_done take no lock.
 * Order of locks: put_lock before get_lock. head_seen and tail_seen are hints for the holder of each lock, so that it
 * reads the other side's cache line only once in many operations. */
#ifndef SK_QUEUE_H
#define SK_QUEUE_H

#include "structures/sk_ring.h"
#include "core/sk_call.h"

#define SK_QUEUE_OPEN 0u
#define SK_QUEUE_DRAINING 1u /* no more puts; gets until empty */
#define SK_QUEUE_ENDED 2u    /* no more puts and no more gets */

typedef struct sk_queue {
    uint32_t put_lock;
    uint32_t put_moves;
    uint64_t head_seen;
    unsigned char line0[SK_LINE - 16];
    uint64_t tail;
    unsigned char line1[SK_LINE - 8];
    uint32_t get_lock;
    uint32_t get_moves;
    uint64_t tail_seen;
    unsigned char line2[SK_LINE - 16];
    uint64_t head;
    unsigned char line3[SK_LINE - 8];
    uint32_t items, room, idle, next;
    uint64_t token;
    unsigned char line4[SK_LINE - 24];
    uint32_t done;
    unsigned char line5[SK_LINE - 4];
    uint64_t geometry;
    uint64_t maxsize; /* items at most; 0: as many as memory holds */
    uint32_t state;
    unsigned char line6[SK_LINE - 20];
} sk_queue;
_Static_assert(offsetof(sk_queue, tail) == 128 && offsetof(sk_queue, head) == 384 &&
                   offsetof(sk_queue, items) == 512 && offsetof(sk_queue, token) == 528,
               "diagram and struct agree");
_Static_assert(offsetof(sk_queue, geometry) == 768 && sizeof(sk_queue) == 896, "diagram and struct agree");

/* header.param of a queue */
#define SK_QUEUE_MAXSIZE 0 /* the maxsize at creation */
#define SK_QUEUE_FLOOR 1   /* the offset of the ring in the file */
#define SK_QUEUE_LOG2 2    /* log2 of the number of units of the first ring */
#define SK_QUEUE_START 3   /* the first position */

enum sk_queue_side { SK_QUEUE_PUT = 1, SK_QUEUE_GET = 2 }; /* sk_stall.which */

static inline sk_queue *sk_queue_of(const sk_segment *s) { return sk_body_of(s); }
static inline uint64_t sk_queue_maxsize(const sk_queue *q) { return sk_load64_relaxed(&q->maxsize); }
static inline uint64_t sk_queue_floor(const sk_segment *s) { return sk_header_of(s)->param[SK_QUEUE_FLOOR]; }

SK_HOT static inline int sk_queue_ring(sk_segment *s, const sk_queue *q, sk_ring *r) {
    return sk_ring_of(s, sk_load64_acquire(&q->geometry), sk_queue_floor(s), r); /* A3: pairs with R3 */
}

/* Whether both positions lie within one ring. */
static inline bool sk_queue_sound(const sk_ring *r, uint64_t head, uint64_t tail) {
    uint32_t units = sk_units(tail) - sk_units(head), items = sk_items(tail) - sk_items(head);
    return sk_ring_spans(r, sk_units(head), sk_units(tail)) && items <= units && (items == 0) == (units == 0);
}

/* --- locks and repair --------------------------------------------------------------------------- */

/* Give memory back to the system piece by piece. */
static inline void sk_queue_discard(const sk_segment *s, uint32_t *moves, uint64_t from, uint64_t to) {
    for (uint64_t piece = 4 * SK_STALL_RESERVE; from < to; from += piece) {
        sk_segment_discard(s, from, to - from < piece ? to : from + piece);
        sk_lock_moves(moves);
    }
}

/* Repair after a death: give back all memory behind the ring, which a growing process may have reserved. */
SK_COLD static inline int sk_queue_repair_put(sk_segment *s, sk_queue *q) {
    sk_ring r;
    int rc = sk_queue_ring(s, q, &r);
    if (rc != SK_OK) return rc;
    sk_store64_relaxed(&q->head_seen, sk_load64_acquire(&q->head));
    int64_t size = sk_segment_size(s);
    if (size > 0) sk_queue_discard(s, &q->put_moves, sk_queue_floor(s) + sk_ring_bytes(&r), (uint64_t)size);
    return SK_OK;
}

static inline void sk_queue_free_put(sk_queue *q) { sk_lock_give_and_move(&q->put_lock, &q->put_moves); }
static inline void sk_queue_free_get(sk_queue *q) { sk_lock_give_and_move(&q->get_lock, &q->get_moves); }

/* The result for a caller that did not get the lock: `rc`, or SK_STALLED. */
static inline int sk_queue_judge(const uint32_t *word, const uint32_t *moves, enum sk_queue_side side, sk_call call,
                                 int rc) {
    if (call.wait == NULL || (rc != SK_INTERRUPTED && rc != SK_TIMEOUT)) return rc;
    int judged = sk_stall_judge(&call.wait->stall, word, moves, side, rc);
    return call.willing ? rc : judged;
}

SK_HOT static inline int sk_queue_lock_put(sk_segment *s, sk_queue *q, sk_call call) {
    int rc = sk_lock_take(s, &q->put_lock, call.until);
    if (__builtin_expect(rc == SK_OK, 1)) return rc;
    if (rc != SK_OWNER_DIED) return sk_queue_judge(&q->put_lock, &q->put_moves, SK_QUEUE_PUT, call, rc);
    rc = sk_queue_repair_put(s, q);
    if (rc != SK_OK) sk_queue_free_put(q);
    return rc;
}

SK_HOT static inline int sk_queue_lock_get(sk_segment *s, sk_queue *q, sk_call call) {
    int rc = sk_lock_take(s, &q->get_lock, call.until);
    if (__builtin_expect(rc == SK_OK, 1)) return rc;
    if (rc != SK_OWNER_DIED) return sk_queue_judge(&q->get_lock, &q->get_moves, SK_QUEUE_GET, call, rc);
    sk_store64_relaxed(&q->tail_seen, sk_load64_relaxed(&q->head)); /* the hint may have any value; head is safe */
    return SK_OK;
}

/* --- copies that may be long: the copying process counts up `moves` ------------------------------------ */

static inline void sk_queue_write(const sk_ring *r, uint32_t *moves, uint32_t unit, uint64_t offset, const void *from,
                                  uint64_t len) {
    for (; __builtin_expect(len > SK_STALL_COPY, 0); len -= SK_STALL_COPY, offset += SK_STALL_COPY) {
        sk_ring_write(r, unit, offset, from, SK_STALL_COPY);
        from = (const char *)from + SK_STALL_COPY;
        sk_lock_moves(moves);
    }
    sk_ring_write(r, unit, offset, from, len);
}

static inline void sk_queue_read(const sk_ring *r, uint32_t *moves, uint32_t unit, uint64_t offset, void *to,
                                 uint64_t len) {
    for (; __builtin_expect(len > SK_STALL_COPY, 0); len -= SK_STALL_COPY, offset += SK_STALL_COPY) {
        sk_ring_read(r, unit, offset, to, SK_STALL_COPY);
        to = (char *)to + SK_STALL_COPY;
        sk_lock_moves(moves);
    }
    sk_ring_read(r, unit, offset, to, len);
}

/* --- growing ------------------------------------------------------------------------------------- */

/* The number of units by which a ring must grow to hold `need` more, in whole pages, if `used` units from `head` on are
 * in use. */
static inline uint64_t sk_queue_lack(const sk_ring *r, uint32_t head, uint32_t used, uint64_t need) {
    uint64_t lack = used + need > r->units ? used + need - r->units : 0;
    uint64_t stretch = lack > 0 ? sk_ring_stretch(r, head, used) : 0;
    return sk_round_up(lack > stretch ? lack : stretch, SK_UNITS_PER_PAGE);
}

/* Make the reserved memory behind the ring part of the ring. */
static inline int sk_queue_lengthen(sk_segment *s, sk_queue *q, const sk_ring *old, uint64_t units, sk_call call) {
    sk_ring wide;
    sk_ring_copy copy;
    int rc = sk_ring_of(s, sk_geometry((uint32_t)units, old->origin), sk_queue_floor(s), &wide);
    if (rc == SK_OK) rc = sk_queue_lock_get(s, q, call);
    if (rc != SK_OK) return rc;
    uint64_t head = sk_load64_relaxed(&q->head), tail = sk_load64_relaxed(&q->tail);
    if (!sk_queue_sound(old, head, tail)) rc = SK_CORRUPT;
    else if (!sk_ring_lengthen(old, &wide, sk_units(head), sk_units(tail) - sk_units(head), &copy)) rc = sk_system(-ENOSPC);
    else {
        for (uint64_t done = 0, n; done < copy.len; done += n) {
            n = copy.len - done < SK_STALL_COPY ? copy.len - done : SK_STALL_COPY;
            memcpy(wide.at + copy.to + done, wide.at + copy.from + done, n);
            sk_lock_moves(&q->put_moves);
            sk_lock_moves(&q->get_moves);
        }
        sk_store64_release(&q->geometry, sk_geometry(wide.units, wide.origin)); /* commits growth. R3: pairs with A3 */
    }
    sk_queue_free_get(q);
    return rc;
}

/* Reserve memory piece by piece. */
static inline int sk_queue_reserve(const sk_segment *s, sk_queue *q, uint64_t from, uint64_t to) {
    int rc = SK_OK;
    for (uint64_t piece = SK_STALL_RESERVE; rc == SK_OK && from < to; from += piece) {
        rc = sk_segment_reserve(s, from, to - from < piece ? to : from + piece);
        sk_lock_moves(&q->put_moves);
    }
    return rc;
}

static inline int sk_queue_grow_by(sk_segment *s, sk_queue *q, const sk_ring *old, uint64_t units, sk_call call) {
    uint64_t from = sk_queue_floor(s) + sk_ring_bytes(old), to = from + units * SK_UNIT;
    int rc = sk_queue_reserve(s, q, from, to);
    if (rc == SK_OK) rc = sk_queue_lengthen(s, q, old, old->units + units, call);
    if (rc != SK_OK) {
        int reason = errno;
        sk_queue_discard(s, &q->put_moves, from, to);
        errno = reason;
    }
    return rc;
}

/* Under put_lock: make room for `need` more units. The ring doubles, as many times as needed. If memory is short, the
 * ring grows by the memory that is free, less a sixteenth for others; as a last resort, by what the item needs. */
SK_COLD static inline int sk_queue_grow(sk_segment *s, sk_queue *q, const sk_ring *old, uint64_t head, uint32_t used, uint64_t need,
                                sk_call call) {
    if (call.until == 0) return SK_BUSY;
    uint64_t lack = sk_queue_lack(old, sk_units(head), used, need), most = SK_RING_UNITS_MAX - old->units;
    if (lack > most) return sk_system(-ENOSPC);
    uint64_t wide = old->units;
    while (wide < lack) wide *= 2;
    int rc = sk_queue_lock_get(s, q, call); /* first see that we can get this lock: if the wait for it ended in
                                             * vain after reserving, all would have to be given back */
    if (rc != SK_OK) return rc;
    sk_queue_free_get(q);
    rc = sk_queue_grow_by(s, q, old, wide < most ? wide : most, call);
    if (rc != SK_NO_MEMORY && rc != SK_FILE_LIMIT) return rc;
    uint64_t left = sk_segment_room(s) / SK_PAGE;
    left = (left - left / 16) * SK_UNITS_PER_PAGE;
    if (left > lack && left < wide) rc = sk_queue_grow_by(s, q, old, left, call);
    return rc == SK_NO_MEMORY || rc == SK_FILE_LIMIT ? sk_queue_grow_by(s, q, old, lack, call) : rc;
}

/* --- waiting -------------------------------------------------------------------------------------- */

/* One round of a wait until the position is not `seen`, the state not `state` or the bound not `maxsize`. SK_OK: check
 * again; SK_TIMEOUT; SK_INTERRUPTED. The caller reads `next` afterwards. */
static inline int sk_queue_wait_round(sk_segment *s, uint64_t *position, uint64_t seen, uint32_t *event, uint32_t state,
                                      uint64_t maxsize, const void *next, uint64_t *began, uint64_t slice,
                                      uint64_t until) {
    int late = sk_check_deadline(began, until);
    if (late != SK_OK) return late;
    if (sk_spin_for(&s->waiter, sk_units_word(position), sk_units(seen), next)) return SK_OK;
    uint32_t raised = sk_eventcount_prepare(event);
    const sk_queue *q = sk_queue_of(s);
    /* Behind the fence of W1: either these loads see a change, or the process that made it sees the bit. */
    if (sk_load64_relaxed(position) != seen || sk_load32_relaxed(&q->state) != state) return SK_OK;
    if (sk_load64_relaxed(&q->maxsize) != maxsize) return SK_OK;
    int rc = sk_park_slice(&s->waiter, event, raised, slice, until);
    sk_aside_also(sk_units_word(position), sk_units(seen));
    return rc;
}

#endif
