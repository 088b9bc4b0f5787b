/* Reading messages: see sk_stream.h for the layout and the reasoning. */
#ifndef SK_STREAM_READ_H
#define SK_STREAM_READ_H

#include "structures/sk_stream.h"

/* One registered reader. Private to its process; the child of a fork has a copy, which is not its own reader. */
typedef struct sk_stream_reader {
    uint64_t who;      /* as in its row; 0: not registered */
    uint32_t row;
    uint64_t position; /* a copy of its row's, for the child of a fork */
} sk_stream_reader;

/* A message that is pinned. */
typedef struct sk_stream_message {
    uint64_t number;
    uint64_t payload;
    uint32_t kind;
    uint32_t slot;
    uint32_t length; /* slots */
    uint32_t pin;    /* which pin of the reader */
} sk_stream_message;

enum sk_stream_begin_at { SK_STREAM_AT_NEXT, SK_STREAM_AT_OLDEST, SK_STREAM_AT_LATEST, SK_STREAM_AT_POSITION };

static inline sk_stream_row *sk_stream_row_of(const sk_segment *s, const sk_stream_reader *reader) {
    return sk_stream_row_at(s, reader->row);
}

/* Whether the reader is registered for this process. */
static inline bool sk_stream_reader_is_mine(const sk_segment *s, const sk_stream_reader *reader) {
    return reader->who != 0 && (uint32_t)reader->who == sk_me(s);
}

static inline uint64_t sk_stream_lost(const sk_segment *s, const sk_stream_reader *reader) {
    return sk_load64_relaxed(&sk_stream_row_of(s, reader)->lost);
}

/* --- registering ------------------------------------------------------------------------------------------- */

/* Under the lock: a row that is free, or whose reader is dead. Returns the number of rows if there is none. */
static inline uint32_t sk_stream_free_row(const sk_segment *s) {
    uint32_t rows = sk_stream_rows(s), r = 0;
    while (r < rows && sk_load64_relaxed(&sk_stream_row_at(s, r)->who) != 0) r++;
    if (r < rows) return r;
    sk_asker asker = sk_ask(&s->seats);
    for (r = 0; r < rows; r++) {
        uint64_t *at = &sk_stream_row_at(s, r)->who, who = sk_load64_acquire(at);
        if (who == 0 || (!sk_asker_lives(&asker, (uint32_t)who) && sk_cas64_seq_cst(at, &who, 0))) break;
    }
    sk_asker_end(&asker);
    return r;
}

/* Register a reader that begins as `at` says; at SK_STREAM_AT_POSITION with its own position, and `lost` messages
 * before it. SK_OK; SK_FULL: there are as many readers as the stream can have; results of sk_stream_lock. */
static inline int sk_stream_register(sk_segment *s, sk_stream_reader *reader, enum sk_stream_begin_at at, uint64_t lost,
                                     uint64_t until) {
    sk_stream *st = sk_stream_of(s);
    int rc = sk_stream_lock(s, st, (sk_call){.until = until});
    if (rc != SK_OK) return rc;
    uint32_t r = sk_stream_free_row(s);
    if (r == sk_stream_rows(s)) {
        sk_stream_unlock(st);
        return SK_FULL;
    }
    sk_stream_row *row = sk_stream_row_at(s, r);
    uint64_t tail = sk_load64_relaxed(&st->tail), oldest = sk_load64_relaxed(&st->oldest), from = reader->position;
    if (at == SK_STREAM_AT_NEXT) from = tail;
    if (at == SK_STREAM_AT_OLDEST) from = oldest;
    if (at == SK_STREAM_AT_LATEST) from = tail == oldest ? tail : tail - 1;
    if (from > tail) from = tail;
    if (from < oldest) {
        lost += oldest - from;
        from = oldest;
    }
    for (uint32_t i = 0; i < SK_STREAM_PINS; i++) sk_store32_relaxed(&row->pins[i], 0);
    sk_store64_relaxed(&row->lost, lost);
    sk_store64_relaxed(&row->position, from);
    if (from < st->slowest) st->slowest = from;
    if (r >= st->high) st->high = r + 1;
    st->registered++;
    *reader = (sk_stream_reader){(uint64_t)st->registered << 32 | sk_me(s), r, from};
    sk_store64_seq_cst(&row->who, reader->who); /* commits */
    sk_stream_unlock(st);
    return SK_OK;
}

