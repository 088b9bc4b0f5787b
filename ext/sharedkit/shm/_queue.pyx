# cython: language_level=3
"""Hot methods of the queue: one try with the GIL held, then waiting without it in slices that let signals through."""

import operator
import queue
import sys

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libcpp cimport bool as cbool

from sharedkit import errors
from sharedkit.shm._codec cimport (
    KIND_ARRAY, KIND_BYTES, KIND_PICKLE_OOB, Parcel, Plain, array_for, decode, encode, plain, sk_part, unpickle_oob,
)
from sharedkit._segment cimport (
    SK_BUSY, SK_EMPTY, SK_FULL, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT,
    Handle, Segment, closed, create_segment, deadline_of, refuse, sk_now_ns, sk_plan, sk_segment,
)


cdef extern from *:
    """
    #include "sk_queue_put.h"
    #include "sk_queue_get.h"
    #include "sk_queue_state.h"
    """
    enum: SK_UNIT, SK_RECORD_HEAD, SK_QUEUE_MAXSIZE, SK_QUEUE_FLOOR, SK_QUEUE_LOG2, SK_QUEUE_START

    ctypedef struct sk_queue:
        uint32_t put_lock
        uint32_t get_lock
        uint64_t geometry
        uint32_t state

    ctypedef struct sk_call:
        uint64_t until
        cbool willing

    ctypedef struct sk_found:
        uint64_t head
        uint64_t payload
        uint32_t kind

    uint64_t sk_record_units(uint64_t payload) noexcept nogil
    uint64_t sk_record_head(uint64_t payload, uint32_t kind) noexcept nogil
    uint64_t sk_record_payload(uint64_t head) noexcept nogil
    uint32_t sk_record_kind(uint64_t head) noexcept nogil
    sk_queue *sk_queue_of(const sk_segment *s) noexcept nogil
    uint64_t sk_queue_maxsize(const sk_segment *s) noexcept nogil
    int sk_queue_put(sk_segment *s, const sk_part *parts, uint32_t n, uint32_t kind, sk_call call) noexcept nogil
    int sk_queue_put_records(sk_segment *s, const unsigned char *records, uint32_t *items, uint64_t *units,
                             sk_call call) noexcept nogil
    int sk_queue_get(sk_segment *s, void *to, uint64_t room, sk_found *found, sk_call call) noexcept nogil
    int sk_queue_get_found(sk_segment *s, void *to, uint64_t skip, const sk_found *wanted, uint64_t until) noexcept nogil
    int sk_queue_get_records(sk_segment *s, unsigned char *to, uint32_t *items, uint64_t *units, sk_found *found,
                             sk_call call) noexcept nogil
    uint32_t sk_queue_count(const sk_queue *q) noexcept nogil
    uint64_t sk_queue_bytes(const sk_queue *q) noexcept nogil
    uint32_t sk_queue_unfinished_now(const sk_queue *q) noexcept nogil
    int sk_queue_task_done(sk_queue *q, uint32_t n) noexcept nogil
    int sk_queue_join(sk_segment *s, uint64_t until) noexcept nogil
    int sk_queue_shutdown(sk_segment *s, cbool at_once, uint64_t until) noexcept nogil
    uint64_t sk_queue_floor_for(uint32_t seats) noexcept nogil
    uint64_t sk_queue_body_len(uint32_t seats, uint32_t log2) noexcept nogil
    int sk_queue_fill(sk_segment *s) noexcept nogil
    int sk_queue_refuse(sk_segment *s) noexcept nogil
    uint32_t sk_lock_owner(const uint32_t *word) noexcept nogil

KIND_QUEUE = 4
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef enum:
    SMALL = 2048              # bytes of an item that are taken through the stack
    QUICK = 32768             # bytes of an item that are copied with the GIL held
    BATCH_UNITS = 1 << 14     # of a get_many at once: 256 KiB
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown
STATES = ("open", "shutdown", "shutdown-immediate")


def make(str path, str name, uint32_t seats, uint32_t flags, uint64_t maxsize, uint32_t log2, uint64_t start):
    """A new queue segment whose first ring has 2**log2 units and whose first position is `start`."""
    cdef sk_plan plan
    memset(&plan, 0, sizeof(plan))
    plan.kind = KIND_QUEUE
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_queue_body_len(seats, log2)
    plan.param[SK_QUEUE_MAXSIZE] = maxsize
    plan.param[SK_QUEUE_FLOOR] = sk_queue_floor_for(seats)
    plan.param[SK_QUEUE_LOG2] = log2
    plan.param[SK_QUEUE_START] = start
    plan.fill = sk_queue_fill
    return create_segment(path, name, &plan)


