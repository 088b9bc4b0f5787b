# cython: language_level=3
"""Many items in one commit, and items too large for the stack: what stands behind put_many, get_many and get."""

import queue

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from sharedkit import errors
from sharedkit._attend cimport attend
from sharedkit._counts import how_many
from sharedkit._segment cimport (
    SK_CORRUPT, SK_EMPTY, SK_FULL, SK_INTERRUPTED, SK_LARGER, SK_OK, SK_SHUTDOWN, SK_TIMEOUT, Segment, refuse,
    sk_segment,
)
from sharedkit.shm._codec cimport (
    KIND_ARRAY, KIND_BYTES, KIND_PICKLE_OOB, Parcel, Plain, array_for, decode, encode, plain, sk_part, unpickle_oob,
)
from sharedkit.shm._queue cimport (
    SK_RECORD_HEAD, SK_RING_UNITS_MAX, SK_UNIT, SMALL, inside, sk_call, sk_found, sk_queue_bytes,
    sk_queue_capacity, sk_queue_count, sk_queue_get_found, sk_queue_get_records, sk_queue_lacks, sk_queue_of,
    sk_queue_put, sk_queue_put_records, sk_queue_quit_put, sk_record_head, sk_record_kind, sk_record_payload,
    sk_record_sound, sk_record_units,
)
from sharedkit.shm._stalls cimport SK_STALLED, goes_on, stalled
from sharedkit.shm._waiting cimport sk_stay, this_thread

cdef extern from "sk_queue_turns.h" nogil:
    void sk_queue_quit_get(sk_segment *s) noexcept

cdef uint64_t FOR_EVER = <uint64_t>-1
cdef enum:
    BATCH_UNITS = 1 << 14     # of a get_many at once: 256 KiB
cdef object Empty = queue.Empty, Full = queue.Full, ShutDown = errors.ShutDown


cdef Batch batch_of(object items):
    """The items, encoded. What pickling raises."""
    cdef Batch batch = Batch.__new__(Batch)
    for item in items:
        batch.add(item)
    return batch


cdef int refuse_put(Segment segment, int rc, uint64_t payload) except -1:
    """What `refuse` raises for an item of so many bytes, with the queue's own numbers where memory was short."""
    cdef uint64_t holds, used, lacks
    try:
        refuse(rc, payload)
    except errors.OutOfSharedMemory as why:
        holds = sk_queue_capacity(sk_queue_of(segment.s))
        used = sk_queue_bytes(sk_queue_of(segment.s))
        lacks = sk_queue_lacks(segment.s, payload)
        raise errors.OutOfSharedMemory(
            f"{why}; the queue's ring holds {holds:,} bytes, {used:,} are in use, and for this item it must grow by "
            f"{lacks:,} (a ring holds at most {SK_RING_UNITS_MAX * SK_UNIT:,}); getting items makes room"
        ) from None
    return 0


cdef int put_batch(Segment segment, object items, sk_call call) except -1:
    """Encode all, then put all; errors have the attribute `put`."""
    cdef Batch batch = batch_of(items)
    cdef uint32_t n
    cdef uint64_t units, done = 0, at = 0
    cdef sk_stay stay
    cdef int rc
    memset(&stay, 0, sizeof(stay))
    stay.thread = this_thread()
    call.stay = &stay
    while done < batch.items:
        n = <uint32_t>min(batch.items - done, <uint64_t>0x7fffffff)
        with nogil:
            rc = sk_queue_put_records(segment.s, batch.at + at * SK_UNIT, &n, &units, call)
        done += n
        at += units
        if rc == SK_OK:
            continue
        try:
            go_on_putting(segment, rc, &stay, batch.payload_at(at))
        except BaseException as why:
            why.put = done
            raise
    return 0


cdef int put_waiting(
    Segment segment, const sk_part *parts, uint32_t n, uint32_t kind, uint64_t payload, sk_call call
) except -1:
    """Put an item of so many bytes, waiting without the GIL."""
    cdef sk_stay stay
    cdef int rc
    memset(&stay, 0, sizeof(stay))
    stay.thread = this_thread()
    call.stay = &stay
    while True:
        with nogil:
            rc = sk_queue_put(segment.s, parts, n, kind, call)
        if rc == SK_OK:
            return 0
        go_on_putting(segment, rc, &stay, payload)


cdef int go_on_putting(Segment segment, int rc, const sk_stay *stay, uint64_t payload) except -1:
    """After a put that ended so: let signals through if it is to be tried again. Raises if it is not."""
    try:
        if rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(segment, &stay.stall):
            attend(segment)
        elif rc == SK_FULL:
            raise Full
        elif rc == SK_TIMEOUT or rc == SK_STALLED:
            raise stalled(Full, segment, &stay.stall, inside(&stay.stall))
        elif rc == SK_SHUTDOWN:
            raise ShutDown
        else:
            refuse_put(segment, rc, payload)
    except BaseException:
        sk_queue_quit_put(segment.s, stay)
        raise
    return 0


