# cython: language_level=3
"""Items in the order of their `<`, of which the least goes first: the store of a PriorityQueue.

`<` may be anybody's code: it may raise, take its time, let other threads run, use the very queue. So none of it runs
inside the exclusion. A `Place` searches where its item belongs: inside, it looks up with which item it is to be
compared next; outside, it compares; then it goes on inside. Items come and go between these steps. Taking compares
nothing, so that an item that compares badly is an error of who puts it, and of nobody else.

    runs            Run, Run, Run, ...   each a list of up to FULL items; the greatest come first, so that the one that
                                         is next stands at the very end, where taking it moves nothing
    shape           grows when a run is split or has run empty: searches begin anew, once in some hundred steps
    Run.log         the places of the last insertions: a search shifts its bounds by them, and never begins anew because
                    others were faster; only who is overtaken by more than LOG during one comparison does, in its run

Nothing is ever inserted at the end of a run but of the last one (`put` chooses the first run whose end does not come
after the item, and stays before that end): so what the ends of the others have answered holds while the shape does.
A search ends late only while, for each of its comparisons, others put an item of their own between the very two that
it has come to: somebody always gets on.
Among items of which neither is less, those go first that came first.
"""

cimport cython
from cpython.object cimport Py_LT, PyObject_RichCompareBool
from libc.stdint cimport uint16_t


cdef extern from *:
    """
    /* What one list holds from `from` on changes places with what the other holds: no reference comes or goes. */
    static void exchange_tail(PyObject *list, Py_ssize_t from, PyObject *other) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(other); i++) {
            PyObject *item = PyList_GET_ITEM(list, from + i);
            PyList_SET_ITEM(list, from + i, PyList_GET_ITEM(other, i));
            PyList_SET_ITEM(other, i, item);
        }
    }
    """
    void exchange_tail(list one, Py_ssize_t start, list other) noexcept

cdef enum:
    FULL = 512
    HALF = 256
    LAST = 1 << 15           # in a log: it became the last of its run


@cython.final
cdef class Run:
    """A piece of the order. `inserts` counts for ever."""


cdef Run half_run():
    """What `split` fills. To be made outside of the exclusion: to allocate may run the collector, and finalizers."""
    cdef Run run = Run.__new__(Run)
    run.items = [None] * HALF
    return run


cdef list first_runs():
    """Of an empty ranking; to be made outside, too."""
    cdef Run run = Run.__new__(Run)
    run.items = []
    return [run]


@cython.final
cdef class Ranking:
    """The items. Every method is called inside the exclusion, and runs nobody's code."""

    def __cinit__(self):
        self.runs = first_runs()
        self.shape = 1

    cdef object pop(self):
        """The least item, of those that are there."""
        cdef Py_ssize_t last = len(self.runs) - 1
        cdef Run run = <Run>self.runs[last]
        item = run.items.pop()
        if last > 0 and len(run.items) == 0:
            self.runs.pop()
            self.shape += 1
        return item

    cdef bint put(self, Place place) except -1:
        """Whether the item is in; else `place.wants` says what it takes first."""
        cdef Run run
        if place.shape != self.shape:
            place.shape = self.shape
            place.run = None
            place.asked = False
            place.low, place.high = 0, len(self.runs) - 1
        place.narrow()
        if place.run is None:
            if place.low < place.high:
                run = <Run>self.runs[place.between()]
                return place.ask(run.items[len(run.items) - 1])
            place.enter(<Run>self.runs[place.low])
        run = place.run
        place.catch_up(run)
        if place.low < place.high:
            return place.ask(run.items[place.between()])
        if len(run.items) >= FULL:
            place.wants = SPACE
            return False
        run.log[run.inserts % LOG] = <uint16_t>place.low | (LAST if place.low == len(run.items) else 0)
        run.items.insert(place.low, place.item)
        run.inserts += 1
        place.begun = False
        return True

    cdef bint split(self, Place place, Run half) except -1:
        """Have the second half of the run in which the item belongs become a run of its own, unless that has changed
        meanwhile; whether it did."""
        cdef Py_ssize_t i = 0
        cdef Run run = place.run
        if place.shape != self.shape or len(run.items) < FULL:
            return False
        while self.runs[i] is not run:
            i += 1
        self.runs.insert(i + 1, half)
        exchange_tail(run.items, len(run.items) - HALF, half.items)
        del run.items[len(run.items) - HALF:]
        self.shape += 1
        return True

    cdef list clear(self, list runs):
        """Begin anew with these; what was there, to be dropped outside."""
        self.shape += 1
        was, self.runs = self.runs, runs
        return was


@cython.final
cdef class Place:
    """One item's search: it belongs behind all before `low`, and not behind what is at `high` or later; of runs first,
    then in its run."""

    cdef int begin(self, object item) except -1:
        self.item = item
        self.begun = True
        self.shape = 0
        self.wants = NOTHING
        return 0

    cdef int enter(self, Run run) except -1:
        self.run = run
        self.seen = run.inserts
        self.low, self.high = 0, len(run.items)
        return 0

    cdef Py_ssize_t between(self) noexcept:
        self.middle = self.low + (self.high - self.low) // 2
        return self.middle

    cdef bint ask(self, object other) noexcept:
        self.other = other
        self.asked = True
        self.wants = ANSWER
        return False

    cdef int catch_up(self, Run run) except -1:
        """With what was inserted since the bounds were found, and what was taken from the end."""
        cdef Py_ssize_t at, there = len(run.items)
        cdef uint16_t said
        if run.inserts - self.seen > LOG:
            return self.enter(run)
        while self.seen != run.inserts:
            said = run.log[self.seen % LOG]
            at = said & ~LAST
            if said & LAST and at < self.low:    # all from there on had been taken: how this one compares nobody knows
                self.low, self.high = at, at + 1
            else:
                self.low += at < self.low
                self.high += at <= self.high     # nor of one that came to a bound
            self.seen += 1
        self.high = min(self.high, there)
        self.low = min(self.low, self.high)
        return 0

    cdef int narrow(self) noexcept:
        """By the answer, which is about what was at `middle` when it was asked."""
        if self.asked:
            self.asked = False
            if self.before:
                self.low = self.middle + 1
            else:
                self.high = self.middle
        return 0

    cdef int compare(self) except -1:
        """Outside of the exclusion. What `<` raises."""
        other, self.other = self.other, None
        self.before = PyObject_RichCompareBool(self.item, other, Py_LT)
        return 0
