# cython: language_level=3
"""What threads wait for at a structure: the processes that hold it, and those whose threads wait, as the words of its
segment say. This module only reads, so it works on a copy of a segment, too.

A segment names processes, not threads: an owner word is a seat and its epoch, and waiters are counted for each seat.
Some waits are not counted at all (for a queue, or for a dict's lock); one bit says that a thread may sleep there.
"""

from typing import NamedTuple

from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool

from sharedkit._core.segment cimport (
    SK_OK, Segment, refuse, sk_body_of, sk_lives, sk_seat_names, sk_segment,
)
from sharedkit.shm._barrier cimport (
    SK_FILLING, sk_barrier_look, sk_barrier_of, sk_barrier_parties, sk_barrier_phase,
)
from sharedkit.shm._dict cimport sk_dict_of
from sharedkit.shm._queue_kernel cimport sk_queue, sk_queue_count, sk_queue_of, sk_queue_unfinished_now
from sharedkit.shm._sleeping cimport sk_condition, sk_condition_of, sk_condition_refuse, sk_condition_waiter
from sharedkit.shm._lock cimport sk_lock_owner, sk_mutex
from sharedkit.shm._stream_kernel cimport (
    sk_stream, sk_stream_blocks, sk_stream_length, sk_stream_of, sk_stream_row_at, sk_stream_rows, sk_stream_slots,
    sk_stream_tail,
)
from sharedkit.shm import (
    _array, _barrier, _condition, _dict, _event, _lock, _queue, _rwlock, _semaphore, _stream, set, value,
)


cdef extern from "core/sk_seat_counts.h" nogil:
    enum: SK_LOCK_WAITED
    uint32_t sk_seat_counts_of(const sk_segment *s, const uint64_t *counts, uint32_t seat, uint32_t *owner) noexcept

cdef extern from "platform/sk_atomic.h" nogil:
    uint32_t sk_load32_acquire(const uint32_t *word) noexcept
    uint64_t sk_load64_relaxed(const uint64_t *word) noexcept

cdef extern from "structures/sk_rwlock.h" nogil:
    sk_mutex *sk_rw_writer(const sk_segment *s) noexcept
    uint64_t *sk_rw_wanting(const sk_segment *s) noexcept
    uint64_t *sk_rw_waiting(const sk_segment *s) noexcept
    uint32_t sk_rw_reads(const sk_segment *s, uint32_t seat, uint32_t *owner) noexcept

cdef extern from "structures/sk_bounded.h" nogil:
    ctypedef struct sk_bounded:
        uint64_t *counts
    sk_bounded *sk_bounded_of(const sk_segment *s) noexcept
    uint64_t *sk_bounded_waiting(const sk_segment *s) noexcept

cdef extern from "structures/sk_semaphore.h" nogil:
    ctypedef struct sk_semaphore:
        uint64_t *waiters
    sk_semaphore *sk_semaphore_of(const sk_segment *s) noexcept

cdef extern from "structures/sk_event.h" nogil:
    ctypedef struct sk_event:
        uint64_t *waiters
    sk_event *sk_event_of(const sk_segment *s) noexcept

cdef extern from "structures/sk_condition.h" nogil:
    uint32_t sk_condition_high(const sk_segment *s, const sk_condition *c) noexcept
    sk_condition_waiter *sk_condition_slot(const sk_segment *s, const sk_condition *c, uint32_t i) noexcept
    bint sk_condition_waits(uint32_t word) noexcept

cdef extern from "structures/sk_queue.h" nogil:
    ctypedef struct sk_queue_words "sk_queue":
        uint64_t head
        uint64_t tail
        uint32_t items           # eventcounts: bit 0 says that a thread may sleep
        uint32_t room
        uint32_t next
        uint32_t idle
    uint32_t sk_items(uint64_t position) noexcept


class Process(NamedTuple):
    """A process as a segment names it: the pid in its own pid namespace, and when it began, in clock ticks since the
    machine started (0: it had no /proc)."""

    pid: int
    started: int


class Holder(NamedTuple):
    """A process that holds a structure. `process`: None if it is gone, because it died, or left without a release; then
    `gone` is that process until another one takes its seat, and None afterwards. `how`: "holds", "reads", "writes" or
    the like; `times`: how often, or by how many threads; `since`: in seconds since 1970, None if it is not recorded."""

    process: Process | None
    how: str
    times: int
    since: float | None
    gone: Process | None = None


class Wait(NamedTuple):
    """One thing that threads wait for at a structure.

    `what`: "for the lock", "to read" or the like. `waiters` maps processes to their numbers of waiting threads.
    `uncounted`: threads of unknown processes may wait, too. `holders`: the processes that can end the wait: it ends
    when all of them release what they hold if `every`, otherwise when one does. A wait for an event or an item has no
    holders, because any process may end it. `brief`: holders hold it for one operation only; one that holds it for
    long is stopped, or copies megabytes.
    """

    what: str
    waiters: dict[Process, int]
    holders: tuple[Holder, ...] = ()
    every: bool = True
    uncounted: bool = False
    brief: bool = False


