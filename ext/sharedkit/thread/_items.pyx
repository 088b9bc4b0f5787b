# cython: language_level=3
"""The items of a queue for threads: references in a ring, or in the order of their priorities. What every put and get
does is inline in `_items.pxd`: it costs no call in the modules of the queue and of its waits."""

cimport cython
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.stdint cimport int64_t, uint64_t

from sharedkit.thread._ranking cimport ANSWER, Place, Ranking, Run, half_run


@cython.final
cdef class Items:
    """The common state of the handles of a queue. It changes only inside the GIL or a critical section on this object,
    where no code of items (comparisons, finalizers) runs. A call that passes a wake-up on reads `head` and `tail` from
    outside, so each is stored atomically. They are positions (how many items were taken and put); masked, they are
    indices of the ring. In a LifoQueue the newest item leaves the ring first. A PriorityQueue has its items in
    `ranking`, not in the ring.

    A call keeps a reference to this object. While the call enters a critical section, another thread may close the
    handle, and the segment may end with it; so the sides are here, not in the segment. A waiter also keeps a reference
    to the segment.
    """

    cdef int make_sides(self) except -1:
        self.memory = PyMem_RawCalloc(4, sizeof(sk_side))
        if self.memory is NULL:
            raise MemoryError
        self.getters = <sk_side *>((<size_t>self.memory + sizeof(sk_side) - 1) // sizeof(sk_side) * sizeof(sk_side))
        self.putters = self.getters + 1
        self.joiners = self.getters + 2
        return 0

    def __dealloc__(self):
        PyMem_RawFree(self.memory)

    cdef int serve(self, Place place) except -1:
        """Do what the place needs before its search can go on; call this outside of the exclusion.

        Raises what comparing raises."""
        cdef Run half
        if place.wants == ANSWER:
            place.compare()
        else:
            half = half_run()
            with cython.critical_section(self):
                self.ranking.split(place, half)
        return 0

    cdef int grow(self) except -1:
        cdef uint64_t places = 2 * (self.mask + 1), i
        cdef list ring = nones(places)
        for i in range(self.head, self.tail):
            ring_put(ring, i & (places - 1), self.ring[i & self.mask])
        self.ring, self.mask = ring, places - 1
        return 0


cdef Items new_items(int64_t maxsize, bint newest, bint ranked):
    """Make the state of an empty queue. Raises MemoryError."""
    cdef Items items = Items.__new__(Items)
    items.ring, items.mask, items.maxsize, items.bounded = nones(FIRST), FIRST - 1, maxsize, maxsize > 0
    items.newest = newest
    items.ranking = Ranking.__new__(Ranking) if ranked else None
    items.make_sides()
    return items


cdef bint ended(Items q):
    """Return whether the queue is shut down and empty, both at one moment: the last item may come just before the
    shutdown."""
    cdef bint over
    with cython.critical_section(q):
        over = q.head == q.tail and q.state != 0
    return over


cdef object take(Items q, object most, bint single):
    """Take one item, or a list of at most `most` items (None: all) of those that are there. Call this inside the
    exclusion."""
    cdef uint64_t n = q.tail - q.head, i
    cdef list taken
    if single:
        return q.pop()
    if most is not None and most < n:
        n = most
    taken = nones(n)
    for i in range(n):
        ring_put(taken, i, q.pop())
    return taken


cdef Py_ssize_t put_some(Items q, list batch, Py_ssize_t done, Place place) except -1:
    """Put as much of the batch, from `done` on, as there is room for; return how many items are in then. Call this
    inside the exclusion. A place may need something before its search goes on."""
    cdef uint64_t room = q.room()
    while done < len(batch) and room > 0:
        if place is None:
            q.push(batch[done])
        elif not q.push_to(place, batch[done]):
            break
        done += 1
        room -= 1
    return done


cdef Place place_in(Items q):
    """Return a Place if the queue has a ranking; else None."""
    return None if q.ranking is None else Place.__new__(Place)
