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

    cdef object pop_back(self):
        """Take the first item that came back."""
        cdef Leased first = self.back.pop(0)
        sk_store64_relaxed(&self.came_back, self.came_back - 1)
        return first.item

    cdef int drop_oldest(self, list gone) except -1:
        """Make room for one item: move the oldest items to `gone`, whose finalizers must run outside of the
        exclusion."""
        while self.room() == 0:
            gone.append(ring_take(self.ring, self.head & self.mask))
            sk_store64_relaxed(&self.head, self.head + 1)
            self.dropped += 1
            self.unfinished -= 1
        return 0


cdef Items new_items(int64_t maxsize, bint newest, bint ranked, bint drops=False):
    """Make the state of an empty queue. Raises MemoryError."""
    cdef Items items = Items.__new__(Items)
    items.ring, items.mask, items.maxsize, items.bounded = nones(FIRST), FIRST - 1, maxsize, maxsize > 0
    items.newest, items.drops, items.back = newest, drops, []
    items.ranking = Ranking.__new__(Ranking) if ranked else None
    items.make_sides()
    return items


cdef bint ended(Items q):
    """Return whether the queue is shut down and empty, both at one moment: the last item may come just before the
    shutdown."""
    cdef bint over
    with cython.critical_section(q):
        over = q.count() == 0 and q.over()
    return over


cdef object take(Items q, object most, int how):
    """Take ONE item; or a BATCH: a list of at most `most` items (None: all) of those that are there; or LEASE one: a
    Leased. Call this inside the exclusion."""
    cdef uint64_t n = q.count(), i
    cdef list taken
    if how == LEASE:
        return lease_first(q)
    if how == ONE:
        return q.pop()
    if most is not None and most < n:
        n = most
    taken = nones(n)
    for i in range(n):
        ring_put(taken, i, q.pop())
    return taken


cdef Leased lease_first(Items q):
    """Lease the first item. Call this inside the exclusion."""
    cdef Leased leased
    if q.came_back != 0:
        leased = q.back.pop(0)
        sk_store64_relaxed(&q.came_back, q.came_back - 1)
    else:
        leased = Leased.__new__(Leased)
        leased.item = q.pop()
        q.leases += 1
        leased.number = q.leases
    leased.deliveries += 1
    q.leased += 1
    return leased


cdef int settle(Items q, Leased leased) except -1:
    """End a lease: the item is taken for good."""
    cdef bint last
    with cython.critical_section(q):
        q.leased -= 1
        last = q.leased == 0 and q.state != 0
    if last:
        sk_side_notify(q.getters, EVERYBODY)    # nothing comes back any more
    return 0


cdef int give_back(Items q, Leased leased) except -1:
    """End a lease: the item comes back before all others; if the queue was ended at once, it counts as done."""
    cdef Py_ssize_t i
    cdef bint shut
    with cython.critical_section(q):
        q.leased -= 1
        shut = q.state != 0
        if q.state == 2:
            q.unfinished -= q.unfinished > 0
        else:
            i = len(q.back)
            while i > 0 and (<Leased>q.back[i - 1]).number > leased.number:
                i -= 1
            q.back.insert(i, leased)
            sk_store64_relaxed(&q.came_back, q.came_back + 1)
    sk_side_notify(q.getters, EVERYBODY if shut else 1)
    if shut:
        sk_side_notify(q.joiners, EVERYBODY)
    return 0


cdef int put_dropping(Items q, list batch) except -1:
    """Put the batch without waiting for room, into a queue that drops its oldest items. Return 0 if it is shut down."""
    cdef list gone = []
    cdef bint put = False
    with cython.critical_section(q):
        if q.state == 0:
            for item in batch:
                q.drop_oldest(gone)
                q.push(item)
            put = True
    if put:
        sk_side_notify(q.getters, 1 if len(batch) == 1 else EVERYBODY)
    return put


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