cdef class QueueBase(Handle):
    """The queue's own methods; sharedkit.shm.queue adds what is not hot."""

    def _open(self, Segment segment):
        cdef int rc = sk_queue_refuse(&segment.s)
        if rc != SK_OK:
            refuse(rc, 0)
        self.bind(segment)

    # --- putting -------------------------------------------------------------------------------

    def put(self, item, block=True, timeout=None, *, blocking=None):
        """put($self, item, block=True, timeout=None, *, blocking=None)
        --

        Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full, ShutDown, OutOfSharedMemory, and at once what pickling the item raises.
        """
        if self.s is NULL:
            closed()
        cdef Segment segment = self.segment
        cdef Parcel parcel
        cdef Plain own
        cdef const sk_part *parts = &own.part
        cdef uint64_t payload = 0
        cdef uint32_t i
        cdef sk_call call
        cdef int rc = SK_BUSY
        cdef cbool willing = block if blocking is None else blocking
        cdef uint64_t until = deadline_of(timeout) if willing else FOR_EVER
        if not plain(item, &own):
            parcel = encode(item)
            parts = parcel.parts
            own.n = parcel.n
            own.kind = parcel.kind
        for i in range(own.n):
            payload += parts[i].len
        if payload <= QUICK:
            call.until = 0
            call.willing = False
            rc = sk_queue_put(&segment.s, parts, own.n, own.kind, call)
            if rc == SK_OK:
                return
        call.until = until
        call.willing = willing
        while True:
            if rc == SK_FULL and not call.willing or rc == SK_TIMEOUT:
                raise Full
            if rc == SK_SHUTDOWN:
                raise ShutDown
            if rc == SK_INTERRUPTED:
                PyErr_CheckSignals()
            elif rc != SK_BUSY and rc != SK_FULL:
                refuse(rc, payload)
            segment.active += 1
            with nogil:
                rc = sk_queue_put(&segment.s, parts, own.n, own.kind, call)
            segment.active -= 1
            if rc == SK_OK:
                return

    def put_nowait(self, item):
        """put_nowait($self, item)
        --

        Same as put(item, block=False).
        """
        self.put(item, False)

    def put_many(self, items, block=True, timeout=None, *, blocking=None):
        """put_many($self, items, block=True, timeout=None, *, blocking=None)
        --

        Put the items in order, in as few commits as there is room for.

        All are encoded before the first goes in, so an item that cannot be pickled leaves the queue as it was.
        Raises as `put` does; Full, ShutDown and OutOfSharedMemory say in their attribute `put` how many went in.
        """
        if self.s is NULL:
            closed()
        cdef Segment segment = self.segment
        cdef sk_call call
        call.willing = block if blocking is None else blocking
        call.until = deadline_of(timeout) if call.willing else FOR_EVER
        cdef Batch batch = Batch.__new__(Batch)
        for item in items:
            batch.add(item)
        cdef uint32_t n
        cdef uint64_t units, done = 0, at = 0
        cdef int rc
        while done < batch.items:
            n = <uint32_t>min(batch.items - done, <uint64_t>0x7fffffff)
            segment.active += 1
            with nogil:
                rc = sk_queue_put_records(&segment.s, batch.at + at * SK_UNIT, &n, &units, call)
            segment.active -= 1
            done += n
            at += units
            if rc == SK_INTERRUPTED:
                PyErr_CheckSignals()
            elif rc != SK_OK:
                try:
                    if rc == SK_FULL or rc == SK_TIMEOUT:
                        raise Full
                    if rc == SK_SHUTDOWN:
                        raise ShutDown
                    refuse(rc, (batch.used - at) * SK_UNIT)
                except Exception as why:
                    why.put = done
                    raise

    # --- getting -------------------------------------------------------------------------------

    def get(self, block=True, timeout=None, *, blocking=None):
        """get($self, block=True, timeout=None, *, blocking=None)
        --

        Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Empty, ShutDown, and what unpickling the item raises (it is taken then).
        """
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call call
        cdef int rc
        if self.s is NULL:
            closed()
        cdef Segment segment = self.segment
        cdef cbool willing = block if blocking is None else blocking
        cdef uint64_t until = deadline_of(timeout) if willing else FOR_EVER
        call.until = 0
        call.willing = False
        rc = sk_queue_get(&segment.s, small, SMALL, &found, call)
        if rc == SK_OK:
            return decode(found.kind, small, found.payload)
        call.until = until
        call.willing = willing
        while True:
            if rc == SK_LARGER:
                taken, item = take_large(segment, small, SMALL, &found, call.until)
                if taken:
                    return item
            elif rc == SK_EMPTY and not call.willing or rc == SK_TIMEOUT:
                raise Empty
            elif rc == SK_SHUTDOWN:
                raise ShutDown
            elif rc == SK_INTERRUPTED:
                PyErr_CheckSignals()
            elif rc != SK_BUSY and rc != SK_EMPTY:
                refuse(rc, 0)
            segment.active += 1
            with nogil:
                rc = sk_queue_get(&segment.s, small, SMALL, &found, call)
            segment.active -= 1
            if rc == SK_OK:
                return decode(found.kind, small, found.payload)

    def get_nowait(self):
        """get_nowait($self)
        --

        Same as get(block=False).
        """
        return self.get(False)

    def get_many(self, max_items=None, block=True, timeout=None, *, blocking=None):
        """get_many($self, max_items=None, block=True, timeout=None, *, blocking=None)
        --

        Wait for the first item as `get` does, then take what is there, at most `max_items`; a list, never empty
        unless `max_items` is 0.

        Raises as `get` does. When an item cannot be unpickled, the error's attribute `items` has the others.
        """
        if self.s is NULL:
            closed()
        cdef Segment segment = self.segment
        cdef uint64_t most = FOR_EVER
        cdef list items = []
        if max_items is not None:
            if operator.index(max_items) < 0:
                raise ValueError(f"max_items must not be negative: {max_items}")
            most = max_items
        cdef sk_call call
        call.willing = block if blocking is None else blocking
        call.until = deadline_of(timeout) if call.willing else FOR_EVER
        failed = None
        while <uint64_t>len(items) < most:
            try:
                if not take_batch(segment, items, most, call):
                    break
            except Exception as why:
                if isinstance(why, (Empty, ShutDown)):
                    if items:
                        break
                    raise
                failed = failed or why
            call.willing = False
            call.until = FOR_EVER
            if failed is not None:
                failed.items = items
                raise failed
        return items

    # --- tasks, sizes, end ----------------------------------------------------------------------

    def task_done(self):
        """task_done($self)
        --

        Say that an item taken earlier is done with. ValueError when called more often than items were put.
        """
        if self.s is NULL:
            closed()
        cdef int rc = sk_queue_task_done(sk_queue_of(self.s), 1)
        if rc != SK_OK:
            refuse(rc, 0)

    def join(self):
        """join($self)
        --

        Wait until every item that was put is done with.
        """
        if self.s is NULL:
            closed()
        cdef Segment segment = self.segment
        cdef int rc = SK_INTERRUPTED
        while rc != SK_OK:
            PyErr_CheckSignals()
            segment.active += 1
            with nogil:
                rc = sk_queue_join(&segment.s, FOR_EVER)
            segment.active -= 1
            if rc != SK_OK and rc != SK_INTERRUPTED:
                refuse(rc, 0)

    def shutdown(self, immediate=False):
        """shutdown($self, immediate=False)
        --

        Make `put` raise ShutDown, and `get` too once the queue is empty, or at once if `immediate`.
        """
        if self.s is NULL:
            closed()
        cdef Segment segment = self.segment
        cdef cbool at_once = immediate
        cdef int rc = SK_INTERRUPTED
        while rc != SK_OK:
            segment.active += 1
            with nogil:
                rc = sk_queue_shutdown(&segment.s, at_once, FOR_EVER)
            segment.active -= 1
            if rc == SK_INTERRUPTED:
                PyErr_CheckSignals()
            elif rc != SK_OK:
                refuse(rc, 0)

    def qsize(self):
        """qsize($self)
        --

        How many items there are; exact at one moment, which may be past.
        """
        if self.s is NULL:
            closed()
        return sk_queue_count(sk_queue_of(self.s))

    def empty(self):
        """empty($self)
        --

        Whether there is no item.
        """
        return self.qsize() == 0

    def full(self):
        """full($self)
        --

        Whether there are `maxsize` items; never when there is no bound.
        """
        return 0 < self.maxsize <= self.qsize()

    @property
    def maxsize(self):
        """How many items fit; 0 when only memory bounds it."""
        if self.s is NULL:
            closed()
        return sk_queue_maxsize(self.s)

    @property
    def unfinished_tasks(self):
        """Items put that are not yet done with."""
        if self.s is NULL:
            closed()
        return sk_queue_unfinished_now(sk_queue_of(self.s))

    def _look(self):
        """State's name, ring bytes, used bytes, pids inside put and get."""
        if self.s is NULL:
            closed()
        cdef sk_queue *q = sk_queue_of(self.s)
        return (
            STATES[min(q.state, 2)],
            SK_UNIT << (q.geometry >> 40 & 31),
            sk_queue_bytes(q),
            self.segment.pid_of(sk_lock_owner(&q.put_lock)),
            self.segment.pid_of(sk_lock_owner(&q.get_lock)),
        )