cdef object process_of(Segment segment, uint32_t owner):
    """Return the living process that the owner word names, or None."""
    return named(segment, owner) if owner != 0 and sk_lives(segment.s, owner) else None


cdef object named(Segment segment, uint32_t owner):
    """Return the process that the owner word names, dead or alive; None if another process has its seat now."""
    cdef uint32_t pid
    cdef uint64_t started
    return Process(pid, started) if sk_seat_names(&segment.s.seats, owner, &pid, &started) else None


cdef dict counted(Segment segment, const uint64_t *counts):
    """Return the living processes with a count above 0, and their counts."""
    cdef uint32_t seat, n, owner = 0
    found = {}
    for seat in range(segment.s.seats.count):
        n = sk_seat_counts_of(segment.s, counts, seat, &owner)
        if n != 0:
            process = process_of(segment, owner)
            if process is not None:
                found[process] = n
    return found


cdef tuple holder_of(Segment segment, uint32_t owner, str how, uint32_t count=1, object since=None):
    """Return the holder that an owner word names, in a tuple; an empty one if the word is 0."""
    if owner == 0:
        return ()
    process = process_of(segment, owner)
    return (Holder(process, how, count, since, named(segment, owner) if process is None else None),)


cdef object since_of(const sk_mutex *mutex):
    return mutex.since / 1e9 if mutex.since != 0 else None


cdef object at_mutex(Segment segment, const sk_mutex *mutex, cbool reentrant):
    cdef uint32_t owner = sk_lock_owner(&mutex.word), count = 1
    if reentrant and mutex.count > 1:
        count = <uint32_t>mutex.count
    holders = holder_of(segment, owner, "holds", count, since_of(mutex))
    return Wait("for the lock", counted(segment, mutex.waiters), holders)


def _at_lock(Segment segment):
    return [at_mutex(segment, <sk_mutex *>sk_body_of(segment.s), False)]


def _at_rlock(Segment segment):
    return [at_mutex(segment, <sk_mutex *>sk_body_of(segment.s), True)]


def _at_condition(Segment segment):
    cdef sk_condition *table = sk_condition_of(segment.s)
    cdef uint32_t i, word
    cdef int rc = sk_condition_refuse(segment.s)    # not by the class, which may have no access to the lock
    if rc != SK_OK:
        refuse(rc, 0, segment)
    own = segment.params[0] == 0
    asleep = {}
    for i in range(sk_condition_high(segment.s, table)):
        word = sk_load32_acquire(&sk_condition_slot(segment.s, table, i).word)
        process = process_of(segment, word) if sk_condition_waits(word) else None
        if process is not None:
            asleep[process] = asleep.get(process, 0) + 1
    return [*(_at_rlock(segment) if own else ()), Wait("for a notification", asleep)]


def _at_rwlock(Segment segment):
    cdef sk_mutex *mutex = sk_rw_writer(segment.s)
    cdef uint32_t seat, n, owner = 0
    holders = ()
    for seat in range(segment.s.seats.count):
        n = sk_rw_reads(segment.s, seat, &owner)
        if n != 0:
            holders += holder_of(segment, owner, "reads", n)
    if not holders:    # while others read, the word names a writer that waits
        holders = holder_of(segment, sk_lock_owner(&mutex.word), "writes", 1, since_of(mutex))
    return [
        Wait("to write", counted(segment, sk_rw_wanting(segment.s)), holders),
        Wait("to read", counted(segment, sk_rw_waiting(segment.s)), holders),
    ]


def _at_bounded(Segment segment):
    held = counted(segment, sk_bounded_of(segment.s).counts)
    holders = tuple([Holder(process, "holds", count, None) for process, count in held.items()])
    return [Wait("for a permit", counted(segment, sk_bounded_waiting(segment.s)), holders, every=False)]


def _at_semaphore(Segment segment):
    return [Wait("for a permit", counted(segment, sk_semaphore_of(segment.s).waiters))]


def _at_event(Segment segment):
    return [Wait("for the event", counted(segment, sk_event_of(segment.s).waiters))]


def _at_barrier(Segment segment):
    barrier = sk_barrier_of(segment.s)
    cdef uint32_t i
    come = {}
    if sk_barrier_phase(sk_barrier_look(barrier)) == SK_FILLING:
        for i in range(sk_barrier_parties(segment.s)):
            process = process_of(segment, barrier.slot[i])
            if process is not None:
                come[process] = come.get(process, 0) + 1
    return [Wait("for the other parties", come)]