/* Free the row of a reader that was closed, when nothing is pinned any more. */
static inline void sk_stream_free_closed(const sk_segment *s, const sk_stream_reader *reader) {
    sk_stream_row *row = sk_stream_row_of(s, reader);
    uint64_t who = reader->who;
    if (sk_load64_seq_cst(&row->position) != SK_STREAM_NOWHERE) return;
    for (uint32_t i = 0; i < SK_STREAM_PINS; i++)
        if (sk_load32_seq_cst(&row->pins[i]) != 0) return;
    sk_cas64_seq_cst(&row->who, &who, 0);
}

/* End a reader; its pins stay until they are removed. Writers no longer wait for it. */
static inline void sk_stream_unregister(sk_segment *s, const sk_stream_reader *reader) {
    if (!sk_stream_reader_is_mine(s, reader)) return;
    sk_store64_seq_cst(&sk_stream_row_of(s, reader)->position, SK_STREAM_NOWHERE);
    sk_stream_free_closed(s, reader);
    sk_stream_notify_writers(sk_stream_of(s));
}

/* --- pins -------------------------------------------------------------------------------------------------- */

/* Pin a slot: the number of the pin, or SK_STREAM_PINS if all are in use. */
SK_HOT static inline uint32_t sk_stream_pin(sk_stream_row *row, uint32_t slot) {
    for (uint32_t i = 0; i < SK_STREAM_PINS; i++) {
        uint32_t none = 0;
        if (sk_load32_relaxed(&row->pins[i]) != 0) continue;
        if (sk_cas32_seq_cst(&row->pins[i], &none, slot + 1)) return i; /* H1 */
    }
    return SK_STREAM_PINS;
}

SK_HOT static inline void sk_stream_unpin(const sk_segment *s, const sk_stream_reader *reader, uint32_t pin) {
    if (!sk_stream_reader_is_mine(s, reader)) return;
    sk_stream_row *row = sk_stream_row_of(s, reader);
    sk_store32_seq_cst(&row->pins[pin], 0);
    if (__builtin_expect(sk_load64_seq_cst(&row->position) == SK_STREAM_NOWHERE, 0)) sk_stream_free_closed(s, reader);
}

/* --- reading ----------------------------------------------------------------------------------------------- */

/* Describe the message in a slot that is pinned: SK_OK or SK_CORRUPT. */
SK_HOT static inline int sk_stream_describe(sk_segment *s, const sk_stream *st, uint32_t slot, uint64_t number,
                                            sk_stream_message *found) {
    sk_slots m;
    int rc = sk_stream_map(s, st, &m);
    if (rc != SK_OK) return rc;
    if (slot >= m.count) return SK_CORRUPT;
    const sk_slot *head = sk_slot_at(&m, slot);
    uint64_t room = sk_stream_slot_bytes(s);
    found->number = number;
    found->payload = head->payload;
    found->kind = head->kind;
    found->slot = slot;
    found->length = sk_load32_relaxed(&head->length);
    uint64_t needs = found->payload <= room ? 1 : (found->payload + room - 1) / room;
    return head->message == number && needs == found->length && needs <= m.count ? SK_OK : SK_CORRUPT;
}

/* Pin the next message, or the latest one, and move the reader behind it. SK_OK; SK_EMPTY: there is none yet;
 * SK_SHUTDOWN; SK_EXCESS: all pins of the reader are in use; SK_CORRUPT. Does not wait. */
