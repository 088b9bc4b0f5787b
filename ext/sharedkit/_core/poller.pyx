# cython: language_level=3
"""Polls a descriptor for input before its reader sleeps."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool


cdef extern from "core/sk_poll.h" nogil:
    ctypedef struct sk_poller:
        uint32_t looks       # how often to poll before sleeping; adapts
        uint32_t rest        # how many of the next waits sleep without polling

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

    Adapts, for one thread, how long to poll before a sleep. One wait polls for at most 50 us.
    """

    cdef sk_poller looker

    def __cinit__(self):
        sk_poller_init(&self.looker)

    @property
    def looks(self):
        """How often the next wait polls, at most, before it sleeps."""
        return self.looker.looks

    def look(self, int fd):
        """Return whether there is input at `fd`. If not, the reader must sleep until there is, then call `woke`."""
        cdef bint found
        cdef uint64_t done
        if self.looker.looks == 0 or self.looker.rest > 0:
            return sk_poll(&self.looker, fd)
        with nogil:
            found = sk_poll(&self.looker, fd)
            done = sk_now_ns()
        if sk_now_ns() - done > SK_LONG_OFFER_NS:
            sk_poller_rests(&self.looker)   # other threads want the GIL: after a release they keep it for a time slice
        return found

    def woke(self):
        """Record the end of the sleep that followed an unsuccessful `look`; after any other `look` do nothing."""
        sk_poller_woke(&self.looker)

    def learn(self, uint64_t slept):
        """Do as `woke` does, for a caller that knows for how many nanoseconds it slept."""
        sk_poller_learn(&self.looker, slept)
