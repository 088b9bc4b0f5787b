# cython: language_level=3
"""Looking whether a descriptor has something to read, before its reader sleeps."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool


cdef extern from "core/sk_poll.h" nogil:
    ctypedef struct sk_poller:
        uint32_t looks       # to take before sleeping; adapts
        uint32_t rest        # so many waits sleep at once

    uint64_t SK_LONG_OFFER_NS
    uint64_t sk_now_ns() noexcept
    void sk_poller_init(sk_poller *looker) noexcept
    void sk_poller_rests(sk_poller *looker) noexcept
    cbool sk_poll(sk_poller *looker, int fd) noexcept
    void sk_poller_learn(sk_poller *looker, uint64_t slept) noexcept
    void sk_poller_woke(sk_poller *looker) noexcept


cdef class Poller:
    """Poller()
    --

    What one thread has learnt of how long it pays to look before it sleeps. Costs 50 us of a core at most.
    """

    cdef sk_poller looker

    def __cinit__(self):
        sk_poller_init(&self.looker)

    @property
    def looks(self):
        """How many looks the next wait begins with, at most."""
        return self.looker.looks

    def look(self, int fd):
        """Whether something can be read at `fd`. If not, its reader is to sleep until then, and to call `woke`."""
        cdef bint found
        cdef uint64_t done
        if self.looker.looks == 0 or self.looker.rest > 0:
            return sk_poll(&self.looker, fd)
        with nogil:
            found = sk_poll(&self.looker, fd)
            done = sk_now_ns()
        if sk_now_ns() - done > SK_LONG_OFFER_NS:
            sk_poller_rests(&self.looker)   # other threads want the GIL: to let go of it costs a slice of theirs
        return found

    def woke(self):
        """The sleep that followed a `look` in vain is over; after any other it says nothing."""
        sk_poller_woke(&self.looker)

    def learn(self, uint64_t slept):
        """What `woke` does, for who knows how many nanoseconds the sleep took."""
        sk_poller_learn(&self.looker, slept)
