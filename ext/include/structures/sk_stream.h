/* A stream: each message goes from its writer to every reader. A ring of slots; any number of writers; each reader has
 * a position of its own.
 *
 *   offset  what                                             written by
 *   0       lock, moves (sk_stall.h)                         writers
 *           free, limbo: lists of slots; free_count; round   under lock
 *           high: no row at or above it is in use            under lock
 *           registered: readers so far, modulo 2^32          under lock
 *           slowest: in block mode, no reader is below it    under lock
 *           checked: the tail when the size was checked      under lock
 *           lowest: the fewest free slots since then         under lock
 *   128     tail: how many messages were published           under lock; its store commits a message
 *   256     oldest: messages before it are gone              under lock
 *   384     items, room, next: eventcounts                   waiters prepare, wakers notify (sk_wait.h)
 *           state                                            under lock
 *           count: slots that exist now; base: at least      under lock; the creator
 *   400     token of a writer that waits for room            writers, by compare-and-swap
 *   512     rows, one for each reader                        `who`: under lock, and by compare-and-swap to 0;
 *                                                            the rest: the process of that reader
 *   then    claims: slots that processes fill now            under lock
 *   then    entries: the slot of message m is entry          under lock
 *           m % (a power of two above `slots`)
 *   floor   the slots, from a page of their own to the end of the file
 *
 *   slot    64 bytes of head, then `slot_bytes` bytes; a message that is longer is a chain of slots
 *
 * Life of a slot: free (in the list `free`) → claimed (its writer fills it) → live (an entry names it, and oldest <= m
 * < tail) → in limbo (retired, but a reader may still have pinned it) → free. A writer that needs a slot and finds
 * none free looks through the limbo; then it recovers what dead processes held; then it makes the file longer. So
 * writers never wait for a pin, and the stream has `slots` messages beside those that are pinned. When there are more
 * slots than needed, those at the end of the file are given back.
 *
 * Pins are hazard pointers (M. Michael, "Hazard Pointers", IEEE TPDS 15(6), 2004). A reader reads entry m, stores the
 * slot's number in its row (H1), and reads `oldest` again: if m is not gone, the slot stays as it is until the pin is
 * removed. A writer stores `oldest` (H2) before it looks for pins. All four are sequentially consistent, so one of the
 * two sees the other. A reader's pin and position belong to its process and end with it.
 *
 * Modes. `overwrite`: the oldest message is retired when there are more than `slots`; a reader that finds its message
 * gone goes on at the oldest one and counts what it lost. `block`: a message is retired when every living reader is
 * past it; writers wait for that. Without readers, both retire the oldest.
 *
 * Deaths. Before the store of `tail` nothing was published; after it the message is published, whole. A writer that
 * dies with the lock leaves the lists in any state: the next one makes them anew from entries, claims and pins
 * (sk_stream_recover), which also retires what the dead one had no time to retire. A claim of a dead process counts as
 * none. A reader that dies counts as none: writers that wait for it ask whether it lives after each slice. If the
 * process dies while the file grows, the part behind `count` slots is unused, and recovery gives it back. Order: the
 * lock is never held while a process waits, and for copies of at most SK_STREAM_QUICK bytes. */
#ifndef SK_STREAM_H
#define SK_STREAM_H

#include <string.h>

#include "core/sk_call.h"
#include "core/sk_part.h"

#define SK_STREAM_OPEN 0u
#define SK_STREAM_DRAINING 1u /* no more puts; readers read what is left */
#define SK_STREAM_ENDED 2u    /* no more puts, and nothing is read any more */

#define SK_STREAM_PINS 16u             /* pins of one reader at once */
#define SK_STREAM_SLOTS_MAX 0x7fffffffu
#define SK_STREAM_QUICK 4096u          /* the most bytes that are copied under the lock */
#define SK_STREAM_NOWHERE UINT64_MAX   /* position of a reader that was closed while something is still pinned */

