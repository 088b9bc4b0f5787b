"""The cold half of Dict."""

from libc.stdint cimport uint64_t

from sharedkit._segment cimport Handle


cdef class Entries(Handle):
    cdef bytes taken(self, bint values, uint64_t *used)
    cdef list snapshot(self, bint keys, bint values)
    cdef tuple newest(self)
