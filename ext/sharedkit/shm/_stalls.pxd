"""Calls that wait for no holder of an inner lock that stands still."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment


cdef extern from "core/sk_stall.h" nogil:
    enum: SK_STALLED, SK_STALL_NS

    ctypedef struct sk_stall:
        uint32_t word        # of the lock, with its holder
        uint32_t which       # of the structure's locks
        cbool in_time        # the call's own time ended at the lock
        uint64_t still       # ns for which its holder has not moved


cdef bint goes_on(Segment segment, const sk_stall *stall) except -1
cdef object stalled(object kind, Segment segment, const sk_stall *stall, str inside)
