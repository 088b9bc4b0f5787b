# cython: language_level=3
"""Calls that do not wait for a stalled holder of an inner lock: reads the C code's finding and words the exception."""

from libc.stdint cimport uint32_t

from sharedkit._core import stopped_processes


cdef object holder(Segment segment, const sk_stall *stall):
    """Return the pid of the process that holds the lock, or None."""
    return segment.pid_of(stall.word & <uint32_t>0x7fffffff)


cdef bint goes_on(Segment segment, const sk_stall *stall) except -1:
    """Return whether the holder seems to be about to run, so that the call should wait longer."""
    return stopped_processes.is_about_to_run(holder(segment, stall), stall.still / 1e9)


cdef object stalled(object kind, Segment segment, const sk_stall *stall, str inside):
    """Return an exception of that kind for a call that was not done in time; its message names a stalled holder."""
    if stall.word == 0 or stall.still < SK_STALL_NS and not stall.in_time:
        return kind()
    pid = holder(segment, stall)
    if stall.still < SK_STALL_NS and not stopped_processes.is_stopped(pid):
        return kind()
    return kind(stopped_processes.describe(pid, inside, stall.still / 1e9))