@cython.final
cdef class Batch:
    """Encoded items as whole records, one after the other."""

    cdef unsigned char *at
    cdef uint64_t used, room      # units
    cdef uint64_t items

    def __dealloc__(self):
        PyMem_RawFree(self.at)

    cdef int add(self, object item) except -1:
        cdef Parcel parcel
        cdef Plain own
        cdef const sk_part *parts = &own.part
        cdef uint64_t payload = 0, units, head
        cdef unsigned char *to
        cdef uint32_t i
        if not plain(item, &own):
            parcel = encode(item)
            parts = parcel.parts
            own.n = parcel.n
            own.kind = parcel.kind
        for i in range(own.n):
            payload += parts[i].len
        units = sk_record_units(payload)
        if self.used + units > self.room:
            self.room = (self.used + units) * 2 + 64
            to = <unsigned char *>PyMem_RawRealloc(self.at, self.room * SK_UNIT)
            if to is NULL:
                raise MemoryError
            self.at = to
        to = self.at + self.used * SK_UNIT
        head = sk_record_head(payload, own.kind)
        memcpy(to, &head, SK_RECORD_HEAD)
        to += SK_RECORD_HEAD
        for i in range(own.n):
            memcpy(to, parts[i].at, parts[i].len)
            to += parts[i].len
        self.used += units
        self.items += 1
        return 0


