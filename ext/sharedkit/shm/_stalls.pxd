"""Calls that do not wait for the holder of an inner lock if that holder stands still."""

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment


cdef extern from "core/sk_stall.h" nogil:
    enum: SK_STALLED, SK_STALL_NS

    ctypedef struct sk_stall:
        uint32_t word        # the lock word, which names the holder
        uint32_t which       # which of the structure's locks it is
        cbool in_time        # whether the call's own deadline passed while it waited for the lock
        uint64_t still       # for how many ns the holder has not moved


cdef bint goes_on(Segment segment, const sk_stall *stall) except -1
cdef object stalled(object kind, Segment segment, const sk_stall *stall, str inside)
