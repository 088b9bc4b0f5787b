# cython: language_level=3
"""Leases: an item that is taken for good at the end of a block, and comes back if the block or its process fails.

`Queue.get(out=...)` is here, too: it looks at the first item, which stays if it does not have the form of `out`.
"""

import queue

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from sharedkit import errors
from sharedkit._core import timeouts
from sharedkit._core.interrupts cimport attend
from sharedkit._core.lease_arguments import checked_policy
from sharedkit._core.segment cimport (
    SK_EMPTY, SK_GONE, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT, SK_TOO_MANY, Handle, Segment, alone,
    closed, deadline_of, is_too_long, refuse, sk_now_ns, sk_segment,
)
from sharedkit._core.taken_into import checked_out, copy_into, differs
from sharedkit._core.watcher cimport pending, sk_waits_aside
from sharedkit.aio._lazy cimport coroutines, waiting
from sharedkit.shm._codec cimport KIND_ARRAY, decode, form_of
from sharedkit.shm._queue_kernel cimport (
    SMALL, inside, sk_call, sk_found, sk_queue_forgo, sk_queue_get_found, sk_queue_give_back, sk_queue_glance,
    sk_queue_lease, sk_queue_look, sk_queue_read_lease, sk_queue_settle,
)
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._taking cimport QueueWaiter, attend_getting, take_large, too_many
from sharedkit.shm._waiting cimport sk_wait_state

cdef extern from "structures/sk_queue_tasks.h" nogil:
    void sk_queue_cancel_get(sk_segment *s) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef uint64_t SHORT_NS = 2000000        # the longest wait of the event loop for a lock of the queue
cdef object Empty = queue.Empty, ShutDown = errors.ShutDown
cdef object AGAIN = object()


@cython.freelist(16)
@cython.no_gc_clear
@cython.final
cdef class Lease:
    """What `Queue.lease()` returns: `with` takes the first item.

    The end of the block takes the item for good. If the block raises, or the process dies, the item comes back before
    all others.
    """

    cdef int begin(self) except -1:
        if self.lease.word != 0:
            raise RuntimeError("this lease has an item already: one block at a time")
        if self.handle.s is NULL:
            closed(self.handle)
        self.segment = self.handle.segment    # kept to the end of the block, even if the handle is closed
        return 0

    cdef object took(self, uint32_t kind, const char *at, uint64_t size):
        """Return the item of a lease that has begun; AGAIN if it was delivered too often, and was moved."""
        if self.most and self.lease.deliveries > self.most:
            self.send_to_dead_letter(kind, size)
            return AGAIN
        try:
            return decode(kind, at, size, self.segment)
        except BaseException:
            self.give_back()
            raise

    @cython.binding(False)
    def __enter__(self):
        """__enter__($self)\n--\n
        Take the first item, waiting for one up to the lease's timeout. Raises queue.Empty, ShutDown,
        LeasesExhausted, and what unpickling raises; then the item comes back.
        """
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call at_once
        self.begin()
        cdef uint64_t until = deadline_of(self.timeout)
        at_once.until = 0
        at_once.willing = False
        at_once.wait = NULL
        cdef int rc = sk_queue_lease(self.segment.s, small, SMALL, &found, &self.lease, at_once)
        if rc == SK_EMPTY and alone() and sk_queue_glance(self.segment.s):
            rc = sk_queue_lease(self.segment.s, small, SMALL, &found, &self.lease, at_once)
        if rc == SK_OK:
            item = self.took(found.kind, small, found.payload)
            if item is not AGAIN:
                return item
        try:
            if is_too_long(until):
                return timeouts.without_waiting(self._enter_at_once, Empty)
            return self.enter_waiting(until, True)
        except BaseException:
            self.give_back()    # there is no item, or one for which this call has no use any more
            raise

    def _enter_at_once(self):
        return self.enter_waiting(FOR_EVER, False)

    cdef object enter_waiting(self, uint64_t until, bint willing):
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call call
        cdef sk_wait_state wait
        cdef Segment segment = self.segment
        cdef int rc
        memset(&wait, 0, sizeof(wait))
        call.until = until
        call.willing = willing
        call.wait = &wait
        while True:
            with nogil:
                rc = sk_queue_lease(segment.s, small, SMALL, &found, &self.lease, call)
            if rc == SK_OK:
                item = self.took(found.kind, small, found.payload)
                if item is not AGAIN:
                    return item
            elif rc == SK_LARGER:
                taken, item = self.take_larger(small, &found, call)
                if taken:
                    return item
            else:
                go_on_getting(segment, rc, &wait)

    cdef tuple take_larger(self, char *small, sk_found *found, sk_call call):
        """Lease an item that is too large for the stack: (True, item), or (False, None) if it must be tried again."""
        cdef uint32_t kind = found.kind
        cdef uint64_t size = found.payload
        try:
            taken, item = take_large(self.segment, small, SMALL, found, &self.lease, call)
        except BaseException:
            self.give_back()
            raise
        if taken and self.most and self.lease.deliveries > self.most:
            self.send_to_dead_letter(kind, size)
            return False, None
        return taken, item

    @cython.binding(False)
    def __exit__(self, kind, error, traceback):
        """__exit__($self, kind, error, traceback)\n--\n
        End the lease: the item is taken for good, or comes back if the block has raised.
        """
        if self.lease.word == 0:
            return
        if kind is None:
            self.settle()
        else:
            self.give_back()

    async def __aenter__(self):
        """Take the first item as `with` does, without blocking the event loop.
        """
        self.begin()
        cdef LeaseWaiter waiter
        try:
            if self.timeout is not None and is_too_long(deadline_of(self.timeout)):
                waiter = new_waiter(self, False)
                return await coroutines().without_waiting(waiting(waiter), Empty)
            return await waiting(new_waiter(self, True))
        except BaseException:
            self.give_back()
            raise

    async def __aexit__(self, kind, error, traceback):
        """End the lease as `with` does.
        """
        cdef object key = (<size_t><void *>self.segment, "get")
        self.__exit__(kind, error, traceback)
        if kind is not None:
            coroutines().wake_next(key)

    @property
    def deliveries(self):
        """How often the item was leased, this time included: more than 1 after a failure. 0 before the first block."""
        return self.lease.deliveries

    cdef int settle(self) except -1:
        sk_queue_settle(self.segment.s, &self.lease)
        self.segment = None
        return 0

    cdef int give_back(self) except -1:
        if self.lease.word != 0:
            sk_queue_give_back(self.segment.s, &self.lease)
        self.segment = None
        return 0

    cdef int send_to_dead_letter(self, uint32_t kind, uint64_t size) except -1:
        """Move the item to the queue of dead letters. If that fails, the item comes back."""
        cdef sk_call call
        cdef Segment segment = self.segment
        cdef int rc = SK_INTERRUPTED
        cdef char *to
        call.until = FOR_EVER
        call.willing = False
        call.wait = NULL
        try:
            raw = PyBytes_FromStringAndSize(NULL, size)
            to = PyBytes_AS_STRING(raw)
            while rc == SK_INTERRUPTED:
                with nogil:
                    rc = sk_queue_read_lease(segment.s, &self.lease, to, size, call)
                if rc == SK_INTERRUPTED:
                    attend(segment)
            if rc != SK_OK:
                refuse(rc, 0, segment)
            put_record = getattr(self.dead_letter, "_put_record", None)
            if put_record is not None:
                put_record(kind, raw)
            else:
                self.dead_letter.put_nowait(decode(kind, to, size, segment))
            rc = SK_INTERRUPTED
            while rc == SK_INTERRUPTED:
                with nogil:
                    rc = sk_queue_forgo(segment.s, &self.lease, call)
                if rc == SK_INTERRUPTED:
                    attend(segment)
            if rc != SK_OK and rc != SK_GONE:
                refuse(rc, 0, segment)
        except BaseException:
            self.give_back()
            raise
        return 0

    def __dealloc__(self):
        if self.lease.word != 0:
            sk_queue_give_back(self.segment.s, &self.lease)


