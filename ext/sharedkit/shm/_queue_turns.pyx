# cython: language_level=3
"""What a task's wait for a queue looks like: the kernel of the sync methods, put aside where it would sleep."""

import operator
import queue

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool as cbool

from sharedkit import errors
from sharedkit._segment cimport (
    SK_EMPTY, SK_FULL, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT,
    Segment, deadline_of, refuse, sk_now_ns, sk_segment,
)
from sharedkit._watch cimport Turn, coroutines, pending, sk_waits_aside, waiting
from sharedkit.shm._batch cimport Batch, batch_of, get_batch, refuse_put, take_large
from sharedkit.shm._codec cimport Parcel, Plain, decode, encode, plain, sk_part
from sharedkit.shm._queue cimport (
    QUICK, SK_UNIT, SMALL, inside, sk_call, sk_found, sk_queue_get, sk_queue_join, sk_queue_put, sk_queue_put_records,
    sk_queue_quit_put,
)
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._waiting cimport next_thread, sk_stay

cdef extern from "sk_queue_turns.h" nogil:
    int sk_queue_look_for_item(sk_segment *s, sk_call call) noexcept
    void sk_queue_quit_get(sk_segment *s) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef uint64_t SHORT_NS = 2000000        # the longest that the loop waits for a lock of the queue, where it must
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown


cdef class QueueTurn(Turn):
    """One that is not willing waits for a lock of the queue alone, and not in line."""

    cdef sk_call call
    cdef sk_stay stay

    cdef set_queue(self, Segment segment, str side, cbool willing, object timeout):
        cdef size_t which = <size_t><void *>segment
        self.set(segment, (which, side) if willing else None, deadline_of(timeout) if willing else FOR_EVER)
        self.stirs = (which, "put" if side == "get" else "get")
        memset(&self.stay, 0, sizeof(self.stay))
        self.stay.thread = next_thread()
        self.call.willing = willing
        self.call.until = self.until
        self.call.stay = &self.stay

    cdef object unless_stalled(self, int rc, object kind):
        """PENDING where the wait goes on; an exception of that kind where time, or a holder that stands still, ends it.
        """
        if rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(self.segment, &self.stay.stall):
            return pending()
        raise stalled(kind, self.segment, &self.stay.stall, inside(&self.stay.stall))

    cdef object empty(self, int rc):
        """What a get answers that got nothing: PENDING, or Empty, ShutDown and others."""
        if rc == SK_EMPTY:
            raise Empty
        if rc == SK_INTERRUPTED or rc == SK_TIMEOUT or rc == SK_STALLED:
            return self.unless_stalled(rc, Empty)
        if rc == SK_SHUTDOWN:
            raise ShutDown
        return refuse(rc, 0)

    cdef object full(self, int rc, uint64_t asked):
        """The same of a put."""
        if rc == SK_FULL:
            raise Full
        if rc == SK_INTERRUPTED or rc == SK_TIMEOUT or rc == SK_STALLED:
            return self.unless_stalled(rc, Full)
        if rc == SK_SHUTDOWN:
            raise ShutDown
        return refuse_put(self.segment, rc, asked)


cdef class GetTurn(QueueTurn):

    cdef object look(self):
        cdef char small[SMALL]
        cdef sk_found found
        cdef sk_call now
        cdef int rc = SK_LARGER
        now.stay = NULL
        while rc == SK_LARGER:
            sk_waits_aside(&self.aside)
            rc = sk_queue_get(self.segment.s, small, SMALL, &found, self.call)
            sk_waits_aside(NULL)
            if rc == SK_OK:
                return decode(found.kind, small, found.payload)
            if rc == SK_LARGER:
                now.until = sk_now_ns() + SHORT_NS
                try:
                    taken, item = take_large(self.segment, small, SMALL, &found, now)
                except Empty:
                    return pending()     # somebody holds the lock: the others of the loop first
                if taken:
                    return item
        return self.empty(rc)

    cdef int end(self) except -1:
        sk_queue_quit_get(self.segment.s)
        return 0


cdef object get_one(Segment segment, cbool willing, object timeout):
    """`Queue.aget`."""
    cdef GetTurn turn = GetTurn.__new__(GetTurn)
    turn.set_queue(segment, "get", willing, timeout)
    return waiting(turn)


