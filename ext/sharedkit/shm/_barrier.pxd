"""The C part of the barrier, for the class that calls it."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport sk_segment


cdef extern from "structures/sk_barrier.h" nogil:
    enum: SK_BROKEN, SK_BARRIER_PARTIES, SK_PARTIES_MAX, SK_FILLING, SK_RESETTING, SK_IS_BROKEN

    ctypedef struct sk_barrier:
        uint32_t *slot           # owner words, one a party

    ctypedef struct sk_party:
        uint32_t slot
        cbool last

    uint64_t sk_barrier_body_len(uint32_t parties) noexcept
    sk_barrier *sk_barrier_of(const sk_segment *s) noexcept
    uint32_t sk_barrier_parties(const sk_segment *s) noexcept
    int sk_barrier_refuse(const sk_segment *s) noexcept
    uint32_t sk_barrier_look(const sk_barrier *b) noexcept
    uint32_t sk_barrier_phase(uint32_t state) noexcept
    uint32_t sk_barrier_inside(const sk_segment *s, const sk_barrier *b) noexcept
    int sk_barrier_enter(sk_segment *s, sk_barrier *b, cbool acts, uint64_t until, sk_party *p) noexcept
    int sk_barrier_wait(sk_segment *s, sk_barrier *b, uint32_t slot, uint64_t until) noexcept
    int sk_barrier_acted(sk_barrier *b, cbool well) noexcept
    void sk_barrier_detach(const sk_segment *s, sk_barrier *b, uint32_t slot) noexcept
    int sk_barrier_reset(sk_segment *s, sk_barrier *b, uint64_t until) noexcept
    void sk_barrier_break(sk_barrier *b, uint32_t last) noexcept
    void sk_barrier_notice(const sk_segment *s, sk_barrier *b) noexcept