cdef Lease new_lease(Handle handle, object timeout, object max_deliveries, object dead_letter):
    """Make a lease that has not begun. Raises TypeError, ValueError."""
    cdef Lease lease = Lease.__new__(Lease)
    lease.handle = handle
    lease.timeout = timeout
    if timeout is not None:
        deadline_of(timeout)
    if max_deliveries is not None or dead_letter is not None:
        lease.most = min(checked_policy(max_deliveries, dead_letter, handle), 0xffffffff)
        lease.dead_letter = dead_letter
    return lease


cdef int go_on_getting(Segment segment, int rc, sk_wait_state *wait) except -1:
    """Handle the status of a call that waited for an item: run signal handlers if it must be called again, else
    raise."""
    if rc == SK_EMPTY:
        raise Empty
    if rc == SK_TIMEOUT or rc == SK_STALLED and not goes_on(segment, &wait.stall):
        raise stalled(Empty, segment, &wait.stall, inside(&wait.stall))
    if rc == SK_SHUTDOWN:
        raise ShutDown
    if rc == SK_TOO_MANY:
        sk_queue_cancel_get(segment.s)
        raise too_many(segment)
    if rc == SK_INTERRUPTED or rc == SK_STALLED:
        return attend_getting(segment)
    return refuse(rc, 0, segment)