/* header.param of a stream */
#define SK_STREAM_SLOTS 0
#define SK_STREAM_FLOOR 1      /* the offset of the first slot */
#define SK_STREAM_SLOT_BYTES 2
#define SK_STREAM_MODE 3       /* SK_STREAM_BLOCK */
#define SK_STREAM_ROWS 4       /* readers at most */
#define SK_STREAM_START 5      /* the number of the first message */
#define SK_STREAM_BLOCK 1u

typedef struct sk_stream {
    uint32_t lock, moves;
    uint32_t free, limbo; /* the first slot of the list, + 1; 0: none */
    uint32_t free_count, round, high;
    uint32_t registered;
    uint64_t slowest, checked;
    uint32_t lowest;
    unsigned char line0[SK_LINE - 52];
    uint64_t tail;
    unsigned char line1[SK_LINE - 8];
    uint64_t oldest;
    unsigned char line2[SK_LINE - 8];
    uint32_t items, room, next, state;
    uint64_t token;
    uint32_t count, base;
    unsigned char line3[SK_LINE - 32];
} sk_stream;
_Static_assert(offsetof(sk_stream, tail) == 128 && offsetof(sk_stream, oldest) == 256 &&
                   offsetof(sk_stream, items) == 384 && offsetof(sk_stream, token) == 400 && sizeof(sk_stream) == 512,
               "diagram and struct agree");

/* One reader. */
typedef struct sk_stream_row {
    uint64_t who;      /* number of the registration << 32 | owner; 0: the row is free */
    uint64_t position; /* the next message to read */
    uint64_t lost;     /* how many messages were gone before they were read */
    uint32_t pins[SK_STREAM_PINS]; /* slots + 1 */
    unsigned char line[SK_LINE - 24 - 4 * SK_STREAM_PINS];
} sk_stream_row;
_Static_assert(sizeof(sk_stream_row) == SK_LINE, "a line for each reader");

/* The head of a slot: links are written under the lock, the rest by the process that has claimed the slot. */
typedef struct sk_slot {
    uint64_t message; /* its number; stored under the lock before it is published */
    uint64_t payload; /* bytes of the whole message */
    uint32_t kind;
    uint32_t length;  /* of the chain that begins here, in slots; 0: no message begins here */
    uint32_t next;    /* the next slot of the chain, + 1 */
    uint32_t link;    /* the next slot of the list `free` or `limbo`, + 1 */
    uint32_t mark;    /* `round` of the last recovery that found this slot in use */
    unsigned char unused[28];
} sk_slot;
#define SK_SLOT_HEAD 64u
_Static_assert(sizeof(sk_slot) == SK_SLOT_HEAD, "data begins on a line");

static inline sk_stream *sk_stream_of(const sk_segment *s) { return sk_body_of(s); }
static inline uint64_t sk_stream_param(const sk_segment *s, int which) { return sk_header_of(s)->param[which]; }
static inline uint64_t sk_stream_slots(const sk_segment *s) { return sk_stream_param(s, SK_STREAM_SLOTS); }
static inline uint64_t sk_stream_slot_bytes(const sk_segment *s) { return sk_stream_param(s, SK_STREAM_SLOT_BYTES); }
static inline bool sk_stream_blocks(const sk_segment *s) {
    return sk_stream_param(s, SK_STREAM_MODE) == SK_STREAM_BLOCK;
}
static inline uint32_t sk_stream_rows(const sk_segment *s) { return (uint32_t)sk_stream_param(s, SK_STREAM_ROWS); }

static inline uint64_t sk_stream_stride_for(uint64_t slot_bytes) {
    return sk_round_up(SK_SLOT_HEAD + slot_bytes, SK_SLOT_HEAD);
}
static inline uint64_t sk_stream_stride(const sk_segment *s) { return sk_stream_stride_for(sk_stream_slot_bytes(s)); }

/* Entries: more than `slots`, because a message is published before the oldest one is retired. */
static inline uint64_t sk_stream_entries_for(uint64_t slots) {
    return (uint64_t)2 << (63 - __builtin_clzll(slots));
}

/* The number of slots at the beginning, and when nothing is pinned: those of the messages, one to fill, and for small
 * messages some more, so that a writer looks for pins once in several messages. Slots without bytes stand for messages
 * that are kept elsewhere, and no longer than need be. */
