"""The C part of the queue, without the declarations that only event loops need."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport sk_segment
from sharedkit.shm._codec cimport sk_part
from sharedkit.shm._stalls cimport sk_stall
from sharedkit.shm._waiting cimport sk_wait_state


cdef extern from *:
    """
    #include "structures/sk_queue_put.h"
    #include "structures/sk_queue_get.h"
    #include "structures/sk_queue_state.h"
    #include "structures/sk_queue_lease.h"
    """
    const uint64_t SK_RING_UNITS_MAX
    enum: SK_UNIT, SK_RECORD_HEAD, SK_QUEUE_MAXSIZE, SK_QUEUE_FLOOR, SK_QUEUE_LOG2, SK_QUEUE_START, SK_QUEUE_OVERFLOW
    enum: SK_LEASES_ROWS

    ctypedef struct sk_queue:
        uint32_t put_lock
        uint32_t get_lock
        uint32_t state
        uint64_t token        # the fairness token of a producer that waits for room, or 0

    ctypedef struct sk_call:
        uint64_t until
        cbool willing
        sk_wait_state *wait        # the wait state of a call that honours the token or detects stalled holders, or NULL

    ctypedef struct sk_found:
        uint64_t head
        uint64_t payload
        uint32_t kind

    ctypedef struct sk_lease:
        uint64_t word         # 0: the lease has ended
        uint32_t row
        uint32_t deliveries   # how often the item was leased, this time included

    uint64_t sk_record_units(uint64_t payload) noexcept nogil
    uint64_t sk_record_head(uint64_t payload, uint32_t kind) noexcept nogil
    uint64_t sk_record_payload(uint64_t head) noexcept nogil
    cbool sk_record_sound(uint64_t head) noexcept nogil
    uint32_t sk_record_kind(uint64_t head) noexcept nogil
    sk_queue *sk_queue_of(const sk_segment *s) noexcept nogil
    uint64_t sk_queue_maxsize(const sk_queue *q) noexcept nogil
    void sk_queue_set_maxsize(sk_queue *q, uint64_t maxsize) noexcept nogil
    int sk_queue_put(sk_segment *s, const sk_part *parts, uint32_t n, uint32_t kind, sk_call call) noexcept nogil
    int sk_queue_put_records(sk_segment *s, const unsigned char *records, uint32_t *items, uint64_t *units,
                             sk_call call) noexcept nogil
    void sk_queue_cancel_put(sk_segment *s, const sk_wait_state *wait) noexcept
    cbool sk_queue_glance(sk_segment *s) noexcept nogil
    int sk_queue_get(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_call call) noexcept nogil
    int sk_queue_get_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted,
                           sk_call call) noexcept nogil
    int sk_queue_get_records(sk_segment *s, unsigned char *to, uint32_t *items, uint64_t *units, sk_found *found,
                             sk_call call) noexcept nogil
    int sk_queue_take_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted, sk_lease *lease,
                            sk_call call) noexcept nogil
    int sk_queue_lease(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_lease *lease,
                       sk_call call) noexcept nogil
    int sk_queue_look(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_call call) noexcept nogil
    int sk_queue_read_lease(sk_segment *s, const sk_lease *lease, void *to, uint64_t size, sk_call call) noexcept nogil
    cbool sk_queue_settle(sk_segment *s, sk_lease *lease) noexcept nogil
    cbool sk_queue_give_back(sk_segment *s, sk_lease *lease) noexcept nogil
    int sk_queue_forgo(sk_segment *s, sk_lease *lease, sk_call call) noexcept nogil
    int sk_queue_clear(sk_segment *s, uint64_t *n, sk_call call) noexcept nogil
    cbool sk_queue_drops(const sk_segment *s) noexcept nogil
    uint32_t sk_queue_held(const sk_queue *q) noexcept nogil
    uint32_t sk_queue_leased(const sk_queue *q) noexcept nogil
    uint64_t sk_queue_dropped(const sk_queue *q) noexcept nogil
    uint64_t sk_queue_capacity(const sk_queue *q) noexcept nogil
    uint64_t sk_queue_lacks(sk_segment *s, uint64_t payload) noexcept nogil
    uint32_t sk_queue_count(const sk_queue *q) noexcept nogil
    uint64_t sk_queue_bytes(const sk_queue *q) noexcept nogil
    uint32_t sk_queue_unfinished_now(const sk_queue *q) noexcept nogil
    int sk_queue_task_done(sk_queue *q, uint32_t n) noexcept nogil
    int sk_queue_join(sk_segment *s, uint64_t until) noexcept nogil
    int sk_queue_shutdown(sk_segment *s, cbool at_once, uint64_t until) noexcept nogil
    uint64_t sk_queue_floor_for(uint32_t seats) noexcept nogil
    uint64_t sk_queue_body_len(uint32_t seats, uint32_t log2) noexcept nogil
    int sk_queue_fill(sk_segment *s) noexcept nogil
    int sk_queue_refuse(sk_segment *s) noexcept nogil
    uint32_t sk_lock_owner(const uint32_t *word) noexcept nogil
    enum: SK_QUEUE_GET


cdef inline str inside(const sk_stall *stall):
    """Return a text that names the operation in which the holder of the lock stopped."""
    return "get()" if stall.which == SK_QUEUE_GET else "put()"


cdef enum:
    SMALL = 2048              # the largest item, in bytes, that is first copied to the stack
    QUICK = 32768             # the largest item, in bytes, that is copied with the GIL held
