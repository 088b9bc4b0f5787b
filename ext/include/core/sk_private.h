/* A segment in this process's own memory, for its threads alone; the structures work in it as in a shared one.
 *
 *   offset                what
 *   0                     sk_segment, the part that a segment without a file needs
 *   next line             `base` points here: space for the header, the seat table, description and structure, as in a
 *                         file
 *
 * It has no file, no name that the system knows and no descriptor; no process attaches to it, and it never grows. Its
 * process has seat 0 in epoch 1 for ever, so every owner in it lives. The child of a fork has a copy, in which it is
 * the same owner. So, as with the locks of threading, a lock that a thread of the parent holds stays held in the
 * copy. */
#ifndef SK_PRIVATE_H
#define SK_PRIVATE_H

#include "core/sk_segment.h"

#define SK_PRIVATE_ME (1u << SK_SEAT_BITS)

static sk_identity sk_private_identity = {.me = SK_PRIVATE_ME};

static inline uint64_t sk_private_base_at(void) { return sk_round_up(offsetof(sk_segment, map), SK_LINE); }

/* Bytes of memory that such a segment needs; SK_LARGEST or more: too many for any process. */
static inline uint64_t sk_private_len(const sk_plan *plan) {
    if (plan->body_len > SK_LARGEST / 2 || plan->meta_len > SK_META_MOST) return SK_LARGEST;
    return sk_private_base_at() + sk_body_at(plan->seats, plan->meta_len) + plan->body_len;
}

/* Make a segment in `memory`: sk_private_len zeroed bytes, aligned to SK_LINE. SK_OK, or the result of plan->fill. */
static inline int sk_private_create(void *memory, const sk_plan *plan) {
    sk_segment *s = memory;
    s->base = (unsigned char *)memory + sk_private_base_at();
    s->base_len = sk_private_len(plan) - sk_private_base_at();
    s->view = s->base;
    s->view_len = s->base_len;
    sk_segment_head(&s->header, plan, s->base_len);
    s->seats.process = &sk_this_process;
    s->seats.id = &sk_private_identity;
    s->seats.count = plan->seats;
    s->seats.table = (sk_seat_entry *)(void *)(s->base + SK_SEATS_AT);
    s->seats.table[0] = (sk_seat_entry){.epoch = sk_owner_epoch(SK_PRIVATE_ME), .pid = sk_pid()};
    s->seats.path = "";
    sk_segment_patience(s);
    if (plan->meta_len > 0) memcpy(s->base + s->header.meta, plan->meta, plan->meta_len);
    return plan->fill == NULL ? SK_OK : plan->fill(s);
}

#endif