static inline uint64_t sk_stream_base_for(uint64_t slots, uint64_t slot_bytes) {
    uint64_t spare = slot_bytes == 0 ? 0 : 16384 / sk_stream_stride_for(slot_bytes);
    return slots + 1 + (spare < 15 ? spare : 15);
}

static inline sk_stream_row *sk_stream_row_at(const sk_segment *s, uint32_t row) {
    return (sk_stream_row *)(void *)((char *)sk_body_of(s) + sizeof(sk_stream)) + row;
}
static inline uint64_t *sk_stream_claim_at(const sk_segment *s, uint32_t claim) {
    return (uint64_t *)(void *)sk_stream_row_at(s, sk_stream_rows(s)) + claim;
}
/* Threads of one process may fill several slots at once. */
static inline uint32_t sk_stream_claims_for(uint32_t seats) { return seats < 16 ? 16 : seats; }
static inline uint32_t sk_stream_claims(const sk_segment *s) { return sk_stream_claims_for(s->seats.count); }
static inline uint32_t *sk_stream_entry(const sk_segment *s, uint64_t message) {
    uint32_t *entries = (uint32_t *)(void *)sk_stream_claim_at(s, sk_stream_claims(s));
    return &entries[message & (sk_stream_entries_for(sk_stream_slots(s)) - 1)];
}

static inline uint64_t sk_stream_control_len(uint32_t seats, uint64_t slots, uint64_t rows) {
    return sizeof(sk_stream) + rows * sizeof(sk_stream_row) + sk_stream_claims_for(seats) * sizeof(uint64_t) +
           sk_stream_entries_for(slots) * sizeof(uint32_t);
}
static inline uint64_t sk_stream_floor_for(uint64_t body, uint32_t seats, uint64_t slots, uint64_t rows) {
    return sk_round_up(body + sk_stream_control_len(seats, slots, rows), SK_PAGE);
}

/* The slots, mapped in this process. */
typedef struct sk_slots {
    unsigned char *at;
    uint64_t stride;
    uint32_t count;
} sk_slots;

SK_HOT static inline int sk_stream_map(sk_segment *s, const sk_stream *st, sk_slots *m) {
    uint64_t floor = sk_stream_param(s, SK_STREAM_FLOOR);
    unsigned char *base;
    m->count = sk_load32_acquire(&st->count); /* A3: pairs with R3 */
    m->stride = sk_stream_stride(s);
    uint64_t bytes;
    if (m->count == 0 || m->count > SK_STREAM_SLOTS_MAX) return SK_CORRUPT;
    if (__builtin_mul_overflow(m->count, m->stride, &bytes) || bytes > SK_LARGEST) return SK_CORRUPT;
    int rc = sk_segment_reach(s, floor + bytes, &base);
    if (rc == SK_OK) m->at = base + floor;
    return rc;
}

static inline sk_slot *sk_slot_at(const sk_slots *m, uint32_t slot) {
    return (sk_slot *)(void *)(m->at + (uint64_t)slot * m->stride);
}
static inline unsigned char *sk_slot_data(const sk_slots *m, uint32_t slot) {
    return (unsigned char *)sk_slot_at(m, slot) + SK_SLOT_HEAD;
}

/* --- lists of slots; under the lock ------------------------------------------------------------------------ */

static inline void sk_stream_push(const sk_slots *m, uint32_t *list, uint32_t slot) {
    sk_slot_at(m, slot)->link = *list;
    *list = slot + 1;
}

/* Take the first slot of the list; false if it is empty, or names no slot. */
static inline bool sk_stream_pop(const sk_slots *m, uint32_t *list, uint32_t *slot) {
    if (*list == 0 || *list > m->count) return false;
    *slot = *list - 1;
    *list = sk_slot_at(m, *slot)->link;
    return true;
}

/* Make all slots of a chain free. False if the chain contradicts itself. */
static inline bool sk_stream_release_chain(sk_stream *st, const sk_slots *m, uint32_t slot) {
    uint32_t length = sk_slot_at(m, slot)->length;
    if (length > m->count) return false;
    sk_store32_relaxed(&sk_slot_at(m, slot)->length, 0);
    for (uint32_t i = 0; i < length; i++) {
        uint32_t next = sk_slot_at(m, slot)->next;
        sk_stream_push(m, &st->free, slot);
        st->free_count++;
        if (i + 1 < length && (next == 0 || next > m->count)) return false;
        slot = next - 1;
    }
    return length > 0;
}

