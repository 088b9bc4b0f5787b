# cython: language_level=3
"""Taking one item from a queue, however large it is, and the wait of a task at a queue."""

import queue

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import errors
from sharedkit._core.interrupts cimport attend
from sharedkit._core.segment cimport (
    SK_EMPTY, SK_FULL, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT, SK_TOO_MANY, Segment, deadline_of,
    refuse, sk_segment,
)
from sharedkit._core.watcher cimport Waiter, pending
from sharedkit.shm._codec cimport (
    KIND_ARRAY, KIND_BYTES, KIND_PICKLE_OOB, array_for, decode, unpickle_oob,
)
from sharedkit.shm._queue_kernel cimport (
    SK_LEASES_ROWS, SK_RING_UNITS_MAX, SK_UNIT, inside, sk_call, sk_found, sk_lease, sk_queue_bytes, sk_queue_capacity,
    sk_queue_lacks, sk_queue_of, sk_queue_take_found,
)
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._waiting cimport next_thread

cdef extern from "structures/sk_queue_tasks.h" nogil:
    void sk_queue_cancel_get(sk_segment *s) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown


cdef object too_many(Segment segment):
    """Return the error of a lease for which no row is free."""
    return errors.LeasesExhausted(
        f"{SK_LEASES_ROWS} items of the queue {segment.name!r} are leased at once or came back, and it keeps track of "
        "no more: end some leases"
    )


cdef int attend_getting(Segment segment) except -1:
    """Call `attend` for a waiter for items; if it raises, pass the wake-up of this waiter on to the next one."""
    try:
        attend(segment)
    except BaseException:
        sk_queue_cancel_get(segment.s)
        raise
    return 0


cdef int refuse_put(Segment segment, int rc, uint64_t payload) except -1:
    """Raise as `refuse` does for an item of `payload` bytes; if memory was too small, add the queue's own numbers."""
    cdef uint64_t holds, used, lacks
    try:
        refuse(rc, payload, segment)
    except errors.OutOfSharedMemory as why:
        holds = sk_queue_capacity(sk_queue_of(segment.s))
        used = sk_queue_bytes(sk_queue_of(segment.s))
        lacks = sk_queue_lacks(segment.s, payload)
        raise errors.OutOfSharedMemory(
            f"{why}; the queue's ring holds {holds:,} bytes, {used:,} are in use, and for this item it must grow by "
            f"{lacks:,} (a ring holds at most {SK_RING_UNITS_MAX * SK_UNIT:,}); getting items makes room"
        ) from None
    return 0


cdef tuple take_large(
    Segment segment, char *start, uint64_t have, sk_found *found, sk_lease *lease, sk_call call
):
    """Copy the item that `found` describes into memory of its own and take it, or lease it if `lease` is not NULL:
    return (True, item), or (False, None) if another consumer took it. `call` says how long to wait for the lock."""
    cdef uint64_t skip = 0
    cdef int rc = SK_INTERRUPTED
    cdef char *to
    if found.kind == KIND_ARRAY:
        item = array_for(start, have, found.payload, &skip, segment)
        flat = item.reshape(-1, order="A").view("u1")
        to = <char *><size_t>flat.ctypes.data
    elif found.kind == KIND_PICKLE_OOB:
        item = bytearray(found.payload)
        to = item
    else:
        item = PyBytes_FromStringAndSize(NULL, found.payload)
        to = PyBytes_AS_STRING(item)
    while rc != SK_OK:
        with nogil:
            rc = sk_queue_take_found(segment.s, to, skip, found, lease, call)
        if rc == SK_LARGER:
            return False, None
        if rc == SK_TIMEOUT or rc == SK_STALLED and not goes_on(segment, &call.wait.stall):
            if call.wait is NULL:
                raise Empty
            raise stalled(Empty, segment, &call.wait.stall, inside(&call.wait.stall))
        if rc == SK_SHUTDOWN:
            raise ShutDown
        if rc == SK_INTERRUPTED or rc == SK_STALLED:
            attend(segment)
        elif rc == SK_TOO_MANY:
            raise too_many(segment)
        elif rc != SK_OK:
            refuse(rc, 0, segment)
    if found.kind == KIND_ARRAY or found.kind == KIND_BYTES:
        return True, item
    if found.kind == KIND_PICKLE_OOB:
        return True, unpickle_oob(item, segment)
    return True, decode(found.kind, PyBytes_AS_STRING(item), found.payload, segment)


cdef class QueueWaiter(Waiter):
    """A task's wait at a queue. A call that is not willing to wait waits only for a lock of the queue, and in no queue
    of tasks."""

    cdef set_queue(self, Segment segment, str side, cbool willing, object timeout):
        cdef size_t which = <size_t><void *>segment
        self.set(segment, (which, side) if willing else None, deadline_of(timeout) if willing else FOR_EVER)
        self.wakes_next = (which, "put" if side == "get" else "get")
        memset(&self.wait, 0, sizeof(self.wait))
        self.wait.thread = next_thread()
        self.call.willing = willing
        self.call.until = self.until
        self.call.wait = &self.wait

    cdef object unless_stalled(self, int rc, object kind):
        """Return PENDING if the wait goes on. Raise an exception of that kind if its time is over, or if the holder of
        the lock stands still."""
        if rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(self.segment, &self.wait.stall):
            return pending()
        raise stalled(kind, self.segment, &self.wait.stall, inside(&self.wait.stall))

    cdef object empty(self, int rc):
        """Return PENDING for a get that found no item, or raise Empty, ShutDown or another exception."""
        if rc == SK_EMPTY:
            raise Empty
        if rc == SK_INTERRUPTED or rc == SK_TIMEOUT or rc == SK_STALLED:
            return self.unless_stalled(rc, Empty)
        if rc == SK_SHUTDOWN:
            raise ShutDown
        return refuse(rc, 0, self.segment)

    cdef object full(self, int rc, uint64_t asked):
        """Do as `empty` does, for a put: return PENDING, or raise Full, ShutDown or another exception."""
        if rc == SK_FULL:
            raise Full
        if rc == SK_INTERRUPTED or rc == SK_TIMEOUT or rc == SK_STALLED:
            return self.unless_stalled(rc, Full)
        if rc == SK_SHUTDOWN:
            raise ShutDown
        return refuse_put(self.segment, rc, asked)