cdef class GetManyTurn(QueueTurn):

    cdef object max_items

    cdef object look(self):
        cdef sk_call now
        now.stay = NULL
        now.willing = False
        now.until = FOR_EVER
        if self.max_items is not None and operator.index(self.max_items) <= 0:
            return get_batch(self.segment, self.max_items, now)    # none, or refused
        sk_waits_aside(&self.aside)
        cdef int rc = sk_queue_look_for_item(self.segment.s, self.call)
        sk_waits_aside(NULL)
        if rc != SK_OK:
            return self.empty(rc)
        now.until = sk_now_ns() + SHORT_NS
        try:
            return get_batch(self.segment, self.max_items, now)
        except Empty:
            return pending()             # others were faster, or somebody holds the lock

    cdef int end(self) except -1:
        sk_queue_quit_get(self.segment.s)
        return 0


cdef object get_some(Segment segment, object max_items, cbool willing, object timeout):
    """`Queue.aget_many`."""
    cdef GetManyTurn turn = GetManyTurn.__new__(GetManyTurn)
    turn.set_queue(segment, "get", willing, timeout)
    turn.max_items = max_items
    return waiting(turn)


cdef class PutTurn(QueueTurn):

    cdef Plain own
    cdef object item             # which `own` borrows from
    cdef Parcel parcel           # None for a plain item

    cdef int drop(self) except -1:
        self.item = self.parcel = None
        return QueueTurn.drop(self)

    cdef object look(self):
        cdef const sk_part *parts = &self.own.part if self.parcel is None else self.parcel.parts
        cdef sk_segment *s = self.segment.s
        cdef uint64_t payload = 0
        cdef uint32_t i
        cdef int rc
        for i in range(self.own.n):
            payload += parts[i].len
        if payload <= QUICK:
            sk_waits_aside(&self.aside)
            rc = sk_queue_put(s, parts, self.own.n, self.own.kind, self.call)
            sk_waits_aside(NULL)
        else:
            with nogil:
                sk_waits_aside(&self.aside)
                rc = sk_queue_put(s, parts, self.own.n, self.own.kind, self.call)
                sk_waits_aside(NULL)
        return None if rc == SK_OK else self.full(rc, payload)

    cdef int end(self) except -1:
        sk_queue_quit_put(self.segment.s, &self.stay)
        return 0


cdef object put_one(Segment segment, object item, cbool willing, object timeout):
    """`Queue.aput`; what pickling raises."""
    cdef PutTurn turn = PutTurn.__new__(PutTurn)
    turn.set_queue(segment, "put", willing, timeout)
    turn.item = item
    if not plain(item, &turn.own):
        turn.parcel = encode(item)
        turn.own.n = turn.parcel.n
        turn.own.kind = turn.parcel.kind
    return waiting(turn)


cdef class PutManyTurn(QueueTurn):

    cdef Batch batch
    cdef readonly uint64_t done  # items
    cdef uint64_t at             # units

    cdef int drop(self) except -1:
        self.batch = None
        return QueueTurn.drop(self)

    cdef object look(self):
        cdef sk_segment *s = self.segment.s
        cdef Batch batch = self.batch
        cdef uint32_t n
        cdef uint64_t units
        cdef int rc
        while self.done < batch.items:
            n = <uint32_t>min(batch.items - self.done, <uint64_t>0x7fffffff)
            with nogil:
                sk_waits_aside(&self.aside)
                rc = sk_queue_put_records(s, batch.at + self.at * SK_UNIT, &n, &units, self.call)
                sk_waits_aside(NULL)
            self.done += n
            self.at += units
            if rc != SK_OK:
                try:
                    return self.full(rc, batch.payload_at(self.at))
                except BaseException as why:
                    why.put = self.done
                    raise
        return None

    cdef int end(self) except -1:
        sk_queue_quit_put(self.segment.s, &self.stay)
        return 0


cdef object put_all(Segment segment, object items, cbool willing, object timeout):
    """`Queue.aput_many`; what pickling raises."""
    cdef PutManyTurn turn = PutManyTurn.__new__(PutManyTurn)
    turn.set_queue(segment, "put", willing, timeout)
    turn.batch = batch_of(items)
    return coroutines().wait_to_put(turn)


cdef class JoinTurn(QueueTurn):

    cdef object look(self):
        sk_waits_aside(&self.aside)
        cdef int rc = sk_queue_join(self.segment.s, self.until)
        sk_waits_aside(NULL)
        if rc == SK_INTERRUPTED:
            return pending()
        return None if rc == SK_OK else refuse(rc, 0)


cdef object join_all(Segment segment):
    """`Queue.ajoin`."""
    cdef JoinTurn turn = JoinTurn.__new__(JoinTurn)
    turn.set_queue(segment, "join", True, None)
    return waiting(turn)
