/* Records of a queue that were taken and may come back: a row for each, beside the ring.
 *
 * A lease takes a record for the time in which a consumer works on it. The record stays in the ring, behind the head,
 * until the lease ends. The row says where it is and whose it is, so that it comes back if the consumer fails or dies.
 *
 *   word     63 ........ 32  31 ..... 2  1 0
 *            owner           deliveries  state
 *   state    FREE            the row is unused; the word is 0
 *            LEASED          `owner` works on the record at `record`
 *            BACK            the record waits before the head: the next consumer gets the first of these
 *   record   the position of the record; the bytes lie in the ring between `kept` and the head
 *
 *   step                     written by                                        committed by
 *   FREE -> LEASED           a lease from the head, under get_lock             the store of the head
 *   BACK -> LEASED           a lease of a record that came back, under get_lock     the store of word
 *   BACK -> FREE             a get of it, under get_lock                       the store of word
 *   LEASED -> FREE           the owner, by compare-and-swap, without a lock: the record is taken for good
 *   LEASED -> BACK           the owner, by compare-and-swap, without a lock; or, if the owner is dead, the holder of
 *                            get_lock
 *
 * Order. A record that comes back keeps its position, and the records that are BACK are served by position, before the
 * record at the head. So they come in the order in which they were taken at first, which is the order of the puts.
 *
 * Memory. `kept` is the position of the first record that a row keeps. Producers reuse only the ring before it. If the
 * ring gets full because of a few old records, sk_leases_compact moves them forward to just before the head. So a lease
 * that lasts long costs its own bytes, not those of all records that went past it.
 *
 * Deaths. The owner dies: any consumer that finds the queue empty, or takes something after the last search was
 * SK_LEASES_LOOK_NS ago, asks which owners of rows live, and puts the records of the dead BACK. A process dies in a
 * lease before the store of the head: the row is LEASED with a record that is not before the head; the next one that
 * takes over get_lock frees such rows. In a compaction: the store of `record` commits each move; before it, the old
 * place still has the record, and after it, the new place has it. Between BACK and the change of `back`: the record is
 * found by the next search. `back` and `rows` say how many rows there may be, and are too large, never too small,
 * except `back` in that gap.
 *
 * Why an owner needs no lock to end its lease: only the owner changes a row that is LEASED, as long as it lives, apart
 * from `record`. The holder of get_lock that takes a row for the next lease sees it FREE, by an acquire load (A1),
 * after the owner's last access to the bytes (R1). */
#ifndef SK_LEASES_H
#define SK_LEASES_H

#include "structures/sk_ring.h"

#define SK_LEASES_ROWS 1024u
#define SK_LEASES_LOOK_NS 10000000u /* how often the owners are asked for, at most */
#define SK_LEASES_KEPT ((uint64_t)1 << 32)

enum sk_lease_state { SK_LEASE_FREE = 0, SK_LEASE_LEASED = 1, SK_LEASE_BACK = 2 };

typedef struct sk_lease_row {
    uint64_t word;
    uint64_t record;
} sk_lease_row;

/* The common words, on the line of the head; under get_lock, except `back`. */
typedef struct sk_leases {
    uint64_t kept;   /* units of the first position that a row keeps, plus SK_LEASES_KEPT; 0: no row keeps anything */
    uint64_t looked; /* monotonic time of the last search for the dead */
    uint32_t back;   /* not 0 if a record is BACK */
    uint32_t rows;   /* the rows in use lie before this one */
    uint32_t next;   /* where the search for a free row begins */
} sk_leases;

/* A lease, in the memory of its owner. */
typedef struct sk_lease {
    uint64_t word;   /* of the row while the lease lasts; 0: it has ended */
    uint32_t row;
    uint32_t deliveries; /* how often the record was leased, this time included */
} sk_lease;

static inline uint64_t sk_lease_word(uint32_t owner, uint32_t deliveries, enum sk_lease_state state) {
    return (uint64_t)owner << 32 | deliveries << 2 | state;
}
static inline enum sk_lease_state sk_lease_state(uint64_t word) { return (enum sk_lease_state)(word & 3); }
static inline uint32_t sk_lease_owner(uint64_t word) { return (uint32_t)(word >> 32) & SK_OWNER_MASK; }
static inline uint32_t sk_lease_deliveries(uint64_t word) { return (uint32_t)word >> 2; }

/* The number of deliveries after one more; it stays at the largest number. */
static inline uint32_t sk_lease_again(uint64_t word) {
    uint32_t deliveries = sk_lease_deliveries(word);
    return deliveries < UINT32_MAX >> 2 ? deliveries + 1 : deliveries;
}

static inline uint32_t sk_leases_rows(const sk_leases *l) {
    uint32_t rows = sk_load32_relaxed(&l->rows);
    return rows < SK_LEASES_ROWS ? rows : SK_LEASES_ROWS;
}