/* --- pins -------------------------------------------------------------------------------------------------- */

static inline bool sk_stream_is_pinned(const sk_segment *s, const sk_stream *st, uint32_t slot) {
    uint32_t high = st->high < sk_stream_rows(s) ? st->high : sk_stream_rows(s);
    for (uint32_t r = 0; r < high; r++) {
        sk_stream_row *row = sk_stream_row_at(s, r);
        if (sk_load64_acquire(&row->who) == 0) continue;
        for (uint32_t i = 0; i < SK_STREAM_PINS; i++)
            if (sk_load32_seq_cst(&row->pins[i]) == slot + 1) return true; /* H2: after the store of `oldest` */
    }
    return false;
}

/* Free what is in limbo and not pinned. */
static inline int sk_stream_reclaim(const sk_segment *s, sk_stream *st, const sk_slots *m) {
    uint32_t retired = st->limbo, kept = 0, slot;
    for (uint32_t n = 0; sk_stream_pop(m, &retired, &slot); n++) {
        if (n > m->count) return SK_CORRUPT;
        if (sk_stream_is_pinned(s, st, slot)) sk_stream_push(m, &kept, slot);
        else if (!sk_stream_release_chain(st, m, slot)) return SK_CORRUPT;
    }
    st->limbo = kept;
    return SK_OK;
}

/* --- recovery: the lists, made anew from entries, claims and pins ------------------------------------------ */

/* Mark a chain as in use; *last is the highest slot that is. */
static inline int sk_stream_mark(const sk_stream *st, const sk_slots *m, uint32_t slot, uint32_t *last) {
    if (slot >= m->count) return SK_CORRUPT;
    uint32_t length = sk_slot_at(m, slot)->length;
    if (length == 0 || length > m->count) return SK_CORRUPT;
    for (uint32_t i = 0; i < length; i++) {
        if (slot >= m->count) return SK_CORRUPT;
        sk_slot_at(m, slot)->mark = st->round;
        if (slot + 1 > *last) *last = slot + 1;
        slot = sk_slot_at(m, slot)->next - 1;
    }
    return SK_OK;
}

static inline int sk_stream_mark_live(const sk_segment *s, sk_stream *st, const sk_slots *m, uint32_t *last) {
    uint64_t tail = sk_load64_relaxed(&st->tail), oldest = sk_load64_relaxed(&st->oldest), slots = sk_stream_slots(s);
    if (tail - oldest > slots + 1) return SK_CORRUPT;
    if (tail - oldest > slots) sk_store64_seq_cst(&st->oldest, ++oldest); /* H2 */
    for (uint64_t at = oldest; at != tail; at++) {
        int rc = sk_stream_mark(st, m, *sk_stream_entry(s, at), last);
        if (rc != SK_OK) return rc;
    }
    return SK_OK;
}

static inline void sk_stream_mark_claims(const sk_segment *s, sk_stream *st, const sk_slots *m, sk_asker *asker,
                                         uint32_t *last) {
    for (uint32_t i = 0; i < sk_stream_claims(s); i++) {
        uint64_t claim = sk_load64_relaxed(sk_stream_claim_at(s, i));
        if (claim == 0) continue;
        /* A chain that contradicts itself was never complete, so its writer died while it took the slots. */
        bool lives = sk_asker_lives(asker, (uint32_t)(claim >> 32));
        if (!lives || sk_stream_mark(st, m, (uint32_t)claim - 1, last) != SK_OK)
            sk_store64_relaxed(sk_stream_claim_at(s, i), 0);
    }
}

/* Readers that died are removed. What the others have pinned, and what is not in use otherwise, comes into the limbo.
 * */
