# cython: language_level=3
"""The dict for the threads of this process: a plain dict, and a lock for changes that take more than one step of it."""

cimport cython
from cpython.dict cimport PyDict_Contains, PyDict_DelItem, PyDict_SetItem
from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from sharedkit import segments
from sharedkit._core.segment cimport HAS_GIL, Dropped, Handle, Segment, closed, create_segment, keep, sk_plan
from sharedkit.shm._lock cimport RLock, sk_mutex_len


cdef extern from *:
    """
    #if PY_VERSION_HEX < 0x030D0000
    static int find_in_dict(PyObject *table, PyObject *key, PyObject **value) {
        *value = PyDict_GetItemWithError(table, key);
        Py_XINCREF(*value);
        return *value != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
    }
    #else
    #define find_in_dict PyDict_GetItemRef
    #endif
    """
    int find_in_dict(PyObject *table, object key, PyObject **value) except -1    # value: a new reference

cdef extern from "Python.h":
    void Py_DECREF(PyObject *object)

KIND_DICT = 7
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object MISSING = object()


@cython.final
cdef class Pairs:
    """The common state of the handles of a dict.

    *Foreign code* is the code of a key's own `__hash__` and `__eq__`: it lets other threads run.

    One step is one call of the plain dict in which no foreign code runs. A change of more than one step is made under
    the lock and counted in `busy`; while `busy` is not 0, every other change waits for the lock, too. A change in which
    foreign code compares keys is also made under the lock, because that code lets other threads run: a change that
    began before `add` could commit in the middle of it, and `add` would overwrite it. Without the GIL every change
    takes the lock.
    """

    cdef dict table
    cdef uint32_t busy
    cdef bint foreign            # whether there may be a key that foreign code compares


@cython.final
cdef class Grip:
    """One handle's reference to the Pairs. A call keeps a reference to this object, not to the shared one, because
    without a GIL, threads that count references to one object delay each other."""

    cdef Pairs pairs
    cdef PyObject *table         # the dict of the pairs


cdef bint is_plain(object key) noexcept:
    """Return whether hashing the key, and comparing it with other such keys, runs no foreign code."""
    kind = type(key)
    if kind is str or kind is int or kind is bytes or kind is float or kind is bool or key is None:
        return True
    if kind is not tuple:
        return False
    for part in <tuple>key:
        if not is_plain(part):
            return False
    return True


cdef inline bint is_foreign(Pairs pairs, object key) noexcept:
    """Return whether foreign code may run during a change of this key."""
    if not is_plain(key):
        pairs.foreign = True
    return pairs.foreign


cdef inline bint enter(Pairs pairs, RLock lock, bint more) except -1:
    """Begin a change; return whether the caller must `leave`. The caller has read `lock` together with the pairs, since
    another thread may close the handle."""
    if HAS_GIL and not more and pairs.busy == 0:
        return False
    lock.take(FOR_EVER)
    pairs.busy += 1
    return True


cdef inline int leave(Pairs pairs, RLock lock) except -1:
    pairs.busy -= 1
    return lock.free()


cdef enum Step:
    SETDEFAULT
    POP
    POPITEM
    CLEAR


cdef object take_step(dict table, Step step, object key, object default):
    """Call one method of the plain dict."""
    if step == SETDEFAULT:
        return table.setdefault(key, default)
    if step == POP:
        return table.pop(key) if default is MISSING else table.pop(key, default)
    if step == POPITEM:
        return table.popitem()
    table.clear()


def make(place, str name, uint32_t seats, uint32_t flags, uint32_t kind=KIND_DICT):
    """Make the segment of a dict, which holds its lock. The segment's partner is the Pairs object."""
    cdef sk_plan plan
    cdef Pairs pairs = Pairs.__new__(Pairs)
    memset(&plan, 0, sizeof(plan))
    plan.kind = kind
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_mutex_len(seats)
    cdef Segment segment = create_segment(place, name, &plan)
    pairs.table = {}
    segment.partner = pairs
    return segment


BLUEPRINT = segments.Blueprint(KIND_DICT, make, lambda there: None)


