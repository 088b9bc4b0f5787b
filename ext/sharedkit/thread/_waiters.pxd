"""The waits of event-loop tasks for a queue of threads."""

cimport cython
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport Segment
from sharedkit._core.watcher cimport Waiter
from sharedkit.shm._waiting cimport sk_wait_state
from sharedkit.thread._items cimport Items, sk_side
from sharedkit.thread._ranking cimport Place

cdef enum:
    GETTING = 0
    PUTTING = 1
    JOINING = 2


cdef class SideWaiter(Waiter):
    """A task's wait at a side of a queue."""

    cdef Items q
    cdef sk_side *side
    cdef sk_wait_state wait
    cdef bint over

    cdef begin(self, Segment segment, Items q, int which, cbool willing, object timeout)
    cdef object glance(self)
    cdef int serve(self) except -1
    cdef bint must_yield(self) noexcept
    cdef int refuse(self) except -1
    cdef int done(self) except -1
    cdef object glances(self)
    cdef bint may_go_on(self) noexcept


@cython.final
cdef class PutWaiter(SideWaiter):
    cdef list batch
    cdef Place place             # None but in a PriorityQueue
    cdef readonly Py_ssize_t put
    cdef Py_ssize_t notified_of  # how many items the getters have been notified of


cdef tuple key_of(Items q, int which)
cdef SideWaiter get_waiter(Segment segment, Items q, object most, bint single, cbool willing, object timeout)
cdef PutWaiter put_waiter(Segment segment, Items q, list batch, cbool willing, object timeout)
cdef SideWaiter join_waiter(Segment segment, Items q)
cdef SideWaiter ready_waiter(Segment segment, Items q, int which)