static inline void sk_stream_mark_pins(const sk_segment *s, sk_stream *st, const sk_slots *m, sk_asker *asker,
                                       uint32_t *last) {
    uint32_t high = 0;
    for (uint32_t r = 0; r < sk_stream_rows(s); r++) {
        sk_stream_row *row = sk_stream_row_at(s, r);
        uint64_t who = sk_load64_acquire(&row->who);
        if (who == 0) continue;
        if (!sk_asker_lives(asker, (uint32_t)who)) {
            sk_cas64_seq_cst(&row->who, &who, 0);
            continue;
        }
        high = r + 1;
        for (uint32_t i = 0; i < SK_STREAM_PINS; i++) {
            uint32_t slot = sk_load32_seq_cst(&row->pins[i]) - 1;
            /* A reader that has come too late for a message pins its slot for a moment, whatever that slot is now. */
            if (slot >= m->count || sk_slot_at(m, slot)->mark == st->round) continue;
            if (sk_load32_relaxed(&sk_slot_at(m, slot)->length) == 0) continue;
            if (sk_stream_mark(st, m, slot, last) == SK_OK) sk_stream_push(m, &st->limbo, slot);
        }
    }
    st->high = high;
}

/* Under the lock: find out which slots are in use, and make both lists anew. `surplus`: give back so many slots at
 * most, those at the end of the file that are not in use. */
SK_COLD static inline int sk_stream_recover(sk_segment *s, sk_stream *st, uint32_t surplus) {
    sk_slots m;
    uint32_t last = 0;
    int rc = sk_stream_map(s, st, &m);
    if (rc != SK_OK) return rc;
    sk_asker asker = sk_ask(&s->seats);
    st->limbo = st->free = st->free_count = 0;
    st->round++;
    rc = sk_stream_mark_live(s, st, &m, &last);
    sk_stream_mark_claims(s, st, &m, &asker, &last);
    sk_stream_mark_pins(s, st, &m, &asker, &last);
    sk_asker_end(&asker);
    if (rc != SK_OK) return rc;
    uint32_t before = m.count;
    if (surplus > before - last) surplus = before - last;
    m.count -= surplus;
    for (uint32_t slot = m.count; slot-- > 0;) {
        if (sk_slot_at(&m, slot)->mark == st->round) continue;
        sk_store32_relaxed(&sk_slot_at(&m, slot)->length, 0);
        sk_stream_push(&m, &st->free, slot);
        st->free_count++;
        if (slot % 65536 == 0) sk_lock_moves(&st->moves);
    }
    if (m.count == before) return SK_OK;
    sk_store32_release(&st->count, m.count); /* commits. R3: pairs with A3 */
    uint64_t floor = sk_stream_param(s, SK_STREAM_FLOOR);
    sk_segment_discard(s, floor + m.count * m.stride, floor + before * m.stride);
    return SK_OK;
}

/* --- the lock ---------------------------------------------------------------------------------------------- */

static inline void sk_stream_unlock(sk_stream *st) { sk_lock_give_and_move(&st->lock, &st->moves); }

/* After the death of a writer that held the lock. */
SK_COLD static inline int sk_stream_inherit(sk_segment *s, sk_stream *st) {
    int rc = sk_stream_recover(s, st, 0);
    int64_t size = rc == SK_OK ? sk_segment_size(s) : 0;
    uint64_t end = sk_stream_param(s, SK_STREAM_FLOOR) + sk_load32_relaxed(&st->count) * sk_stream_stride(s);
    if (size > 0 && (uint64_t)size > end) sk_segment_discard(s, end, (uint64_t)size);
    if (rc != SK_OK) sk_stream_unlock(st);
    return rc;
}

SK_HOT static inline int sk_stream_lock(sk_segment *s, sk_stream *st, sk_call call) {
    int rc = sk_lock_take(s, &st->lock, call.until);
    if (__builtin_expect(rc == SK_OK, 1)) return rc;
    if (rc == SK_OWNER_DIED) return sk_stream_inherit(s, st);
    if (call.wait == NULL || (rc != SK_INTERRUPTED && rc != SK_TIMEOUT)) return rc;
    int judged = sk_stall_judge(&call.wait->stall, &st->lock, &st->moves, 1, rc);
    return call.willing ? rc : judged;
}

