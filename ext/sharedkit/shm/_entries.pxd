"""The cold half of Dict."""

from sharedkit._segment cimport Handle


cdef class Entries(Handle):
    cdef list snapshot(self, bint keys, bint values)
