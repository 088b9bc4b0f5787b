"""The C part of the stream."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport sk_segment
from sharedkit.shm._codec cimport sk_part
from sharedkit.shm._waiting cimport sk_wait_state


cdef extern from *:
    """
    #include "structures/sk_stream_write.h"
    #include "structures/sk_stream_read.h"
    """
    enum: SK_STREAM_SLOTS, SK_STREAM_FLOOR, SK_STREAM_SLOT_BYTES, SK_STREAM_MODE, SK_STREAM_ROWS, SK_STREAM_BLOCK
    enum: SK_STREAM_OPEN, SK_STREAM_QUICK, SK_STREAM_PINS
    const uint64_t SK_STREAM_SLOTS_MAX, SK_STREAM_NOWHERE

    ctypedef struct sk_stream:
        uint32_t lock
        uint32_t state
        uint32_t count
        uint32_t items, room, next    # eventcounts: bit 0 says that a thread may sleep
        uint64_t token

    ctypedef struct sk_stream_row:
        uint64_t who
        uint64_t position
        uint64_t lost

    ctypedef struct sk_call:
        uint64_t until
        cbool willing
        sk_wait_state *wait

    ctypedef struct sk_slots:
        uint32_t count

    ctypedef struct sk_stream_claim:
        uint32_t entry       # 0: no claim
        uint32_t slot

    ctypedef struct sk_stream_reader:
        uint64_t who         # 0: not registered
        uint32_t row
        uint64_t position

    ctypedef struct sk_stream_message:
        uint64_t number
        uint64_t payload
        uint32_t kind
        uint32_t slot
        uint32_t length      # in slots
        uint32_t pin

    enum sk_stream_begin_at:
        SK_STREAM_AT_NEXT, SK_STREAM_AT_OLDEST, SK_STREAM_AT_LATEST, SK_STREAM_AT_POSITION

    sk_stream *sk_stream_of(const sk_segment *s) noexcept nogil
    sk_stream_row *sk_stream_row_at(const sk_segment *s, uint32_t row) noexcept nogil
    uint32_t sk_stream_rows(const sk_segment *s) noexcept nogil
    uint64_t sk_stream_slots(const sk_segment *s) noexcept nogil
    uint64_t sk_stream_slot_bytes(const sk_segment *s) noexcept nogil
    cbool sk_stream_blocks(const sk_segment *s) noexcept nogil
    uint64_t sk_stream_stride(const sk_segment *s) noexcept nogil
    uint64_t sk_stream_stride_for(uint64_t slot_bytes) noexcept nogil
    uint64_t sk_stream_base_for(uint64_t slots, uint64_t slot_bytes) noexcept nogil
    uint64_t sk_stream_floor_for(uint64_t body, uint32_t seats, uint64_t slots, uint64_t rows) noexcept nogil
    uint64_t sk_stream_tail(const sk_stream *st) noexcept nogil
    uint64_t sk_stream_length(const sk_stream *st) noexcept nogil
    int sk_stream_fill(sk_segment *s) noexcept nogil
    int sk_stream_refuse(sk_segment *s) noexcept nogil
    int sk_stream_shutdown(sk_segment *s, cbool at_once, uint64_t until) noexcept nogil
    int sk_stream_put(sk_segment *s, const sk_part *parts, uint32_t n, uint32_t kind, sk_call call) noexcept nogil
    int sk_stream_claim_slots(sk_segment *s, uint64_t payload, uint32_t kind, sk_stream_claim *claim,
                              sk_call call) noexcept nogil
    int sk_stream_fill_claim(sk_segment *s, const sk_stream_claim *claim, const sk_part *parts,
                             uint32_t n) noexcept nogil
    int sk_stream_publish(sk_segment *s, sk_stream_claim *claim, sk_call call) noexcept nogil
    void sk_stream_drop(sk_segment *s, sk_stream_claim *claim, uint64_t until) noexcept nogil
    int sk_stream_begin(sk_segment *s, sk_stream *st, sk_call call) noexcept nogil
    int sk_stream_await_room(sk_segment *s, sk_call call) noexcept nogil
    int sk_stream_take(sk_segment *s, sk_stream *st, uint64_t payload, uint32_t kind, sk_slots *m,
                       uint32_t *slot) noexcept nogil
    int sk_stream_publish_slot(sk_segment *s, sk_stream *st, const sk_slots *m, uint32_t slot) noexcept nogil
    void sk_stream_end(sk_stream *st) noexcept nogil
    void sk_stream_cancel(sk_segment *s, const sk_wait_state *wait) noexcept nogil
    int sk_stream_register(sk_segment *s, sk_stream_reader *reader, sk_stream_begin_at at, uint64_t lost,
                           uint64_t until) noexcept nogil
    void sk_stream_unregister(sk_segment *s, const sk_stream_reader *reader) noexcept nogil
    cbool sk_stream_reader_is_mine(const sk_segment *s, const sk_stream_reader *reader) noexcept nogil
    uint64_t sk_stream_lost(const sk_segment *s, const sk_stream_reader *reader) noexcept nogil
    int sk_stream_read(sk_segment *s, sk_stream_reader *reader, cbool latest, sk_stream_message *found) noexcept nogil
    int sk_stream_copy(sk_segment *s, const sk_stream_message *found, uint64_t start, void *to,
                       uint64_t size) noexcept nogil
    void sk_stream_unpin(const sk_segment *s, const sk_stream_reader *reader, uint32_t pin) noexcept nogil
    unsigned char *sk_stream_data(sk_segment *s, uint32_t slot, uint32_t length) noexcept nogil
    int sk_stream_wait(sk_segment *s, const sk_stream_reader *reader, uint64_t until) noexcept nogil


cdef enum:
    KIND_ELEMENTS = 64       # of a message of the array form; other kinds: see _codec.pxd