SK_HOT static inline int sk_stream_read(sk_segment *s, sk_stream_reader *reader, bool latest,
                                        sk_stream_message *found) {
    sk_stream *st = sk_stream_of(s);
    sk_stream_row *row = sk_stream_row_of(s, reader);
    for (;;) {
        uint32_t state = sk_load32_acquire(&st->state);
        uint64_t position = sk_load64_relaxed(&row->position), tail = sk_load64_acquire(&st->tail); /* A2 */
        uint64_t oldest = sk_load64_acquire(&st->oldest), at = position;
        if (position == SK_STREAM_NOWHERE) return SK_SHUTDOWN; /* another thread has closed the reader */
        if (state == SK_STREAM_ENDED) return SK_SHUTDOWN;
        if (latest && tail != oldest) at = tail - 1;
        /* No message follows the change of state. */
        if (at >= tail || (latest && state != SK_STREAM_OPEN && position >= tail))
            return state == SK_STREAM_OPEN ? SK_EMPTY : SK_SHUTDOWN;
        if (at < oldest) {
            if (oldest > sk_load64_acquire(&st->tail)) return SK_CORRUPT;
            if (latest) continue;
            if (sk_cas64_seq_cst(&row->position, &position, oldest)) sk_add64_relaxed(&row->lost, oldest - position);
            continue;
        }
        uint32_t slot = sk_load32_relaxed(sk_stream_entry(s, at)), pin = sk_stream_pin(row, slot);
        if (pin == SK_STREAM_PINS) return SK_EXCESS;
        bool gone = sk_load64_seq_cst(&st->oldest) > at; /* H1: after the pin; pairs with H2 */
        if (gone || (at >= position && !sk_cas64_seq_cst(&row->position, &position, at + 1))) { /* R1: pairs with A1 */
            sk_store32_seq_cst(&row->pins[pin], 0);
            continue;
        }
        if (at >= position) reader->position = at + 1;
        if (sk_stream_blocks(s)) sk_stream_notify_room(st);
        found->pin = pin;
        int rc = sk_stream_describe(s, st, slot, at, found);
        if (rc != SK_OK) sk_stream_unpin(s, reader, pin);
        return rc;
    }
}

/* Where a message in one slot lies, mapped; NULL if it is in several. */
static inline unsigned char *sk_stream_data(sk_segment *s, uint32_t slot, uint32_t length) {
    sk_slots m;
    if (length != 1 || sk_stream_map(s, sk_stream_of(s), &m) != SK_OK || slot >= m.count) return NULL;
    return sk_slot_data(&m, slot);
}

/* Copy `len` bytes of a pinned message out, from byte `from` on: SK_OK or SK_CORRUPT. */
SK_HOT static inline int sk_stream_copy(sk_segment *s, const sk_stream_message *found, uint64_t from, void *to,
                                        uint64_t len) {
    sk_slots m;
    uint64_t room = sk_stream_slot_bytes(s);
    uint32_t slot = found->slot;
    int rc = sk_stream_map(s, sk_stream_of(s), &m);
    if (rc != SK_OK) return rc;
    if (from > found->payload || len > found->payload - from) return SK_CORRUPT;
    while (__builtin_expect(found->length > 1, 0)) {
        uint64_t here = from < room ? room - from : 0;
        if (here >= len) break;
        if (here > 0) memcpy(to, sk_slot_data(&m, slot) + from, here);
        to = (char *)to + here;
        len -= here;
        from = from < room ? 0 : from - room;
        slot = sk_slot_at(&m, slot)->next - 1;
        if (slot >= m.count) return SK_CORRUPT;
    }
    memcpy(to, sk_slot_data(&m, slot) + from, len);
    return SK_OK;
}

/* Wait until there is a message that the reader has not read, or the stream has ended; look again afterwards.
 * SK_OK, SK_TIMEOUT, SK_INTERRUPTED (call again). */
static inline int sk_stream_wait(sk_segment *s, const sk_stream_reader *reader, uint64_t until) {
    sk_stream *st = sk_stream_of(s);
    const sk_stream_row *row = sk_stream_row_of(s, reader);
    uint64_t began = 0;
    for (;;) {
        uint64_t tail = sk_load64_acquire(&st->tail), position = sk_load64_relaxed(&row->position);
        if (tail > position || sk_load32_acquire(&st->state) != SK_STREAM_OPEN) return SK_OK;
        int rc = sk_check_deadline(&began, until);
        if (rc != SK_OK) return rc;
        if (sk_spin_for(&s->waiter, (uint32_t *)(void *)&st->tail, (uint32_t)tail, &st->oldest)) continue;
        uint32_t raised = sk_eventcount_prepare(&st->items);
        /* Behind the fence of W1: either these loads see a change, or the process that made it sees the bit. */
        if (sk_load64_relaxed(&st->tail) != tail || sk_load32_relaxed(&st->state) != SK_STREAM_OPEN) continue;
        rc = sk_park_slice(&s->waiter, &st->items, raised, SK_PARK_SLICE_NS, until);
        sk_aside_also((uint32_t *)(void *)&st->tail, (uint32_t)tail);
        if (rc != SK_OK) return rc;
    }
}

#endif