/* --- sizes, end -------------------------------------------------------------------------------------------- */

static inline uint64_t sk_stream_tail(const sk_stream *st) { return sk_load64_acquire(&st->tail); }

/* How many messages a reader that begins at the oldest one would find. */
static inline uint64_t sk_stream_length(const sk_stream *st) {
    uint64_t oldest = sk_load64_acquire(&st->oldest), tail = sk_load64_acquire(&st->tail);
    return tail - oldest;
}

/* A reader has moved on. The token is read behind the fence: see sk_queue_notify_producers. */
SK_HOT static inline void sk_stream_notify_room(sk_stream *st) {
    sk_fence_after_rmw(); /* W2: pairs with W1 in sk_eventcount_prepare */
    if (__builtin_expect(((sk_load32_relaxed(&st->room) | sk_load32_relaxed(&st->next)) & 1) == 0, 1)) return;
    if (sk_load64_relaxed(&st->token) != 0) sk_eventcount_notify(&st->next, 1);
    sk_eventcount_notify(&st->room, SK_EVERYBODY);
}

static inline void sk_stream_notify_writers(sk_stream *st) {
    sk_eventcount_notify(&st->next, SK_EVERYBODY);
    sk_eventcount_notify(&st->room, SK_EVERYBODY);
}

/* No message comes any more; `at_once`: and nothing is read any more. Results of sk_stream_lock. */
static inline int sk_stream_shutdown(sk_segment *s, bool at_once, uint64_t until) {
    sk_stream *st = sk_stream_of(s);
    int rc = sk_stream_lock(s, st, (sk_call){.until = until});
    if (rc != SK_OK) return rc;
    uint32_t state = at_once ? SK_STREAM_ENDED : SK_STREAM_DRAINING;
    if (sk_load32_relaxed(&st->state) < state) sk_store32_seq_cst(&st->state, state); /* commits */
    sk_stream_unlock(st);
    sk_eventcount_notify(&st->items, SK_EVERYBODY);
    sk_stream_notify_writers(st);
    return SK_OK;
}

/* --- creating ---------------------------------------------------------------------------------------------- */

/* sk_plan.fill of a stream. */
static inline int sk_stream_fill(sk_segment *s) {
    sk_stream *st = sk_stream_of(s);
    uint64_t start = sk_stream_param(s, SK_STREAM_START);
    sk_slots m;
    sk_store64_relaxed(&st->tail, start);
    sk_store64_relaxed(&st->oldest, start);
    st->slowest = st->checked = start;
    st->lowest = UINT32_MAX;
    st->base = (uint32_t)sk_stream_base_for(sk_stream_slots(s), sk_stream_slot_bytes(s));
    sk_store32_relaxed(&st->count, st->base);
    int rc = sk_stream_map(s, st, &m);
    if (rc != SK_OK) return rc;
    for (uint32_t slot = m.count; slot-- > 0;) sk_stream_push(&m, &st->free, slot);
    st->free_count = m.count;
    return SK_OK;
}

/* SK_CORRUPT if the header does not fit this structure. Every operation checks the words that change. */
static inline int sk_stream_refuse(sk_segment *s) {
    const sk_header *h = sk_header_of(s);
    uint64_t slots = h->param[SK_STREAM_SLOTS], rows = h->param[SK_STREAM_ROWS];
    if (slots < 1 || slots > SK_STREAM_SLOTS_MAX / 2 || rows < 1 || rows > SK_SEATS_MAX) return SK_CORRUPT;
    if (h->param[SK_STREAM_MODE] > SK_STREAM_BLOCK) return SK_CORRUPT;
    if (h->param[SK_STREAM_SLOT_BYTES] > SK_LARGEST / 2) return SK_CORRUPT;
    if (h->param[SK_STREAM_FLOOR] != sk_stream_floor_for(h->body, h->seats, slots, rows)) return SK_CORRUPT;
    if (s->base_len < h->param[SK_STREAM_FLOOR]) return SK_CORRUPT;
    sk_slots m;
    return s->seats.reads ? SK_OK : sk_stream_map(s, sk_stream_of(s), &m);
}

#endif
