"""The items of a queue for threads, and the sides at which threads and tasks wait for them."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport sk_segment
from sharedkit.shm._waiting cimport sk_wait_state
from sharedkit.thread._ranking cimport Place, Ranking


cdef extern from "core/sk_side.h" nogil:
    ctypedef struct sk_side:
        uint32_t event

    uint32_t sk_side_raise(sk_side *d) noexcept
    int sk_side_park(sk_segment *s, sk_side *d, uint32_t raised, uint64_t until, sk_wait_state *wait) noexcept
    int sk_side_watch(sk_segment *s, sk_side *d, uint32_t raised, uint64_t until) noexcept
    void sk_side_end(const sk_segment *s, sk_side *d, sk_wait_state *wait) noexcept
    cbool sk_side_must_yield(const sk_segment *s, sk_side *d, sk_wait_state *wait) noexcept
    cbool sk_side_awaited(const sk_side *d) noexcept
    void sk_side_notify(sk_side *d, uint32_t n) noexcept
    uint64_t sk_side_waiting(const sk_segment *s, const sk_side *d) noexcept

cdef extern from "platform/sk_atomic.h" nogil:
    uint64_t sk_load64_relaxed(const uint64_t *word) noexcept
    void sk_store64_relaxed(uint64_t *word, uint64_t value) noexcept

cdef extern from *:
    """
    /* A list of n times None. Before Python 3.12 an allocation can run the garbage collector, and so finalizers, which
     * may use this very queue or let other threads use it. */
    static PyObject *nones(uint64_t n) {
    #if PY_VERSION_HEX < 0x030C0000
        int collects = PyGC_Disable();
    #endif
        PyObject *list = PyList_New((Py_ssize_t)n);
    #if PY_VERSION_HEX < 0x030C0000
        if (collects) PyGC_Enable();
    #endif
        for (Py_ssize_t i = 0; list != NULL && i < (Py_ssize_t)n; i++) {
            Py_INCREF(Py_None);
            PyList_SET_ITEM(list, i, Py_None);
        }
        return list;
    }
    /* A free place of a ring contains None, so that the garbage collector sees an ordinary list. */
    static void ring_put(PyObject *ring, uint64_t i, PyObject *item) {
        PyObject *none = PyList_GET_ITEM(ring, (Py_ssize_t)i);
        Py_INCREF(item);
        PyList_SET_ITEM(ring, (Py_ssize_t)i, item);
        Py_DECREF(none);
    }
    static PyObject *ring_take(PyObject *ring, uint64_t i) {
        PyObject *item = PyList_GET_ITEM(ring, (Py_ssize_t)i);
        Py_INCREF(Py_None);
        PyList_SET_ITEM(ring, (Py_ssize_t)i, Py_None);
        return item;
    }
    """
    list nones(uint64_t n)
    void ring_put(list ring, uint64_t i, object item) noexcept
    object ring_take(list ring, uint64_t i)    # returns a new reference

cdef enum:
    FIRST = 16               # places of the first ring
    ROOMY = 4096             # a ring of this many places or more is not kept when it becomes empty
    EVERYBODY = 2            # a notification for this number or more wakes all waiters


@cython.final
cdef class Items:
    cdef list ring
    cdef bint newest             # whether the newest item goes first
    cdef Ranking ranking         # the items of a PriorityQueue
    cdef uint64_t head, tail, mask
    cdef int64_t maxsize
    cdef bint bounded            # whether the queue is or was bounded, so that tasks may wait to put
    cdef uint64_t unfinished
    cdef int state               # 0: open, 1: shut down, 2: shut down at once; never goes back
    cdef void *memory            # the memory of the sides
    cdef sk_side *getters
    cdef sk_side *putters
    cdef sk_side *joiners

    cdef int make_sides(self) except -1
    cdef int serve(self, Place place) except -1
    cdef int grow(self) except -1

    cdef inline uint64_t length(self) noexcept:
        """Return how many items there are; outside of the exclusion, the number may be out of date."""
        return sk_load64_relaxed(&self.tail) - sk_load64_relaxed(&self.head)

    cdef inline uint64_t room(self) noexcept:
        """Return for how many more items there is room."""
        cdef uint64_t there = self.length()
        if self.maxsize <= 0:
            return <uint64_t>-1
        return <uint64_t>self.maxsize - there if there < <uint64_t>self.maxsize else 0

    cdef inline int push(self, object item) except -1:
        if self.tail - self.head > self.mask:
            self.grow()
        ring_put(self.ring, self.tail & self.mask, item)
        sk_store64_relaxed(&self.tail, self.tail + 1)
        self.unfinished += 1
        return 0

    cdef inline object pop(self):
        if self.ranking is not None:
            item = self.ranking.pop()
            sk_store64_relaxed(&self.head, self.head + 1)
            return item
        if self.newest:
            sk_store64_relaxed(&self.tail, self.tail - 1)
            item = ring_take(self.ring, self.tail & self.mask)
        else:
            item = ring_take(self.ring, self.head & self.mask)
            sk_store64_relaxed(&self.head, self.head + 1)
        if self.mask >= ROOMY and self.head == self.tail:
            self.ring, self.mask = nones(FIRST), FIRST - 1
        return item

    cdef inline bint push_to(self, Place place, object item) except -1:
        """Put an item into the ranking, by its Place; return False if its search must go on first."""
        if not place.begun:
            place.begin(item)
        if not self.ranking.put(place):
            return False
        sk_store64_relaxed(&self.tail, self.tail + 1)
        self.unfinished += 1
        return True


cdef Items new_items(int64_t maxsize, bint newest, bint ranked)
cdef bint ended(Items q)
cdef object take(Items q, object most, bint single)
cdef Py_ssize_t put_some(Items q, list batch, Py_ssize_t done, Place place) except -1
cdef Place place_in(Items q)
