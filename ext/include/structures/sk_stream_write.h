/* Writing messages: see sk_stream.h for the layout and the reasoning.
 *
 * A short message is copied and published under one hold of the lock. A longer one, and one that its writer fills in
 * place, takes three steps: claim slots (under the lock), fill them (without it), publish (under the lock). A claim
 * belongs to its process; sk_stream_drop gives it up. */
#ifndef SK_STREAM_WRITE_H
#define SK_STREAM_WRITE_H

#include "structures/sk_stream.h"

/* A writer that was overtaken waits this long before it takes the token: see sk_queue_room.h. */
#define SK_STREAM_LONG_NS 20000000u

/* The slots of a message that is not published yet. Private to its writer. */
typedef struct sk_stream_claim {
    uint32_t entry; /* which claim, + 1; 0: none */
    uint32_t slot;  /* the first slot */
} sk_stream_claim;

/* --- slots for a message; under the lock ------------------------------------------------------------------- */

/* Make the file longer by `more` slots at least; by more than that, if there is memory. */
SK_COLD static inline int sk_stream_grow(sk_segment *s, sk_stream *st, uint32_t more) {
    sk_slots m;
    if (sk_segment_is_private(s)) return SK_BUSY; /* its readers pin only for the time of a call */
    int rc = sk_stream_map(s, st, &m);
    if (rc != SK_OK) return rc;
    uint32_t most = SK_STREAM_SLOTS_MAX - m.count, wanted = m.count / 8 > more ? m.count / 8 : more;
    if (more > most) return SK_TOO_LARGE;
    if (wanted > most) wanted = most;
    uint64_t end = sk_stream_param(s, SK_STREAM_FLOOR) + m.count * m.stride;
    if (more > (SK_LARGEST - end) / m.stride) return SK_TOO_LARGE;
    for (;; wanted = more) {
        uint64_t to = end + wanted * m.stride, from = end;
        rc = SK_OK;
        for (; rc == SK_OK && from < to; from += SK_STALL_RESERVE) {
            rc = sk_segment_reserve(s, from, to - from < SK_STALL_RESERVE ? to : from + SK_STALL_RESERVE);
            sk_lock_moves(&st->moves);
        }
        if (rc == SK_OK) break;
        int reason = errno;
        sk_segment_discard(s, end, to);
        errno = reason;
        if ((rc != SK_NO_MEMORY && rc != SK_FILE_LIMIT) || wanted == more) return rc;
    }
    uint32_t before = m.count;
    sk_store32_release(&st->count, before + wanted); /* commits growth. R3: pairs with A3 */
    rc = sk_stream_map(s, st, &m);
    if (rc != SK_OK) return rc;
    for (uint32_t slot = before + wanted; slot-- > before;) sk_stream_push(&m, &st->free, slot);
    st->free_count += wanted;
    return SK_OK;
}

/* Make `n` slots free, by growth as a last resort. */
SK_COLD static inline int sk_stream_make_free(sk_segment *s, sk_stream *st, uint32_t n) {
    sk_slots m;
    int rc = sk_stream_map(s, st, &m);
    if (rc == SK_OK) rc = sk_stream_reclaim(s, st, &m);
    uint32_t over = st->free_count < n ? 0 : st->free_count - n + 1;
    if (over < st->lowest) st->lowest = over;
    if (rc != SK_OK || st->free_count >= n) return rc;
    rc = sk_stream_recover(s, st, 0);
    if (rc != SK_OK || st->free_count >= n) return rc;
    return sk_stream_grow(s, st, n - st->free_count);
}

