cimport cython
from libc.stdint cimport uint16_t, uint64_t

cdef enum Wants:
    NOTHING = 0
    ANSWER = 1               # an answer: whether the item goes before `other`
    SPACE = 2                # an empty run, for the second half of a full one

cdef enum:
    LOG = 32                 # a search can catch up with this many insertions into its run


@cython.final
cdef class Run:
    cdef list items
    cdef uint64_t inserts
    cdef uint16_t log[LOG]


@cython.final
cdef class Ranking:
    cdef list runs
    cdef uint64_t shape

    cdef object pop(self)
    cdef bint put(self, Place place) except -1
    cdef bint split(self, Place place, Run half) except -1
    cdef list clear(self, list runs)


@cython.final
cdef class Place:
    cdef object item
    cdef readonly Wants wants
    cdef object other
    cdef Run run
    cdef uint64_t shape, seen
    cdef Py_ssize_t low, high, middle
    cdef bint begun, asked, before

    cdef int begin(self, object item) except -1
    cdef int enter(self, Run run) except -1
    cdef Py_ssize_t between(self) noexcept
    cdef bint ask(self, object other) noexcept
    cdef int catch_up(self, Run run) except -1
    cdef int narrow(self) noexcept
    cdef int compare(self) except -1


cdef list first_runs()
cdef Run half_run()