/* Whether position `a` comes before position `b`; both are within half the range of each other. */
static inline bool sk_before(uint64_t a, uint64_t b) { return (int32_t)(sk_items(a) - sk_items(b)) < 0; }

/* Where the ring is free to be used again: the units of the first record that is kept, or else of `head`. A producer
 * reads the head first: a lease stores `kept` before the head, so whoever sees the new head sees it. */
static inline uint32_t sk_leases_base(const sk_leases *l, uint64_t head) {
    uint64_t kept = sk_load64_acquire(&l->kept); /* A2: pairs with R2 */
    if (__builtin_expect(kept == 0, 1)) return sk_units(head);
    return (int32_t)((uint32_t)kept - sk_units(head)) < 0 ? (uint32_t)kept : sk_units(head);
}

/* How many rows have this state. */
static inline uint32_t sk_leases_count(const sk_leases *l, const sk_lease_row *row, enum sk_lease_state state) {
    uint32_t n = 0;
    for (uint32_t i = 0, rows = sk_leases_rows(l); i < rows; i++)
        n += sk_lease_state(sk_load64_acquire(&row[i].word)) == state;
    return n;
}

/* --- under get_lock ------------------------------------------------------------------------------ */

/* Forget the rows at the end that have become free. Returns the number of rows that may be in use. */
static inline uint32_t sk_leases_trim(sk_leases *l, const sk_lease_row *row) {
    uint32_t rows = sk_leases_rows(l), was = rows;
    while (rows > 0 && sk_load64_acquire(&row[rows - 1].word) == 0) rows--; /* A1: pairs with R1 */
    if (rows == 0 && sk_load64_relaxed(&l->kept) != 0) sk_store64_release(&l->kept, 0); /* R2 */
    if (rows != was) sk_store32_relaxed(&l->rows, rows);
    return rows;
}

/* Find `kept` again from the rows. */
static inline void sk_leases_find_kept(sk_leases *l, const sk_lease_row *row, uint64_t head) {
    uint32_t rows = sk_leases_trim(l, row), first = sk_units(head);
    bool any = false;
    for (uint32_t i = 0; i < rows; i++) {
        if (sk_load64_acquire(&row[i].word) == 0) continue; /* A1 */
        uint32_t at = sk_units(sk_load64_relaxed(&row[i].record));
        if (!any || (int32_t)(at - first) < 0) first = at;
        any = true;
    }
    sk_store64_release(&l->kept, any ? SK_LEASES_KEPT | first : 0); /* R2: pairs with A2 */
}

/* Find the first record that came back: its row in *at, and its position. False: there is none. */
SK_COLD static inline bool sk_leases_first(sk_leases *l, const sk_lease_row *row, uint32_t *at, uint64_t *record) {
    uint32_t seen = sk_load32_relaxed(&l->back), rows = sk_leases_rows(l);
    bool any = false;
    for (uint32_t i = 0; i < rows; i++) {
        if (sk_lease_state(sk_load64_acquire(&row[i].word)) != SK_LEASE_BACK) continue;
        uint64_t here = sk_load64_relaxed(&row[i].record);
        if (any && !sk_before(here, *record)) continue;
        *record = here;
        *at = i;
        any = true;
    }
    /* If an owner puts a record back just now, it changes `back` after the row, and this fails. */
    if (!any) sk_cas32_seq_cst(&l->back, &seen, 0);
    return any;
}

/* Find a free row; SK_LEASES_ROWS: all are in use. The row counts as used from here on. */
static inline uint32_t sk_leases_free_row(sk_leases *l, const sk_lease_row *row) {
    uint32_t rows = sk_leases_trim(l, row), at = rows;
    if (rows > 0) {
        uint32_t next = sk_load32_relaxed(&l->next) % SK_LEASES_ROWS, i = 0;
        for (; i < SK_LEASES_ROWS && sk_load64_acquire(&row[at = (next + i) % SK_LEASES_ROWS].word) != 0; i++) continue; /* A1 */
        if (i == SK_LEASES_ROWS) return SK_LEASES_ROWS;
        if (at > rows && sk_load64_acquire(&row[rows].word) == 0) at = rows; /* keep the rows in use together */
    }
    sk_store32_relaxed(&l->next, at + 1);
    if (at >= rows) sk_store32_relaxed(&l->rows, at + 1);
    return at;
}

/* Make a row keep the record at `record`. A row that is LEASED counts only once the head is behind the record. */
static inline void sk_leases_keep(sk_leases *l, sk_lease_row *row, uint32_t at, uint64_t record, uint64_t word) {
    sk_store64_relaxed(&row[at].record, record);
    sk_store64_release(&row[at].word, word);
    uint64_t kept = sk_load64_relaxed(&l->kept);
    if (kept == 0 || (int32_t)(sk_units(record) - (uint32_t)kept) < 0)
        sk_store64_release(&l->kept, SK_LEASES_KEPT | sk_units(record)); /* R2: pairs with A2 */
}