/* Take the slots for a message of `payload` bytes: SK_OK, SK_TOO_LARGE, SK_NO_MEMORY, SK_FILE_LIMIT, SK_CORRUPT. */
SK_HOT static inline int sk_stream_take(sk_segment *s, sk_stream *st, uint64_t payload, uint32_t kind, sk_slots *m,
                                        uint32_t *first) {
    uint64_t room = sk_stream_slot_bytes(s), n = payload <= room ? 1 : (payload + room - 1) / room;
    int rc = SK_OK;
    if (n > SK_STREAM_SLOTS_MAX) return SK_TOO_LARGE;
    if (__builtin_expect(st->free_count < n, 0)) rc = sk_stream_make_free(s, st, (uint32_t)n);
    if (rc == SK_OK) rc = sk_stream_map(s, st, m);
    if (rc != SK_OK) return rc;
    uint32_t slot = 0, last;
    if (!sk_stream_pop(m, &st->free, first)) return SK_CORRUPT;
    last = *first;
    for (uint64_t i = 1; i < n; i++) {
        if (!sk_stream_pop(m, &st->free, &slot)) return SK_CORRUPT;
        sk_slot_at(m, last)->next = slot + 1;
        last = slot;
    }
    st->free_count -= (uint32_t)n;
    sk_slot *head = sk_slot_at(m, *first);
    head->payload = payload;
    head->kind = kind;
    sk_store32_relaxed(&head->length, (uint32_t)n);
    return SK_OK;
}

/* Copy the parts into the slots of a message. */
static inline void sk_stream_write(const sk_segment *s, const sk_slots *m, uint32_t slot, const sk_part *parts,
                                   uint32_t n) {
    uint64_t room = sk_stream_slot_bytes(s), filled = 0;
    unsigned char *to = sk_slot_data(m, slot);
    for (uint32_t i = 0; i < n; i++) {
        const unsigned char *from = parts[i].at;
        for (uint64_t left = parts[i].len, len; left > 0; left -= len, from += len) {
            if (filled == room) {
                slot = sk_slot_at(m, slot)->next - 1;
                if (slot >= m->count) return; /* another program writes here: the reader's checks refuse the message */
                to = sk_slot_data(m, slot);
                filled = 0;
            }
            len = left < room - filled ? left : room - filled;
            memcpy(to + filled, from, len);
            filled += len;
        }
    }
}

/* --- waiting for readers ----------------------------------------------------------------------------------- */

/* The reader for which writers wait. */
typedef struct sk_stream_slowest {
    sk_stream_row *row;
    uint64_t who, position;
} sk_stream_slowest;

/* Under the lock: whether a message can be published now. If not, *slowest is the reader to wait for. */
SK_HOT static inline bool sk_stream_has_room(const sk_segment *s, sk_stream *st, sk_stream_slowest *slowest) {
    uint64_t tail = sk_load64_relaxed(&st->tail), oldest = sk_load64_relaxed(&st->oldest);
    if (!sk_stream_blocks(s) || tail - oldest < sk_stream_slots(s) || oldest < st->slowest) return true;
    uint64_t least = tail;
    for (uint32_t r = 0; r < sk_stream_rows(s) && r < st->high; r++) {
        sk_stream_row *row = sk_stream_row_at(s, r);
        uint64_t who = sk_load64_acquire(&row->who);
        uint64_t position = who == 0 ? SK_STREAM_NOWHERE : sk_load64_acquire(&row->position); /* A1: pairs with R1 */
        if (position >= least) continue;
        least = position;
        *slowest = (sk_stream_slowest){row, who, position};
    }
    st->slowest = least;
    return oldest < least;
}

/* One round of a wait until that reader moves on, or is gone: SK_OK: check again; SK_TIMEOUT; SK_INTERRUPTED. */
static inline int sk_stream_wait_room(sk_segment *s, sk_stream *st, const sk_stream_slowest *slowest, uint32_t *event,
                                      uint64_t slice, uint64_t *began, uint64_t until) {
    uint64_t *position = &slowest->row->position, who = slowest->who;
    int late = sk_check_deadline(began, until);
    if (late != SK_OK) return late;
    if (sk_spin_for(&s->waiter, (uint32_t *)(void *)position, (uint32_t)slowest->position, st)) return SK_OK;
    uint32_t raised = sk_eventcount_prepare(event);
    /* Behind the fence of W1. */
    if (sk_load64_relaxed(position) != slowest->position || sk_load64_relaxed(&slowest->row->who) != who) return SK_OK;
    if (sk_load32_relaxed(&st->state) != SK_STREAM_OPEN) return SK_OK;
    int rc = sk_park_slice(&s->waiter, event, raised, slice, until);
    sk_aside_also((uint32_t *)(void *)position, (uint32_t)slowest->position);
    sk_fence_acquire(); /* Q1 in sk_lock.h: the reader had stored its epoch before */
    if (rc != SK_OK && !sk_lives(s, (uint32_t)who) && sk_cas64_seq_cst(&slowest->row->who, &who, 0)) return SK_OK;
    return rc;
}