def _at_queue(Segment segment):
    cdef sk_queue *q = sk_queue_of(segment.s)
    cdef sk_queue_words *words = <sk_queue_words *>q
    cdef uint32_t n = sk_queue_count(q), putter = q.put_lock, getter = q.get_lock
    first = process_of(segment, <uint32_t>(sk_load64_relaxed(&q.token) >> 32))    # it has waited for room for long
    for_item, for_room = (words.items & 1) != 0 and n == 0, ((words.room | words.next) & 1) != 0 and n != 0
    return [
        Wait("for an item", {}, uncounted=for_item),
        Wait("for room", {} if first is None else {first: 1}, uncounted=for_room),
        Wait("for the end of all tasks", {}, uncounted=(words.idle & 1) != 0 and sk_queue_unfinished_now(q) != 0),
        Wait("to put", {}, holder_of(segment, sk_lock_owner(&putter), "puts"), True, is_waited(putter), True),
        Wait("to get", {}, holder_of(segment, sk_lock_owner(&getter), "gets"), True, is_waited(getter), True),
    ]


def _at_dict(Segment segment):
    cdef uint32_t word = sk_dict_of(segment.s).lock
    return [Wait("to write", {}, holder_of(segment, sk_lock_owner(&word), "writes"), True, is_waited(word), True)]


def _at_stream(Segment segment):
    cdef sk_segment *s = segment.s
    cdef sk_stream *st = sk_stream_of(s)
    cdef uint64_t who, position, tail = sk_stream_tail(st)
    cdef uint32_t i, word = st.lock
    cdef bint full = sk_stream_blocks(s) and sk_stream_length(st) >= sk_stream_slots(s)
    first = process_of(segment, <uint32_t>(sk_load64_relaxed(&st.token) >> 32))    # it has waited for room for long
    slow = ()
    if full:    # writers wait for the readers that have not read the oldest message
        for i in range(sk_stream_rows(s)):
            who = sk_load64_relaxed(&sk_stream_row_at(s, i).who)
            position = sk_load64_relaxed(&sk_stream_row_at(s, i).position)
            if who != 0 and position + sk_stream_slots(s) <= tail:
                slow += holder_of(segment, <uint32_t>who, "has not read")
    waits_for_room = full and ((st.room | st.next) & 1) != 0
    return [
        Wait("for a message", {}, uncounted=(st.items & 1) != 0),
        Wait("for room", {} if first is None else {first: 1}, slow, uncounted=waits_for_room),
        Wait("to put", {}, holder_of(segment, sk_lock_owner(&word), "puts"), True, is_waited(word), True),
    ]


cdef cbool is_waited(uint32_t word) noexcept:
    """Return whether a thread may sleep on the lock word."""
    return (word & SK_LOCK_WAITED) != 0


_AT = {
    _lock.KIND_LOCK: _at_lock,
    _array.KIND_ARRAY: _at_lock,
    _lock.KIND_RLOCK: _at_rlock,
    value.KIND_VALUE: _at_rlock,
    _condition.KIND_CONDITION: _at_condition,
    _rwlock.KIND_RWLOCK: _at_rwlock,
    _semaphore.KIND_BOUNDED: _at_bounded,
    _semaphore.KIND_SEMAPHORE: _at_semaphore,
    _event.KIND_EVENT: _at_event,
    _barrier.KIND_BARRIER: _at_barrier,
    _queue.KIND_QUEUE: _at_queue,
    _stream.KIND_STREAM: _at_stream,
    _dict.KIND_DICT: _at_dict,
    set.KIND_SET: _at_dict,
}


def waits_at(Segment segment):
    """Return what threads can wait for at the structure, a list of Wait; empty if no thread ever waits there.

    The structure's class has opened the segment before, and so has checked it. Raises CorruptSegmentError."""
    at = _AT.get(segment.kind)
    return [] if at is None else at(segment)


def passed(Segment segment):
    """Return how many items were put into a queue and taken from it so far, both modulo 2^32; of a stream, how many
    messages were put, and read by the reader that is furthest. None for other kinds."""
    cdef uint64_t tail, furthest = 0, position
    cdef uint32_t i
    if segment.kind == _stream.KIND_STREAM:
        tail = sk_stream_tail(sk_stream_of(segment.s))
        for i in range(sk_stream_rows(segment.s)):
            position = sk_load64_relaxed(&sk_stream_row_at(segment.s, i).position)
            if sk_load64_relaxed(&sk_stream_row_at(segment.s, i).who) != 0 and furthest < position <= tail:
                furthest = position
        return <uint32_t>tail, <uint32_t>furthest
    if segment.kind != _queue.KIND_QUEUE:
        return None
    cdef sk_queue_words *words = <sk_queue_words *>sk_queue_of(segment.s)
    return sk_items(sk_load64_relaxed(&words.tail)), sk_items(sk_load64_relaxed(&words.head))
