# cython: language_level=3
"""Items in the order of `<`, the least first: the store of a PriorityQueue.

`<` may be foreign code: it may raise, take long, let other threads run, or use the same queue. So it never runs inside
the exclusion. A `Place` searches where its item belongs: inside the exclusion, it finds the item to compare with next;
outside, it compares; then it continues inside. Between these steps, items come and go. Taking an item compares nothing,
so if an item cannot be compared, only the call that puts it raises.

    runs            Run, Run, Run, ...   each a list of up to FULL items; the greatest come first, so the next item to
                                         take is at the very end, where taking it moves nothing
    shape           grows when a run is split or becomes empty; then searches start again, once in some hundred steps
    Run.log         the indices of the last insertions: a search shifts its bounds by them, so it need not start again
                    because other calls were faster; only if more than LOG insertions happen during one comparison, the
                    search starts again in its run

Nothing is ever inserted at the end of a run, except of the last one (`put` chooses the first run whose end does not
come after the item, and stays before that end). So the comparisons with the ends of the other runs stay valid while the
shape does not change. A search is delayed only while, for each of its comparisons, other threads put an item exactly
between the two items that it has reached: some thread always makes progress.
If neither of two items is less, the one that was put first goes first.
"""

cimport cython
from cpython.object cimport Py_LT, PyObject_RichCompareBool
from libc.stdint cimport uint16_t


cdef extern from *:
    """
    /* Exchange the items of one list from `from` on with those of the other list; no reference count changes. */
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
    LAST = 1 << 15           # in a log: the item became the last of its run


@cython.final
cdef class Run:
    """A sorted part of the items. `inserts` grows for ever."""


cdef Run half_run():
    """Make a run for `split` to fill. Call this outside of the exclusion: an allocation may run the garbage collector,
    and so finalizers."""
    cdef Run run = Run.__new__(Run)
    run.items = [None] * HALF
    return run


cdef list first_runs():
    """Make the runs of an empty ranking; call this outside of the exclusion, for the same reason."""
    cdef Run run = Run.__new__(Run)
    run.items = []
    return [run]


@cython.final
cdef class Ranking:
    """All items, as sorted runs. Every method is called inside the exclusion and runs no code of an item."""

    def __cinit__(self):
        self.runs = first_runs()
        self.shape = 1

    cdef object pop(self):
        """Remove and return the least item; there must be one."""
        cdef Py_ssize_t last = len(self.runs) - 1
        cdef Run run = <Run>self.runs[last]
        item = run.items.pop()
        if last > 0 and len(run.items) == 0:
            self.runs.pop()
            self.shape += 1
        return item

    cdef bint put(self, Place place) except -1:
        """Put the place's item if its search is complete; return whether the item is in. If not, `place.wants` says
        what is needed first."""
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
        """Move the second half of the run in which the item belongs to a run of its own, unless the shape has changed
        or the run is no longer full; return whether it was split."""
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
        """Replace the runs by these; return the old runs, which must be dropped outside of the exclusion."""
        self.shape += 1
        was, self.runs = self.runs, runs
        return was


@cython.final
cdef class Place:
    """The search for one item's place: the item belongs after everything before `low`, and not after anything at `high`
    or later. At first the bounds are indices of runs, then indices in the item's run."""

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
        """Adjust the bounds to insertions since they were found, and to items taken from the end."""
        cdef Py_ssize_t at, there = len(run.items)
        cdef uint16_t said
        if run.inserts - self.seen > LOG:
            return self.enter(run)
        while self.seen != run.inserts:
            said = run.log[self.seen % LOG]
            at = said & ~LAST
            if said & LAST and at < self.low:    # all items from `at` on had been taken: the new one's order is unknown
                self.low, self.high = at, at + 1
            else:
                self.low += at < self.low
                self.high += at <= self.high     # an item inserted at a bound: its order is unknown, too
            self.seen += 1
        self.high = min(self.high, there)
        self.low = min(self.low, self.high)
        return 0

    cdef int narrow(self) noexcept:
        """Narrow the bounds by the answer, which is about the item that was at `middle` when it was asked for."""
        if self.asked:
            self.asked = False
            if self.before:
                self.low = self.middle + 1
            else:
                self.high = self.middle
        return 0

    cdef int compare(self) except -1:
        """Compare the two items; call this outside of the exclusion. Raises what `<` raises."""
        other, self.other = self.other, None
        self.before = PyObject_RichCompareBool(self.item, other, Py_LT)
        return 0