static inline bool sk_stream_has_token(const sk_segment *s, const sk_stream *st, const sk_wait_state *wait) {
    uint64_t token = sk_load64_relaxed(&st->token);
    return __builtin_expect(token != 0, 0) && wait != NULL && token == sk_wait_state_token_value(s, wait);
}

static inline void sk_stream_release_token(const sk_segment *s, sk_stream *st, const sk_wait_state *wait) {
    if (!sk_stream_has_token(s, st, wait)) return;
    uint64_t name = sk_wait_state_token_value(s, wait);
    if (sk_cas64_seq_cst(&st->token, &name, 0)) sk_eventcount_notify(&st->room, SK_EVERYBODY);
}

/* Called without room: take the token if this writer was overtaken and has waited long. Returns the longest sleep. */
static inline uint64_t sk_stream_ask(const sk_segment *s, sk_stream *st, sk_wait_state *wait, uint64_t tail) {
    if (wait == NULL) return SK_PARK_SLICE_NS;
    wait->yielding_since = 0;
    if (wait->waited && wait->seen != tail) wait->overtaken = true;
    wait->waited = true;
    wait->seen = tail;
    return wait->overtaken ? sk_wait_state_take_token_after(s, &st->token, wait, SK_STREAM_LONG_NS, SK_PARK_SLICE_NS)
                           : SK_PARK_SLICE_NS;
}

/* Take the lock when the stream is open and has room for a message, and this writer need not yield to the token.
 * SK_OK: the caller holds the lock. SK_FULL, SK_SHUTDOWN; from waiting: SK_BUSY, SK_TIMEOUT, SK_INTERRUPTED,
 * SK_STALLED. */
SK_HOT static inline int sk_stream_begin(sk_segment *s, sk_stream *st, sk_call call) {
    uint64_t began = 0;
    for (;;) {
        sk_stream_slowest slowest = {NULL, 0, 0};
        int rc = sk_stream_lock(s, st, call);
        if (rc != SK_OK) return rc;
        bool full = false, yields = false;
        if (sk_load32_relaxed(&st->state) != SK_STREAM_OPEN) rc = SK_SHUTDOWN;
        else if (!sk_stream_has_room(s, st, &slowest)) {
            full = true;
            if (slowest.row == NULL) rc = SK_CORRUPT; /* no reader is in the way */
        } else if (__builtin_expect(sk_load64_relaxed(&st->token) != 0, 0) && call.willing && call.wait != NULL)
            yields = sk_wait_state_must_yield(s, &st->token, call.wait);
        if (rc == SK_OK && !full && !yields) {
            sk_stream_release_token(s, st, call.wait);
            return SK_OK;
        }
        uint64_t tail = sk_load64_relaxed(&st->tail);
        sk_stream_unlock(st);
        if (rc != SK_OK) return rc;
        if (!call.willing) return SK_FULL;
        if (call.until == 0) return SK_BUSY;
        if (full) {
            uint64_t slice = sk_stream_ask(s, st, call.wait, tail);
            uint32_t *event = sk_stream_has_token(s, st, call.wait) ? &st->next : &st->room;
            rc = sk_stream_wait_room(s, st, &slowest, event, slice, &began, call.until);
        } else {
            rc = sk_check_deadline(&began, call.until);
            uint32_t raised = rc == SK_OK ? sk_eventcount_prepare(&st->room) : 0;
            if (rc == SK_OK) rc = sk_park_slice(&s->waiter, &st->room, raised, SK_WAIT_STATE_STEP_NS, call.until);
            if (rc == SK_TIMEOUT) { /* there was room: at the deadline take it, and ignore the token */
                call.wait = NULL;
                continue;
            }
        }
        if (rc != SK_OK) return rc;
    }
}

