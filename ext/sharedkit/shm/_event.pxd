"""The timeouts of Event, Condition and Barrier."""

from libc.stdint cimport uint64_t


cdef uint64_t until_of_wait(object timeout) except? 1
