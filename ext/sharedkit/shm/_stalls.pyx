# cython: language_level=3
"""Calls that wait for no holder of an inner lock that stands still: what the kernel judged, and what is said of it."""

from libc.stdint cimport uint32_t

from sharedkit._core import stopped_processes


cdef object holder(Segment segment, const sk_stall *stall):
    """The pid of whoever holds the lock, or None."""
    return segment.pid_of(stall.word & <uint32_t>0x7fffffff)


cdef bint goes_on(Segment segment, const sk_stall *stall) except -1:
    """Whether the holder seems about to get on after all, so that the call should wait some more."""
    return stopped_processes.is_about_to_run(holder(segment, stall), stall.still / 1e9)


cdef object stalled(object kind, Segment segment, const sk_stall *stall, str inside):
    """The exception, of that kind, of a call that could not be done in time; it says so where a holder stands still."""
    if stall.word == 0 or stall.still < SK_STALL_NS and not stall.in_time:
        return kind()
    pid = holder(segment, stall)
    if stall.still < SK_STALL_NS and not stopped_processes.is_stopped(pid):
        return kind()
    return kind(stopped_processes.describe(pid, inside, stall.still / 1e9))