/* Wait until there is room, and leave it to be taken by another call. Results of sk_stream_begin. */
static inline int sk_stream_await_room(sk_segment *s, sk_call call) {
    sk_stream *st = sk_stream_of(s);
    int rc = sk_stream_begin(s, st, call);
    if (rc == SK_OK) sk_stream_unlock(st);
    return rc;
}

/* Stop waiting for room, if the call did wait. */
static inline void sk_stream_cancel(sk_segment *s, const sk_wait_state *wait) {
    sk_stream *st = sk_stream_of(s);
    if (!wait->waited) return;
    sk_stream_release_token(s, st, wait);
    sk_eventcount_notify(&st->room, SK_EVERYBODY);
}

/* --- publishing; under the lock ---------------------------------------------------------------------------- */

/* After a pin or a long message the file is longer than it need be. Give back what was never needed for a while, less
 * two slots; not often, because a look at all slots takes long if there are many. */
SK_COLD static inline int sk_stream_trim(sk_segment *s, sk_stream *st, const sk_slots *m, uint64_t tail) {
    uint64_t passed = tail - st->checked, base = sk_load32_relaxed(&st->base);
    if (passed < 32 || passed < 2 * sk_stream_slots(s) || passed < m->count / 64) return SK_OK;
    uint64_t low = st->lowest < st->free_count ? st->lowest : st->free_count, surplus = low > 2 ? low - 2 : 0;
    st->checked = tail;
    st->lowest = UINT32_MAX;
    if (surplus > m->count - base) surplus = m->count - base;
    return surplus == 0 ? SK_OK : sk_stream_recover(s, st, (uint32_t)surplus);
}

SK_HOT static inline int sk_stream_publish_slot(sk_segment *s, sk_stream *st, const sk_slots *m, uint32_t slot) {
    uint64_t tail = sk_load64_relaxed(&st->tail), oldest = sk_load64_relaxed(&st->oldest);
    sk_slot_at(m, slot)->message = tail;
    sk_store32_relaxed(sk_stream_entry(s, tail), slot);
    sk_store64_release(&st->tail, tail + 1); /* commits the message. R2: pairs with A2 */
    if (tail + 1 - oldest > sk_stream_slots(s)) {
        uint32_t gone = sk_load32_relaxed(sk_stream_entry(s, oldest));
        sk_store64_seq_cst(&st->oldest, oldest + 1); /* H2: before pins are looked for */
        if (gone >= m->count) return SK_CORRUPT;
        sk_stream_push(m, &st->limbo, gone);
    }
    return __builtin_expect(m->count > sk_load32_relaxed(&st->base), 0) ? sk_stream_trim(s, st, m, tail) : SK_OK;
}

/* Release the lock after a message was published. */
SK_HOT static inline void sk_stream_end(sk_stream *st) {
    sk_stream_unlock(st);
    sk_eventcount_notify(&st->items, SK_EVERYBODY);
}

/* --- the operations ---------------------------------------------------------------------------------------- */

/* Publish a message of at most SK_STREAM_QUICK bytes. Results of sk_stream_begin and sk_stream_take. */
SK_HOT static inline int sk_stream_put(sk_segment *s, const sk_part *parts, uint32_t n, uint32_t kind, sk_call call) {
    sk_stream *st = sk_stream_of(s);
    uint64_t payload = 0;
    uint32_t slot = 0;
    sk_slots m;
    for (uint32_t i = 0; i < n; i++) payload += parts[i].len;
    int rc = sk_stream_begin(s, st, call);
    if (rc != SK_OK) return rc;
    rc = sk_stream_take(s, st, payload, kind, &m, &slot);
    if (rc == SK_OK) {
        sk_stream_write(s, &m, slot, parts, n);
        rc = sk_stream_publish_slot(s, st, &m, slot);
    }
    sk_stream_end(st);
    return rc;
}

/* Claim slots for a message of `payload` bytes. SK_OK; SK_FULL: as many messages as the stream has seats are being
 * written; results of sk_stream_lock and sk_stream_take. */