cdef list get_batch(Segment segment, object max_items, sk_call call):
    """Wait for the first as `call` says, then take what is there."""
    cdef uint64_t most = FOR_EVER
    cdef list items = []
    cdef bint first = True
    cdef sk_stay stay
    memset(&stay, 0, sizeof(stay))
    call.stay = &stay
    if max_items is not None:
        max_items = how_many(max_items)
        if max_items < 0:
            raise ValueError(f"max_items must not be negative: {max_items}")
        most = max_items
    while <uint64_t>len(items) < most:
        try:
            if not take_batch(segment, items, most, call):
                break
        except (Empty, ShutDown):
            if not items:
                raise
            break
        except BaseException as why:
            why.items = items
            raise
        if first and items:    # what is there now, and not what comes meanwhile
            most = min(most, len(items) + <uint64_t>sk_queue_count(sk_queue_of(segment.s)))
            first = False
            if call.willing:
                call.until = FOR_EVER    # of the lock; who was not willing to wait says how long for that
            call.willing = False
    return items


cdef int attend_getting(Segment segment) except -1:
    """`attend`, for one who waits for items: if that raises, whoever called this one is sent to the next."""
    try:
        attend(segment)
    except BaseException:
        sk_queue_quit_get(segment.s)
        raise
    return 0


cdef tuple take_large(Segment segment, char *start, uint64_t have, sk_found *found, sk_call call):
    """Take the item that `found` describes into memory of its own: (True, item); (False, None) when another took it.
    `call` says how long to wait for the lock."""
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
        with nogil:
            rc = sk_queue_get_found(segment.s, to, skip, found, call)
        if rc == SK_LARGER:
            return False, None
        if rc == SK_TIMEOUT or rc == SK_STALLED and not goes_on(segment, &call.stay.stall):
            if call.stay is NULL:
                raise Empty
            raise stalled(Empty, segment, &call.stay.stall, inside(&call.stay.stall))
        if rc == SK_SHUTDOWN:
            raise ShutDown
        if rc == SK_INTERRUPTED or rc == SK_STALLED:
            attend(segment)
        elif rc != SK_OK:
            refuse(rc, 0)
    if found.kind == KIND_ARRAY or found.kind == KIND_BYTES:
        return True, item
    if found.kind == KIND_PICKLE_OOB:
        return True, unpickle_oob(item)
    return True, decode(found.kind, PyBytes_AS_STRING(item), found.payload)


cdef class Batch:

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

    cdef uint64_t payload_at(self, uint64_t at) noexcept:
        """Bytes of the item whose record begins at unit `at`."""
        cdef uint64_t head
        memcpy(&head, self.at + at * SK_UNIT, SK_RECORD_HEAD)
        return sk_record_payload(head)


cdef int take_batch(Segment segment, list items, uint64_t most, sk_call call) except -1:
    """Append what one commit takes; 0 when the queue is empty. What decoding raises comes after all are decoded."""
    cdef uint64_t units, at = 0, head, payload
    cdef uint32_t n = 0, _record
    cdef sk_found found
    cdef int rc = SK_INTERRUPTED
    cdef unsigned char *to
    failed = None
    units = min(<uint64_t>BATCH_UNITS, sk_queue_bytes(sk_queue_of(segment.s)) // SK_UNIT * 2 + SMALL // SK_UNIT)
    cdef uint64_t room = units
    to = <unsigned char *>PyMem_RawMalloc(room * SK_UNIT)
    if to is NULL:
        raise MemoryError
    try:
        while rc == SK_INTERRUPTED or rc == SK_STALLED and goes_on(segment, &call.stay.stall):
            n = <uint32_t>min(most - <uint64_t>len(items), <uint64_t>0x7fffffff)
            units = room
            with nogil:
                rc = sk_queue_get_records(segment.s, to, &n, &units, &found, call)
            if rc == SK_INTERRUPTED:
                attend_getting(segment)
        if rc == SK_LARGER:
            taken, item = take_large(segment, <char *>to, room * SK_UNIT, &found, call)
            if taken:
                items.append(item)
            return 1
        if rc == SK_EMPTY and items:
            return 0
        if rc == SK_EMPTY:
            raise Empty
        if rc == SK_TIMEOUT or rc == SK_STALLED:
            raise stalled(Empty, segment, &call.stay.stall, inside(&call.stay.stall))
        if rc == SK_SHUTDOWN:
            raise ShutDown
        if rc != SK_OK:
            refuse(rc, 0)
        for _record in range(n):
            memcpy(&head, to + at * SK_UNIT, SK_RECORD_HEAD)
            payload = sk_record_payload(head)
            if not sk_record_sound(head) or sk_record_units(payload) > units - at:
                refuse(SK_CORRUPT, 0)    # it was sound in the ring: somebody writes there who should not
            try:
                items.append(decode(sk_record_kind(head), <char *>to + at * SK_UNIT + SK_RECORD_HEAD, payload))
            except BaseException as why:
                failed = why
            at += sk_record_units(payload)
        if failed is not None:
            raise failed
        return 1
    finally:
        PyMem_RawFree(to)