cdef class Table(Handle):
    """Table()\n--\n
    The single steps of a Dict; its other methods use `as_dict` and `update`.
    """

    cdef Grip grip               # None once closed
    cdef RLock lock              # of the segment

    def _open(self, Segment segment):
        cdef Grip grip = Grip.__new__(Grip)
        grip.pairs = segment.partner
        grip.table = <PyObject *>grip.pairs.table
        self.bind(segment)
        self.grip = grip
        self.lock = RLock._in(segment, 0)

    def close(self):
        """Detach from the dict. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        keep(dropped, self.grip)
        keep(dropped, self.lock)
        self.grip = None
        self.lock = None
        Handle.drop(self, dropped)

    cdef inline Pairs there(self):
        return self.held().pairs

    cdef inline Grip held(self):
        if self.s is NULL:
            closed(self)
        return self.grip

    def __getitem__(self, key):
        cdef PyObject *found = NULL
        cdef Grip grip = self.held()
        if find_in_dict(grip.table, key, &found) == 0:
            raise KeyError(key)
        value = <object>found
        Py_DECREF(found)
        return value

    @cython.binding(False)
    def get(self, key, default=None, /):
        """get($self, key, default=None, /)\n--\n
        Return the value of `key`, or `default`.
        """
        cdef PyObject *found = NULL
        cdef Grip grip = self.held()
        if find_in_dict(grip.table, key, &found) == 0:
            return default
        value = <object>found
        Py_DECREF(found)
        return value

    def __contains__(self, key):
        return PyDict_Contains(self.there().table, key) == 1

    def __len__(self):
        return len(self.there().table)

    def __setitem__(self, key, value):
        cdef Pairs pairs = self.there()
        cdef RLock lock = self.lock
        if not enter(pairs, lock, is_foreign(pairs, key)):
            PyDict_SetItem(pairs.table, key, value)
            return
        try:
            PyDict_SetItem(pairs.table, key, value)
        finally:
            leave(pairs, lock)

    def __delitem__(self, key):
        cdef Pairs pairs = self.there()
        cdef RLock lock = self.lock
        if not enter(pairs, lock, is_foreign(pairs, key)):
            PyDict_DelItem(pairs.table, key)
            return
        try:
            PyDict_DelItem(pairs.table, key)
        finally:
            leave(pairs, lock)

    @cython.binding(False)
    def setdefault(self, key, default=None, /):
        """setdefault($self, key, default=None, /)\n--\n
        Return the value of `key`, set to `default` first if it was missing, in one step.
        """
        return self.one_step(SETDEFAULT, key, default)

    def _insert(self, key):
        """Set the key to some value if it is missing, in one step; return whether it was missing."""
        mark = object()
        return self.one_step(SETDEFAULT, key, mark) is mark

    @cython.binding(False)
    def pop(self, key, default=MISSING, /):
        """pop($self, key, default=<unrepresentable>, /)\n--\n
        Remove `key` and return its value in one step; `default` if it is missing, or KeyError without one.
        """
        return self.one_step(POP, key, default)

    def popitem(self):
        """Remove and return the pair that was inserted last, in one step. Raises KeyError if the dict is empty.
        """
        return self.one_step(POPITEM, None, None)

    def clear(self):
        """Remove all keys, in one step.
        """
        self.one_step(CLEAR, None, None)

    def as_dict(self):
        """Return a snapshot as a plain dict.
        """
        return self.there().table.copy()

    cdef object one_step(self, Step step, object key, object default):
        cdef Pairs pairs = self.there()
        cdef RLock lock = self.lock
        if not enter(pairs, lock, (step == SETDEFAULT or step == POP) and is_foreign(pairs, key)):
            return take_step(pairs.table, step, key, default)
        try:
            return take_step(pairs.table, step, key, default)
        finally:
            leave(pairs, lock)

    @cython.binding(False)
    def add(self, key, n=1, /):
        """add($self, key, n=1, /)\n--\n
        Add `n` to the number at `key` (a missing one is 0) in one step, and return the new value.
        """
        cdef Pairs pairs = self.there()
        cdef RLock lock = self.lock    # kept in a local variable: another thread may close the handle
        is_foreign(pairs, key)
        enter(pairs, lock, True)
        try:
            there = pairs.table.get(key, MISSING)
            after = n if there is MISSING else there + n
            PyDict_SetItem(pairs.table, key, after)
            return after
        finally:
            leave(pairs, lock)

    @cython.binding(False)
    def compare_exchange(self, key, expected, desired, /):
        """compare_exchange($self, key, expected, desired, /)\n--\n
        Set `key` to `desired` if its value equals `expected`, in one step; return whether it did.
        """
        cdef Pairs pairs = self.there()
        cdef RLock lock = self.lock    # kept in a local variable: another thread may close the handle
        enter(pairs, lock, True)
        try:
            there = pairs.table.get(key, MISSING)
            if there is MISSING or there != expected:
                return False
            PyDict_SetItem(pairs.table, key, desired)
            return True
        finally:
            leave(pairs, lock)

    def update(self, mapping_or_pairs=(), /, **items):
        """Set many keys, each in one step.
        """
        self.there()
        for key, value in dict(mapping_or_pairs, **items).items():
            self[key] = value

    def statistics(self):
        """Return the number of keys and the attached processes at this moment: a DictStatistics.
        """
        segment = self._segment()
        from sharedkit.statistics import DictStatistics
        return DictStatistics(self.name, "Dict", len(self), None, None, None, segment.attached())