@cython.final
cdef class LeaseWaiter(QueueWaiter):

    cdef Lease lease

    cdef int drop(self) except -1:
        self.lease = None
        return QueueWaiter.drop(self)

    cdef object look(self):
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call now
        cdef Lease lease = self.lease
        cdef int rc = SK_LARGER
        now.wait = NULL
        now.willing = False
        while rc == SK_LARGER or rc == SK_OK:
            sk_waits_aside(&self.aside)
            rc = sk_queue_lease(self.segment.s, small, SMALL, &found, &lease.lease, self.call)
            sk_waits_aside(NULL)
            if rc == SK_OK:
                item = lease.took(found.kind, small, found.payload)
                if item is not AGAIN:
                    return item
            elif rc == SK_LARGER:
                now.until = sk_now_ns() + SHORT_NS
                try:
                    taken, item = lease.take_larger(small, &found, now)
                except Empty:
                    return pending()     # the lock is held: let the other tasks of the loop run first
                if taken:
                    return item
        if rc == SK_TOO_MANY:
            raise too_many(self.segment)
        return self.empty(rc)

    cdef int end(self) except -1:
        sk_queue_cancel_get(self.segment.s)
        return 0


cdef LeaseWaiter new_waiter(Lease lease, bint willing):
    cdef LeaseWaiter waiter = LeaseWaiter.__new__(LeaseWaiter)
    waiter.set_queue(lease.segment, "get", willing, lease.timeout if willing else None)
    waiter.lease = lease
    return waiter


# --- get(out=array) -----------------------------------------------------------------------------------------


cdef object NOT_YET = object()


cdef object take_into(Handle handle, Segment segment, const char *small, sk_found *found, object out, sk_call call):
    """Take the first item into `out`, if it is still the one that `found` describes, or return NOT_YET. Raises
    ValueError or TypeError if its form is not that of `out`; then it stays."""
    cdef uint64_t skip = 0
    cdef Lease lease
    cdef char *to
    cdef int rc = SK_INTERRUPTED
    call.willing = False
    if found.kind != KIND_ARRAY:
        lease = new_lease(handle, 0, None, None)
        with lease as item:
            return copy_into(item, out)
    shape, dtype, fortran = form_of(small, min(found.payload, <uint64_t>SMALL), found.payload, &skip, segment)
    if shape != out.shape or dtype != out.dtype:
        raise differs(shape, dtype, out)
    if not (out.flags.f_contiguous if fortran else out.flags.c_contiguous):
        lease = new_lease(handle, 0, None, None)
        with lease as item:
            return copy_into(item, out)
    to = <char *><size_t>out.ctypes.data
    while rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(segment, &call.wait.stall):
        with nogil:
            rc = sk_queue_get_found(segment.s, to, skip, found, call)
        if rc == SK_INTERRUPTED:
            attend(segment)
    if rc == SK_OK:
        return out
    if rc == SK_LARGER:
        return NOT_YET
    if rc == SK_TIMEOUT or rc == SK_STALLED:
        raise Empty if call.wait is NULL else stalled(Empty, segment, &call.wait.stall, inside(&call.wait.stall))
    if rc == SK_SHUTDOWN:
        raise ShutDown
    return refuse(rc, 0, segment)


cdef object get_into(Handle handle, object out, bint willing, object timeout):
    """Take the first item into the array `out`, and return `out`."""
    cdef Segment segment = handle.segment
    cdef char small[SMALL]
    cdef sk_found found
    cdef sk_call call
    cdef sk_wait_state wait
    cdef int rc
    checked_out(out)
    memset(&wait, 0, sizeof(wait))
    call.until = deadline_of(timeout) if willing else FOR_EVER
    call.willing = willing
    call.wait = &wait
    while True:
        with nogil:
            rc = sk_queue_look(segment.s, small, SMALL, &found, call)
        if rc != SK_OK:
            go_on_getting(segment, rc, &wait)
            continue
        try:
            item = take_into(handle, segment, small, &found, out, call)
        except Empty:    # the item that was there is gone, and the rest is for the next round
            if not willing:
                raise
            continue
        except BaseException:
            sk_queue_cancel_get(segment.s)    # pass the wake-up on: the item stays for others
            raise
        if item is not NOT_YET:
            return item


@cython.final
cdef class GetIntoWaiter(QueueWaiter):

    cdef Handle handle
    cdef object out

    cdef int drop(self) except -1:
        self.handle = self.out = None
        return QueueWaiter.drop(self)

    cdef object look(self):
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call now
        cdef int rc
        now.wait = NULL
        while True:
            sk_waits_aside(&self.aside)
            rc = sk_queue_look(self.segment.s, small, SMALL, &found, self.call)
            sk_waits_aside(NULL)
            if rc != SK_OK:
                return self.empty(rc)
            now.until = sk_now_ns() + SHORT_NS
            try:
                item = take_into(self.handle, self.segment, small, &found, self.out, now)
            except Empty:
                return pending()    # another consumer was faster, or the lock is held
            if item is not NOT_YET:
                return item

    cdef int end(self) except -1:
        sk_queue_cancel_get(self.segment.s)
        return 0


cdef object get_into_later(Handle handle, object out, bint willing, object timeout):
    """Return the coroutine of `Queue.aget(out=...)`."""
    cdef GetIntoWaiter waiter = GetIntoWaiter.__new__(GetIntoWaiter)
    checked_out(out)
    waiter.set_queue(handle.segment, "get", willing, timeout)
    waiter.handle, waiter.out = handle, out
    return waiting(waiter)
