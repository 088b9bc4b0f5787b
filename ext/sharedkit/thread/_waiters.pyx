# cython: language_level=3
"""The waits of event-loop tasks for a queue of threads: each step tries once, and never sleeps in here."""

import queue

cimport cython
from libc.stdint cimport uint32_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import errors
from sharedkit._core import timeouts
from sharedkit._core.segment cimport SK_INTERRUPTED, SK_TIMEOUT, Segment, deadline_of, is_too_long
from sharedkit._core.watcher cimport pending, sk_waits_aside
from sharedkit.shm._waiting cimport next_thread
from sharedkit.thread._items cimport (
    EVERYBODY, Items, ended, place_in, put_some, sk_side_end, sk_side_must_yield, sk_side_notify, sk_side_park,
    sk_side_raise, sk_side_watch, take,
)
from sharedkit.thread._ranking cimport NOTHING

cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown
cdef object NOT_YET = object(), AT_ONCE = object()


cdef tuple key_of(Items q, int which):
    return <size_t><void *>q, which


cdef class SideWaiter(Waiter):

    cdef begin(self, Segment segment, Items q, int which, cbool willing, object timeout):
        memset(&self.wait, 0, sizeof(self.wait))
        self.q = q
        self.side = q.getters if which == GETTING else q.putters if which == PUTTING else q.joiners
        self.set(segment, key_of(q, which) if willing else None, deadline_of(timeout) if willing else 0)
        self.wait.thread = next_thread()
        self.wait.aside = &self.aside
        if which != JOINING:
            self.wakes_next = key_of(q, PUTTING if which == GETTING else GETTING)

    cdef object glance(self):
        """Return the result, NOT_YET, or AT_ONCE; called inside the exclusion. Raises what the method raises."""
        raise NotImplementedError

    cdef int serve(self) except -1:
        """Prepare another glance, which follows at once; called outside of the exclusion."""
        return 0

    cdef bint must_yield(self) noexcept:
        return self.until != 0 and not self.over and sk_side_must_yield(self.segment.s, self.side, &self.wait)

    cdef int refuse(self) except -1:
        """Raise the exception of a wait whose time is over."""
        raise NotImplementedError

    cdef int done(self) except -1:
        """Finish the wait after its result is there."""
        return 0

    cdef object look(self):
        try:
            return self.glances()
        except BaseException:
            sk_side_end(self.segment.s, self.side, &self.wait)
            raise

    cdef object glances(self):
        cdef Items q = self.q
        cdef uint32_t raised = 0
        cdef object answer
        cdef int rc
        while True:
            with cython.critical_section(q):
                answer = self.glance()
                if answer is NOT_YET:
                    raised = sk_side_raise(self.side)
            if answer is AT_ONCE:
                self.serve()
                continue
            if answer is not NOT_YET:
                sk_side_end(self.segment.s, self.side, &self.wait)
                self.done()
                return answer
            if self.until == 0 or self.over:
                self.refuse()
            if is_too_long(self.until):
                raise timeouts.too_long()
            sk_waits_aside(&self.aside)
            rc = sk_side_park(self.segment.s, self.side, raised, self.until, &self.wait)
            sk_waits_aside(NULL)
            if rc == SK_INTERRUPTED:
                return pending()
            self.over = rc == SK_TIMEOUT

    cdef bint may_go_on(self) noexcept:
        """Return whether another waiter could go on."""
        return False

    cdef int end(self) except -1:
        sk_side_end(self.segment.s, self.side, &self.wait)
        if self.may_go_on():
            sk_side_notify(self.side, 1)
        return 0


@cython.final
cdef class GetWaiter(SideWaiter):

    cdef object most
    cdef bint single

    cdef object glance(self):
        cdef Items q = self.q
        if q.head != q.tail:
            return NOT_YET if self.must_yield() else take(q, self.most, self.single)
        if q.state != 0:
            raise ShutDown
        return NOT_YET

    cdef int refuse(self) except -1:
        raise Empty

    cdef int done(self) except -1:
        if self.q.maxsize > 0:
            sk_side_notify(self.q.putters, 1 if self.single else EVERYBODY)
        return 0

    cdef bint may_go_on(self) noexcept:
        return self.q.length() != 0


cdef SideWaiter get_waiter(Segment segment, Items q, object most, bint single, cbool willing, object timeout):
    cdef GetWaiter waiter = GetWaiter.__new__(GetWaiter)
    if ended(q):
        raise ShutDown
    waiter.most, waiter.single = most, single
    waiter.begin(segment, q, GETTING, willing, timeout)
    return waiter


@cython.final
cdef class PutWaiter(SideWaiter):

    cdef object glance(self):
        cdef Items q = self.q
        if q.state != 0:
            raise ShutDown
        if self.place is not None:
            self.place.wants = NOTHING
        if not self.must_yield():
            self.put = put_some(q, self.batch, self.put, self.place)
        if self.put == len(self.batch):
            return None
        return AT_ONCE if self.place is not None and self.place.wants != NOTHING else NOT_YET

    cdef int serve(self) except -1:
        self.done()
        try:
            return self.q.serve(self.place)
        except BaseException:
            self.end()    # pass the wake-up on: this wait may have used up another waiter's
            raise

    cdef object look(self):
        try:
            return SideWaiter.look(self)
        finally:
            self.done()

    cdef int refuse(self) except -1:
        raise Full

    cdef int done(self) except -1:
        cdef Py_ssize_t came = self.put - self.notified_of
        self.notified_of = self.put
        if came > 0:
            sk_side_notify(self.q.getters, 1 if came == 1 else EVERYBODY)
        return 0

    cdef bint may_go_on(self) noexcept:
        return self.q.room() > 0


cdef PutWaiter put_waiter(Segment segment, Items q, list batch, cbool willing, object timeout):
    cdef PutWaiter waiter = PutWaiter.__new__(PutWaiter)
    if q.state != 0:
        raise ShutDown
    waiter.batch = batch
    waiter.place = place_in(q)
    waiter.begin(segment, q, PUTTING, willing, None if q.maxsize <= 0 else timeout)
    return waiter


@cython.final
cdef class JoinWaiter(SideWaiter):

    cdef object glance(self):
        return NOT_YET if self.q.unfinished else None


cdef SideWaiter join_waiter(Segment segment, Items q):
    cdef JoinWaiter waiter = JoinWaiter.__new__(JoinWaiter)
    waiter.begin(segment, q, JOINING, True, None)
    return waiter


@cython.final
cdef class ReadyWaiter(SideWaiter):
    """A wait until a call would not have to wait; it takes nothing."""

    cdef int which

    cdef object look(self):
        cdef uint32_t raised = 0
        cdef bint true
        with cython.critical_section(self.q):
            true = self.may_go_on()
            if not true:
                raised = sk_side_raise(self.side)
        if true:
            if self.begun:
                self.end()    # another waiter may need the wake-up
            return True
        sk_waits_aside(&self.aside)
        sk_side_watch(self.segment.s, self.side, raised, self.until)
        sk_waits_aside(NULL)
        return pending()

    cdef bint may_go_on(self) noexcept:
        cdef Items q = self.q
        if self.which == JOINING:
            return q.unfinished == 0
        return q.state != 0 or (q.length() != 0 if self.which == GETTING else q.room() > 0)


cdef SideWaiter ready_waiter(Segment segment, Items q, int which):
    cdef ReadyWaiter waiter = ReadyWaiter.__new__(ReadyWaiter)
    waiter.which = which
    waiter.begin(segment, q, which, True, None)
    waiter.key = waiter.wakes_next = None
    return waiter
