/* Items that leave a queue without being taken: dropped to make room, cleared, or moved to a queue of dead letters.
 *
 * Such a step changes several words: the head or a row of a lease, and the counts. So the holder of get_lock writes the
 * new values beside the old ones, and one store commits all of them:
 *
 *   seq       even: `forgone` and `dropped` hold, and the head is the word of the queue
 *             odd: the step has happened; `next_head`, `next_forgone` and `next_dropped` hold instead
 *
 * The store of an odd `seq` commits. Then the holder copies the new values to their places and makes `seq` even. If it
 * dies in between, the next holder of get_lock does this, and until then every reader uses the new values. If it dies
 * before the commit, nothing has happened. A reader reads `seq` before and after the values, because values that are
 * not committed may be written over those that it reads. */
#ifndef SK_FORGONE_H
#define SK_FORGONE_H

#include "structures/sk_leases.h"

#define SK_FORGONE_NO_ROW UINT32_MAX

typedef struct sk_forgone {
    uint32_t seq;
    uint32_t forgone;      /* items that left without being taken; they count as done */
    uint32_t next_forgone;
    uint32_t next_row;     /* the row that becomes free, or SK_FORGONE_NO_ROW */
    uint64_t dropped;      /* those of them that a put dropped */
    uint64_t next_dropped;
    uint64_t next_head;
} sk_forgone;

/* What readers see at one moment. */
typedef struct sk_forgone_now {
    uint64_t head, dropped;
    uint32_t forgone;
} sk_forgone_now;

static inline sk_forgone_now sk_forgone_read(const sk_forgone *f, const uint64_t *head) {
    sk_forgone_now now;
    uint32_t seq, again = sk_load32_acquire(&f->seq);
    do {
        seq = again;
        bool odd = seq & 1;
        now.head = sk_load64_acquire(odd ? &f->next_head : head); /* A4: pairs with R4 */
        now.forgone = sk_load32_acquire(odd ? &f->next_forgone : &f->forgone); /* A6: pairs with R6 */
        now.dropped = sk_load64_acquire(odd ? &f->next_dropped : &f->dropped); /* A6 */
        again = sk_load32_acquire(&f->seq);
    } while (again != seq);
    return now;
}

/* The position before which nothing is in the queue any more. */
static inline uint64_t sk_forgone_head(const sk_forgone *f, const uint64_t *head) {
    uint64_t now = sk_load64_acquire(head); /* A4: pairs with R4 */
    return __builtin_expect(sk_load32_acquire(&f->seq) & 1, 0) ? sk_forgone_read(f, head).head : now;
}

/* Under get_lock: finish a step that has been committed. May be done again after a death at any point. */
static inline void sk_forgone_finish(sk_forgone *f, uint64_t *head, sk_lease_row *row) {
    uint32_t seq = sk_load32_relaxed(&f->seq);
    if (!(seq & 1)) return;
    uint32_t at = sk_load32_relaxed(&f->next_row);
    if (at < SK_LEASES_ROWS) sk_store64_release(&row[at].word, 0);
    sk_store64_release(head, sk_load64_relaxed(&f->next_head)); /* R4: pairs with A4 */
    sk_store32_release(&f->forgone, sk_load32_relaxed(&f->next_forgone)); /* R6 */
    sk_store64_release(&f->dropped, sk_load64_relaxed(&f->next_dropped)); /* R6 */
    sk_store32_release(&f->seq, seq + 1);
}

/* Under get_lock: `items` leave the queue; the head becomes `next`, and row `at` free, unless it is SK_FORGONE_NO_ROW. */
static inline void sk_forgone_commit(sk_forgone *f, uint64_t *head, sk_lease_row *row, uint64_t next, uint32_t at,
                                     uint32_t items, bool dropped) {
    /* R6: a reader that sees one of these values also sees that the step before is finished; pairs with A6 */
    sk_store64_release(&f->next_head, next);
    sk_store32_release(&f->next_forgone, sk_load32_relaxed(&f->forgone) + items);
    sk_store64_release(&f->next_dropped, sk_load64_relaxed(&f->dropped) + (dropped ? items : 0));
    sk_store32_release(&f->next_row, at);
    sk_store32_release(&f->seq, sk_load32_relaxed(&f->seq) + 1); /* commits */
    sk_forgone_finish(f, head, row);
}

#endif