/* Repair after the death of a holder of get_lock: free the rows of leases that did not happen. */
SK_COLD static inline void sk_leases_repair(sk_leases *l, sk_lease_row *row, uint64_t head) {
    uint32_t rows = 0;
    for (uint32_t i = 0; i < SK_LEASES_ROWS; i++) {
        uint64_t word = sk_load64_acquire(&row[i].word);
        if (sk_lease_state(word) == SK_LEASE_LEASED && !sk_before(sk_load64_relaxed(&row[i].record), head))
            sk_store64_release(&row[i].word, 0);
        else if (word != 0) rows = i + 1;
    }
    sk_store32_relaxed(&l->rows, rows);
    sk_store32_seq_cst(&l->back, 1); /* the next search sees whether that is so */
    sk_leases_find_kept(l, row, head);
}

/* Whether it is time to ask which owners live. */
static inline bool sk_leases_late(const sk_leases *l) {
    return sk_load32_relaxed(&l->rows) != 0 && sk_now_ns() - sk_load64_relaxed(&l->looked) > SK_LEASES_LOOK_NS;
}

/* Put the records of dead owners back. Returns how many came back, also by owners that died before they said so. */
SK_COLD static inline uint32_t sk_leases_recover(const sk_segment *s, sk_leases *l, sk_lease_row *row) {
    uint32_t back = 0, asked = 0, rows = sk_leases_trim(l, row);
    bool lives = true;
    sk_asker asker = sk_ask(&s->seats);
    sk_store64_relaxed(&l->looked, sk_now_ns());
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t word = sk_load64_acquire(&row[i].word);
        enum sk_lease_state state = sk_lease_state(word);
        if (state == SK_LEASE_LEASED) {
            uint32_t owner = sk_lease_owner(word);
            if (owner != asked) lives = sk_asker_lives(&asker, owner);
            asked = owner;
            if (lives) continue;
            uint64_t now = sk_lease_word(0, sk_lease_deliveries(word), SK_LEASE_BACK);
            back += sk_cas64_seq_cst(&row[i].word, &word, now); /* commits; fails if it ended its lease and died */
        } else if (state == SK_LEASE_BACK) back++;
    }
    sk_asker_end(&asker);
    if (back > 0) sk_add32_seq_cst(&l->back, 1);
    return back;
}

/* Under both locks: move the records that rows keep forward, to just before `head`, the last one first. A record moves
 * only to bytes that nobody uses, and never over its own: the store of `record` commits. */
SK_COLD static inline int sk_leases_compact(sk_leases *l, sk_lease_row *row, const sk_ring *r, uint64_t head,
                                            uint32_t *moves[2]) {
    uint64_t limit = head;
    for (;;) {
        uint32_t at = SK_LEASES_ROWS, rows = sk_leases_rows(l);
        uint64_t last = 0;
        for (uint32_t i = 0; i < rows; i++) { /* the last record before `limit` */
            uint64_t word = sk_load64_acquire(&row[i].word), here = sk_load64_relaxed(&row[i].record);
            if (word == 0 || !sk_before(here, limit) || (at != SK_LEASES_ROWS && sk_before(here, last))) continue;
            at = i;
            last = here;
        }
        if (at == SK_LEASES_ROWS) break;
        uint32_t gap = sk_units(limit) - sk_units(last);
        if (gap > r->units) return SK_CORRUPT;
        uint64_t head_word = sk_ring_head_at(r, sk_units(last)), units = sk_record_units(sk_record_payload(head_word));
        if (!sk_record_sound(head_word) || units > gap) return SK_CORRUPT;
        limit = last;
        if (gap < 2 * units) continue;
        uint32_t to = sk_units(last) + gap - (uint32_t)units;
        sk_ring_move(r, to, sk_units(last), units, moves);
        sk_store64_release(&row[at].record, sk_position(sk_items(last), to)); /* commits the move */
        limit = sk_position(sk_items(last), to);
    }
    sk_leases_find_kept(l, row, head);
    return SK_OK;
}

/* --- the owner, without a lock -------------------------------------------------------------------- */

/* End a lease: the record is taken for good (`state` FREE), or comes BACK. False: this process does not own it (a child
 * of fork has no lease of its parent's), or it has ended. */
static inline bool sk_lease_end(const sk_segment *s, sk_leases *l, sk_lease_row *row, sk_lease *lease,
                                enum sk_lease_state state) {
    uint64_t word = lease->word, now = state == SK_LEASE_FREE ? 0 : sk_lease_word(0, sk_lease_deliveries(word), state);
    lease->word = 0;
    if (word == 0 || sk_lease_owner(word) != sk_me(s) || lease->row >= SK_LEASES_ROWS) return false;
    if (!sk_cas64_seq_cst(&row[lease->row].word, &word, now)) return false; /* commits. R1: pairs with A1 */
    if (state == SK_LEASE_BACK) sk_add32_seq_cst(&l->back, 1);
    return true;
}

#endif