static inline int sk_stream_claim_slots(sk_segment *s, uint64_t payload, uint32_t kind, sk_stream_claim *claim,
                                        sk_call call) {
    sk_stream *st = sk_stream_of(s);
    sk_slots m;
    int rc = sk_stream_lock(s, st, call);
    if (rc != SK_OK) return rc;
    if (sk_load32_relaxed(&st->state) != SK_STREAM_OPEN) rc = SK_SHUTDOWN;
    uint32_t n = sk_stream_claims(s), entry = sk_owner_seat(sk_me(s)), tried = 0;
    while (rc == SK_OK && tried < n && sk_load64_relaxed(sk_stream_claim_at(s, entry % n)) != 0) {
        tried++;
        entry++;
        if (tried == n) { /* writers that died may have left some */
            rc = sk_stream_recover(s, st, 0);
            for (tried = 0; tried < n && sk_load64_relaxed(sk_stream_claim_at(s, entry % n)) != 0; tried++) entry++;
        }
    }
    if (rc == SK_OK && tried == n) rc = SK_FULL;
    if (rc == SK_OK) rc = sk_stream_take(s, st, payload, kind, &m, &claim->slot);
    if (rc == SK_OK) {
        claim->entry = entry % n + 1;
        sk_store64_relaxed(sk_stream_claim_at(s, claim->entry - 1), (uint64_t)sk_me(s) << 32 | (claim->slot + 1));
    }
    sk_stream_unlock(st);
    return rc;
}

/* Copy a message into the claimed slots. */
static inline int sk_stream_fill_claim(sk_segment *s, const sk_stream_claim *claim, const sk_part *parts, uint32_t n) {
    sk_slots m;
    int rc = sk_stream_map(s, sk_stream_of(s), &m);
    if (rc == SK_OK && claim->slot >= m.count) rc = SK_CORRUPT;
    if (rc == SK_OK) sk_stream_write(s, &m, claim->slot, parts, n);
    return rc;
}

/* Publish the message of a claim; afterwards there is no claim. Results of sk_stream_begin; if it fails, the claim
 * stays. */
static inline int sk_stream_publish(sk_segment *s, sk_stream_claim *claim, sk_call call) {
    sk_stream *st = sk_stream_of(s);
    sk_slots m;
    int rc = sk_stream_begin(s, st, call);
    if (rc != SK_OK) return rc;
    rc = sk_stream_map(s, st, &m);
    uint64_t mine = (uint64_t)sk_me(s) << 32 | (claim->slot + 1);
    if (rc == SK_OK && claim->slot >= m.count) rc = SK_CORRUPT;
    if (rc == SK_OK && sk_load64_relaxed(sk_stream_claim_at(s, claim->entry - 1)) != mine) rc = SK_CORRUPT;
    if (rc == SK_OK) {
        /* If this process dies before the message is published, recovery finds the slots in use by nobody. */
        sk_store64_relaxed(sk_stream_claim_at(s, claim->entry - 1), 0);
        rc = sk_stream_publish_slot(s, st, &m, claim->slot);
        claim->entry = 0;
    }
    sk_stream_end(st);
    return rc;
}

/* Give a claim up: nothing is published. It does not matter when the slots come free, so if the lock is not to be had
 * (a stopped process holds it), a recovery finds them by the claim being void. */
static inline void sk_stream_drop(sk_segment *s, sk_stream_claim *claim, uint64_t until) {
    sk_stream *st = sk_stream_of(s);
    sk_slots m;
    if (claim->entry == 0) return;
    uint64_t *at = sk_stream_claim_at(s, claim->entry - 1), mine = (uint64_t)sk_me(s) << 32 | (claim->slot + 1);
    bool locked = sk_me(s) != 0 && sk_stream_lock(s, st, (sk_call){.until = until}) == SK_OK;
    if (sk_cas64_seq_cst(at, &mine, 0) && locked && sk_stream_map(s, st, &m) == SK_OK && claim->slot < m.count)
        sk_stream_release_chain(st, &m, claim->slot);
    if (locked) sk_stream_unlock(st);
    claim->entry = 0;
}

#endif
