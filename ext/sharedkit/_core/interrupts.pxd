"""The actions of a wait between two slices (bounded sleeps)."""

from libc.stdint cimport uint32_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment


cdef int attend(Segment segment) except -1
cdef bint unanswered(Segment segment, int rc) except -1
cdef const cbool *has_greenlets() noexcept
cdef uint32_t greenlet_number(uint32_t (*fresh)() noexcept) noexcept