cdef tuple take_large(Segment segment, char *start, uint64_t have, sk_found *found, uint64_t until):
    """Take the item that `found` describes into memory of its own: (True, item); (False, None) when another took it."""
    cdef uint64_t skip = 0
    cdef int rc = SK_INTERRUPTED
    cdef char *to
    if found.kind == KIND_ARRAY:
        item = array_for(start, have, found.payload, &skip)
        flat = item.reshape(-1, order="A").view("u1")
        to = <char *><size_t>flat.ctypes.data
    elif found.kind == KIND_PICKLE_OOB:
        item = bytearray(found.payload)
        to = item
    else:
        item = PyBytes_FromStringAndSize(NULL, found.payload)
        to = PyBytes_AS_STRING(item)
    while rc != SK_OK:
        segment.active += 1
        with nogil:
            rc = sk_queue_get_found(&segment.s, to, skip, found, until)
        segment.active -= 1
        if rc == SK_LARGER:
            return False, None
        if rc == SK_TIMEOUT:
            raise Empty
        if rc == SK_SHUTDOWN:
            raise ShutDown
        if rc == SK_INTERRUPTED:
            PyErr_CheckSignals()
        elif rc != SK_OK:
            refuse(rc, 0)
    if found.kind == KIND_ARRAY or found.kind == KIND_BYTES:
        return True, item
    if found.kind == KIND_PICKLE_OOB:
        return True, unpickle_oob(item)
    return True, decode(found.kind, PyBytes_AS_STRING(item), found.payload)


cdef int take_batch(Segment segment, list items, uint64_t most, sk_call call) except -1:
    """Append what one commit takes; 0 when the queue is empty. What decoding raises comes after all are decoded."""
    cdef uint64_t units, at = 0, head, payload
    cdef uint32_t n = 0, i
    cdef sk_found found
    cdef int rc = SK_INTERRUPTED
    cdef unsigned char *to
    failed = None
    units = min(<uint64_t>BATCH_UNITS, sk_queue_bytes(sk_queue_of(&segment.s)) // SK_UNIT * 2 + SMALL // SK_UNIT)
    cdef uint64_t room = units
    to = <unsigned char *>PyMem_RawMalloc(room * SK_UNIT)
    if to is NULL:
        raise MemoryError
    try:
        while rc == SK_INTERRUPTED:
            n = <uint32_t>min(most - <uint64_t>len(items), <uint64_t>0x7fffffff)
            units = room
            segment.active += 1
            with nogil:
                rc = sk_queue_get_records(&segment.s, to, &n, &units, &found, call)
            segment.active -= 1
            if rc == SK_INTERRUPTED:
                PyErr_CheckSignals()
        if rc == SK_LARGER:
            taken, item = take_large(segment, <char *>to, room * SK_UNIT, &found, call.until)
            if taken:
                items.append(item)
            return 1
        if rc == SK_EMPTY and items:
            return 0
        if rc == SK_EMPTY or rc == SK_TIMEOUT:
            raise Empty
        if rc == SK_SHUTDOWN:
            raise ShutDown
        if rc != SK_OK:
            refuse(rc, 0)
        for i in range(n):
            memcpy(&head, to + at * SK_UNIT, SK_RECORD_HEAD)
            payload = sk_record_payload(head)
            try:
                items.append(decode(sk_record_kind(head), <char *>to + at * SK_UNIT + SK_RECORD_HEAD, payload))
            except Exception as why:
                failed = why
            at += sk_record_units(payload)
        if failed is not None:
            raise failed
        return 1
    finally:
        PyMem_RawFree(to)
