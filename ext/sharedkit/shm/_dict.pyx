# cython: language_level=3
"""The dict: a read takes no lock; a write tries once with the GIL held, then waits in slices without the GIL."""

import collections.abc
import os
import pickle
import types

import numpy as np

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from sharedkit import segments
from sharedkit._core.interrupts cimport unanswered
from sharedkit._core.keys cimport KEY_BYTES, KEY_INT, KEY_STR, KeyBytes, key_bytes, key_object
from sharedkit._core.mapping_methods import ItemsFace, KeysFace, ValuesFace, first_items
from sharedkit._core.segment cimport (
    SK_BUSY, SK_CORRUPT, SK_EMPTY, SK_EXISTS, SK_FOREIGN, SK_GONE, SK_LARGER, SK_OK, SK_OVERFLOW, Handle, Segment,
    closed, create_segment, refuse, sk_header_of, sk_plan,
)
from sharedkit.shm._codec cimport (
    KIND_ARRAY, KIND_BYTES, KIND_INT, KIND_PICKLE, KIND_PICKLE_OOB, Parcel, Plain, array_for, decode, encode, plain,
    unpickle_oob,
)
from sharedkit.shm._dict cimport (
    SK_ALWAYS, SK_DICT_FLOOR, SK_DICT_LOG2, SK_DICT_SEED, SK_DICT_SEED2, SK_IF_MISSING, SK_IF_SAME, sk_dict_add,
    sk_dict_body_len, sk_dict_clear, sk_dict_count, sk_dict_delete, sk_dict_fill, sk_dict_floor_for, sk_dict_get,
    sk_dict_get_to, sk_dict_memory, sk_dict_of, sk_dict_refuse, sk_dict_set, sk_dict_repair, sk_dict_snapshot,
    sk_dict_target, sk_entry, sk_entry_first_len, sk_entry_key_kind, sk_entry_key_len, sk_entry_value_kind,
    sk_entry_value_len, sk_hash_secrets, sk_hash_secrets_of, sk_hit, sk_key, sk_key_hash, sk_lock_owner, sk_pad8,
    sk_value,
)

KIND_DICT = 7
CONTENTS = SK_DICT_FLOOR
cdef uint64_t FOR_EVER = <uint64_t>-1
cdef enum:
    SMALL = 1024              # the largest value, in bytes, that is first copied to the stack
    QUICK = 32768             # the largest value, in bytes, that is written with the GIL held
    TABLE_LOG2 = 7            # log2 of the buckets of the first table
    ARENA_LOG2 = 14           # log2 of the bytes of the first arena
cdef object MISSING = object()
cdef object empty = np.empty, loads = pickle.loads


def make(place, str name, uint32_t seats, uint32_t flags, uint32_t kind=KIND_DICT):
    """Make a dict segment; its hash has a random seed of 128 bits."""
    cdef sk_plan plan
    seed = int.from_bytes(os.urandom(16), "little")
    memset(&plan, 0, sizeof(plan))
    plan.kind = kind
    plan.flags = flags
    plan.seats = seats
    plan.body_len = sk_dict_body_len(seats, TABLE_LOG2, ARENA_LOG2)
    plan.param[SK_DICT_FLOOR] = sk_dict_floor_for(seats)
    plan.param[SK_DICT_SEED] = seed & 0xFFFFFFFFFFFFFFFF
    plan.param[SK_DICT_SEED2] = seed >> 64
    plan.param[SK_DICT_LOG2] = TABLE_LOG2 | ARENA_LOG2 << 8
    plan.fill = sk_dict_fill
    return create_segment(place, name, &plan)


cdef class Dict(Handle):
    """Dict(mapping_or_pairs=(), /, *, name=None, exist_ok=False, persist=False, seats=192, \
mode=None, group=None, **items)\n--\n
    A `MutableMapping` in shared memory, in order of insertion, with picklable values. Keys are equal exactly when
    Python says so. They are numbers of any type, str, bytes, tuples, frozensets, enums, dates, frozen dataclasses and
    the other types listed in docs/placements.md. A type that is not listed there needs `register_key`, and raises
    TypeError without it.

    A read takes no lock and never sees half of a write. Each single operation is atomic, including `setdefault`, `pop`,
    `add` and `compare_exchange`; iteration goes over a snapshot. Values are copies: changing a value that was read does
    not change the dict. `update` and other operations on many keys are one atomic step for each key.
    Further keywords are items, as in `dict`: `Dict(maxsize=3)` has the key "maxsize", and no bound.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OutOfSharedMemory. Method: docs/decisions/0004.
    """

    __hash__ = None
    __class_getitem__ = classmethod(types.GenericAlias)
    cdef sk_hash_secrets secrets

    def __init__(self, mapping_or_pairs=(), /, *, name=None, exist_ok=False, persist=False,
                 seats=segments.DEFAULT_SEATS, mode=None, group=None, **items):
        pairs = first_items(mapping_or_pairs, items)
        fresh = []

        def made(place, name, seats, flags):
            segment = make(place, name, seats, flags)
            fresh.append(segment)
            return segment

        blueprint = segments.Blueprint(KIND_DICT, made, lambda there: None)
        self._open(segments.create(blueprint, name, exist_ok, persist, seats, mode, group))
        try:
            for key, value in pairs.items():
                self[key] = value
        except BaseException:    # a dict with only some of the items must not remain
            if fresh:
                self.unlink()
            self.close()
            raise

    @staticmethod
    def _of(Segment segment):
        cdef Dict self = Dict.__new__(Dict)
        self._open(segment)
        return self

    cdef _open(self, Segment segment):
        cdef int rc = sk_dict_refuse(segment.s)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)
        cdef uint64_t seed[2]
        seed[0] = sk_header_of(segment.s).param[SK_DICT_SEED]
        seed[1] = sk_header_of(segment.s).param[SK_DICT_SEED2]
        sk_hash_secrets_of(&self.secrets, seed)

    # --- one key -------------------------------------------------------------------------------

    cdef object aim(self, object key, sk_key *to, Plain *own):
        """Encode and hash the key; the returned object owns the key's bytes and must live as long as they are used."""
        cdef KeyBytes other
        if self.s is NULL:
            closed(self)
        to.first.len = 0
        if plain(key, own) and (own.kind == KEY_STR or own.kind == KEY_INT or own.kind == KEY_BYTES):
            to.at = own.part.at
            to.len = own.part.len
            to.kind = own.kind
            owner = key
        else:
            other = key_bytes(key)
            aim_at(other, to)
            owner = other
        to.hash = sk_key_hash(to.at, to.len, to.kind, &self.secrets)
        return owner

    cdef Segment held(self):
        """Return the segment. Raises ClosedError if code of the key or of a value has closed the handle meanwhile."""
        if self.s is NULL:
            closed(self)
        return self.segment

    cdef object look(self, const sk_key *key, sk_hit *hit):
        """Return the value, or MISSING; `hit` identifies its version."""
        cdef char small[SMALL]
        if self.s is NULL:    # the key's own code may have closed the handle
            closed(self)
        cdef int rc = sk_dict_get(self.s, key, small, SMALL, hit)
        if rc == SK_OK:
            return decode(hit.kind, small, hit.len, self)
        if rc == SK_LARGER:
            return self.look_large(key, small, hit)
        if rc != SK_EMPTY:
            refuse(rc, 0, self.segment)
        return MISSING

    cdef object look_large(self, const sk_key *key, char *head, sk_hit *hit):
        """Return a large value, which `hit` and its first bytes describe: allocate memory for it and fill that memory
        in one copy. If the value has been replaced meanwhile, the new one must have the same kind, size and head;
        otherwise the loop tries again with the new one."""
        cdef char told[SMALL]
        cdef sk_dict_target to
        cdef uint64_t size
        cdef uint32_t kind
        cdef Segment segment = self.held()
        cdef int rc = SK_LARGER
        to.head = head
        to.head_room = SMALL
        while rc == SK_LARGER:
            kind, size = hit.kind, hit.len
            memcpy(told, head, SMALL)
            to.skip = 0
            if kind == KIND_ARRAY:
                item = array_for(head, SMALL, size, &to.skip, segment)
                to.body = memory_of(item.reshape(-1, order="A").view("u1"))
            elif kind == KIND_PICKLE_OOB:
                item = empty(size, "u1")
                to.body = memory_of(item)
            else:
                item = PyBytes_FromStringAndSize(NULL, size)
                to.body = PyBytes_AS_STRING(item)
            to.body_len = size - to.skip
            with nogil:
                rc = sk_dict_get_to(segment.s, key, &to, hit)
            if rc == SK_OK and hit.len <= SMALL:
                return decode(hit.kind, head, hit.len, segment)
            if rc == SK_OK and (hit.len != size or hit.kind != kind or memcmp(told, head, to.skip) != 0):
                rc = SK_LARGER
        if rc == SK_EMPTY:
            return MISSING
        if rc != SK_OK:
            refuse(rc, 0, segment)
        if kind == KIND_ARRAY or kind == KIND_BYTES:
            return item
        if kind == KIND_PICKLE:
            return loads(item)
        if kind == KIND_PICKLE_OOB:
            return unpickle_oob(item, segment)
        return decode(kind, PyBytes_AS_STRING(item), size, segment)

    cdef int write(self, const sk_key *key, object item, int when, const sk_hit *same) except -100:
        """Write the value; return SK_OK, or SK_EXISTS or SK_GONE if `when` does not hold."""
        cdef Segment segment = self.held()
        cdef Parcel parcel
        cdef Plain own
        cdef sk_value value
        cdef uint32_t i
        cdef int rc = SK_BUSY
        if plain(item, &own):
            value.parts = &own.part
            value.n = own.n
            value.len = own.part.len if own.n else 0
            value.kind = own.kind
        else:
            parcel = encode(item)
            value.parts = parcel.parts
            value.n = parcel.n
            value.len = 0
            for i in range(value.n):
                value.len += value.parts[i].len
            value.kind = parcel.kind
        if value.len <= QUICK:
            rc = sk_dict_set(segment.s, key, &value, when, same, 0)
        while unanswered(segment, rc):
            with nogil:
                rc = sk_dict_set(segment.s, key, &value, when, same, FOR_EVER)
        if rc != SK_OK and rc != SK_EXISTS and rc != SK_GONE:
            refuse(rc, value.len, segment)
        return rc

    cdef int remove(self, const sk_key *key, int when, const sk_hit *same) except -100:
        """Remove the key; return SK_OK, SK_EMPTY, or SK_GONE if `when` does not hold."""
        cdef Segment segment = self.held()
        cdef int rc = sk_dict_delete(segment.s, key, when, same, 0)
        while unanswered(segment, rc):
            with nogil:
                rc = sk_dict_delete(segment.s, key, when, same, FOR_EVER)
        if rc != SK_OK and rc != SK_EMPTY and rc != SK_GONE:
            refuse(rc, 0, segment)
        return rc

    def __getitem__(self, key):
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        _owner = self.aim(key, &at, &own)
        value = self.look(&at, &hit)
        if value is MISSING:
            raise KeyError(key)
        return value

    @cython.binding(False)
    def get(self, key, default=None, /):
        """get($self, key, default=None, /)\n--\n
        Return the value of `key`, or `default`.
        """
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        _owner = self.aim(key, &at, &own)
        value = self.look(&at, &hit)
        return default if value is MISSING else value

    def __contains__(self, key):
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        cdef uint64_t word
        _owner = self.aim(key, &at, &own)
        if self.s is NULL:
            closed(self)
        cdef int rc = sk_dict_get(self.s, &at, &word, sizeof(word), &hit)
        if rc != SK_OK and rc != SK_EMPTY and rc != SK_LARGER:
            refuse(rc, 0, self.segment)
        return rc != SK_EMPTY

    def __setitem__(self, key, value):
        cdef sk_key at
        cdef Plain own
        owner = self.aim(key, &at, &own)
        _first = beside(owner, key, &at)
        self.write(&at, value, SK_ALWAYS, NULL)

    def __delitem__(self, key):
        cdef sk_key at
        cdef Plain own
        _owner = self.aim(key, &at, &own)
        if self.remove(&at, SK_ALWAYS, NULL) == SK_EMPTY:
            raise KeyError(key)

    @cython.binding(False)
    def setdefault(self, key, default=None, /):
        """setdefault($self, key, default=None, /)\n--\n
        Return the value of `key`, set to `default` first if it was missing, in one step.
        """
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        owner = self.aim(key, &at, &own)
        _first = None
        while True:
            value = self.look(&at, &hit)
            if value is not MISSING:
                return value
            if _first is None:
                _first = beside(owner, key, &at)
            if self.write(&at, default, SK_IF_MISSING, NULL) == SK_OK:
                return default
            PyErr_CheckSignals()    # another process was faster; in a damaged dict it may seem so for ever

    def _insert(self, key):
        """Set the key to None if it is missing, in one step; return whether it was missing."""
        cdef sk_key at
        cdef Plain own
        owner = self.aim(key, &at, &own)
        _first = beside(owner, key, &at)
        return self.write(&at, None, SK_IF_MISSING, NULL) == SK_OK

    def pop(self, key, *default):
        """Remove `key` and return its value in one step; `default` if it is missing, or KeyError without one."""
        if len(default) > 1:
            raise TypeError(f"pop expected at most 2 arguments, got {1 + len(default)}")
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        _owner = self.aim(key, &at, &own)
        while True:
            value = self.look(&at, &hit)
            if value is MISSING:
                if default:
                    return default[0]
                raise KeyError(key)
            if self.remove(&at, SK_IF_SAME, &hit) == SK_OK:
                return value
            PyErr_CheckSignals()

    @cython.binding(False)
    def add(self, key, n=1, /):
        """add($self, key, n=1, /)\n--\n
        Add `n` to the number at `key` (a missing one is 0) in one step, and return the new value.
        """
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        cdef int64_t total, step
        cdef int rc = SK_FOREIGN
        cdef Segment segment
        owner = self.aim(key, &at, &own)
        _first = beside(owner, key, &at)
        segment = self.held()
        if type(n) is int and -(1 << 63) <= n < 1 << 63:
            step = n
            rc = sk_dict_add(segment.s, &at, KIND_INT, step, &total, 0)
            while unanswered(segment, rc):
                with nogil:
                    rc = sk_dict_add(segment.s, &at, KIND_INT, step, &total, FOR_EVER)
            if rc == SK_OK:
                return total
        if rc != SK_FOREIGN and rc != SK_OVERFLOW:
            refuse(rc, 0, segment)
        while True:    # results past 64 bits, floats, any objects with +
            value = self.look(&at, &hit)
            after = n if value is MISSING else value + n
            if self.write(&at, after, SK_IF_MISSING if value is MISSING else SK_IF_SAME, &hit) == SK_OK:
                return after
            PyErr_CheckSignals()

    @cython.binding(False)
    def compare_exchange(self, key, expected, desired, /):
        """compare_exchange($self, key, expected, desired, /)\n--\n
        Set `key` to `desired` if its value equals `expected`, in one step; return whether it did.
        """
        cdef sk_key at
        cdef Plain own
        cdef sk_hit hit
        _owner = self.aim(key, &at, &own)
        while True:
            value = self.look(&at, &hit)
            if value is MISSING or value != expected:
                return False
            if self.write(&at, desired, SK_IF_SAME, &hit) == SK_OK:
                return True
            PyErr_CheckSignals()

    def popitem(self):
        """Remove and return the pair that was inserted last, in one step. Raises KeyError if the dict is empty."""
        cdef sk_key at
        cdef sk_hit hit
        cdef KeyBytes form
        missed = None
        while True:
            form, key, born = self.newest()
            aim_at(form, &at)
            at.hash = sk_key_hash(at.at, at.len, at.kind, &self.secrets)
            value = self.look(&at, &hit)
            if value is not MISSING and self.remove(&at, SK_IF_SAME, &hit) == SK_OK:
                return key, value
            if value is MISSING:
                if born == missed:    # in two snapshots, so it was not removed, yet no lookup finds it
                    refuse(SK_CORRUPT, 0, self.segment)
                missed = born
            PyErr_CheckSignals()

    # --- all keys: from snapshots ---------------------------------------------------------------

    cdef bytes taken(self, bint values, uint64_t *used):
        """Return a copy of all entries in the arena at one moment, with or without values; `used` is its length."""
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef uint64_t size = 4096
        cdef int rc = SK_LARGER
        cdef char *to
        while rc == SK_LARGER:
            body = PyBytes_FromStringAndSize(NULL, size)
            to = PyBytes_AS_STRING(body)
            rc = SK_BUSY
            while unanswered(segment, rc):
                with nogil:
                    rc = sk_dict_snapshot(segment.s, values, <unsigned char *>to, size, used, FOR_EVER)
            size = used[0] + used[0] // 8
        if rc != SK_OK:
            refuse(rc, 0, segment)
        return body

    cdef list snapshot(self, bint keys, bint values):
        """Return the keys, values or pairs as they were at one moment, in order of insertion."""
        cdef uint64_t at = 0, used = 0
        cdef bytes body = self.taken(values, &used)
        cdef Segment segment = self.segment
        cdef const char *to = PyBytes_AS_STRING(body)
        cdef sk_entry *entry
        found = []
        while at < used:
            entry = <sk_entry *>(to + at)
            at = behind(entry, at, used, values, segment)
            key = key_of(entry, segment) if keys else None
            value = decode(sk_entry_value_kind(entry), first_of(entry) + sk_entry_first_len(entry),
                           sk_entry_value_len(entry), segment) if values else None
            found.append((entry.born, (key, value) if keys and values else key if keys else value))
        found.sort(key=by_birth)
        return [each[1] for each in found]

    cdef tuple newest(self):
        """Return the newest key, encoded and as an object, and its entry's unique number. Raises KeyError if there is
        no key."""
        cdef uint64_t at = 0, used = 0
        cdef bytes body = self.taken(False, &used)
        cdef Segment segment = self.segment
        cdef const char *to = PyBytes_AS_STRING(body)
        cdef sk_entry *entry
        cdef sk_entry *last = NULL
        cdef KeyBytes form = KeyBytes.__new__(KeyBytes)
        while at < used:
            entry = <sk_entry *>(to + at)
            at = behind(entry, at, used, False, segment)
            if last is NULL or entry.born > last.born:
                last = entry
        if last is NULL:
            raise KeyError("popitem(): dictionary is empty")
        form.kind = sk_entry_key_kind(last)
        form.body = (<char *>last)[sizeof(sk_entry):sizeof(sk_entry) + sk_entry_key_len(last)]
        return form, key_of(last, segment), last.born

    def __len__(self):
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = sk_dict_repair(segment.s, 0)
        while unanswered(segment, rc):
            with nogil:
                rc = sk_dict_repair(segment.s, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        cdef uint64_t live = sk_dict_count(sk_dict_of(segment.s))
        if live >> 40:    # more entries than a table can have
            refuse(SK_CORRUPT, 0, segment)
        return live

    def __iter__(self):
        return iter(self.snapshot(True, False))

    def __reversed__(self):
        return reversed(self.snapshot(True, False))

    def keys(self):
        """Return a view of the keys; iteration goes over a snapshot."""
        return KeysFace(self)

    def values(self):
        """Return a view of the values; iteration goes over a snapshot."""
        return SnapshotValues(self)

    def items(self):
        """Return a view of the pairs; iteration goes over a snapshot."""
        return SnapshotItems(self)

    def _values(self):
        return self.snapshot(False, True)

    def _items(self):
        return self.snapshot(True, True)

    def as_dict(self):
        """Return a snapshot as a plain dict."""
        return dict(self.snapshot(True, True))

    def copy(self):
        """Return a new dict, made from a snapshot; it gets a random name."""
        return type(self)(self.as_dict())

    @classmethod
    def fromkeys(cls, keys, value=None, /):
        """Return a new dict of these keys, each with this value."""
        made = cls()
        for key in keys:
            made[key] = value
        return made

    def clear(self):
        """Remove all keys, in one step."""
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = SK_BUSY
        while unanswered(segment, rc):
            with nogil:
                rc = sk_dict_clear(segment.s, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0, segment)

    def update(self, mapping_or_pairs=(), /, **items):
        """Set many keys, each in one step."""
        if self.s is NULL:
            closed(self)
        for key, value in dict(mapping_or_pairs, **items).items():
            self[key] = value

    def __or__(self, other):
        if not isinstance(other, (dict, Dict)):
            return NotImplemented
        return self.as_dict() | dict(other)

    def __ror__(self, other):
        if not isinstance(other, (dict, Dict)):
            return NotImplemented
        return dict(other) | self.as_dict()

    def __ior__(self, other):
        self.update(other)
        return self

    def __eq__(self, other):
        if not isinstance(other, collections.abc.Mapping):
            return NotImplemented
        return self.as_dict() == dict(other.items())

    def statistics(self):
        """Return sizes, attached processes and the process that is writing, at this moment: a DictStatistics."""
        cdef Segment segment = self._segment()
        cdef uint64_t size = 0, used = 0, buckets = 0
        cdef int rc = sk_dict_memory(segment.s, &size, &used, &buckets)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        from sharedkit.statistics import DictStatistics
        return DictStatistics(
            name=segment.name,
            kind="Dict",
            length=len(self),
            buckets=buckets,
            capacity_bytes=size,
            used_bytes=used,
            attached=segment.attached(),
            lock_owner=segment.pid_of(sk_lock_owner(&sk_dict_of(segment.s).lock)),
        )

    def __repr__(self):
        return "<Dict closed>" if self.s is NULL else f"Dict({self.as_dict()!r}, name={self.name!r})"


cdef int aim_at(KeyBytes key, sk_key *to) except -1:
    to.at = PyBytes_AS_STRING(key.body)
    to.len = len(key.body)
    to.kind = key.kind
    to.first.len = 0
    return 0


cdef object beside(object owner, object key, sk_key *to):
    """Set `to.first` to the pickled key if its encoded bytes cannot restore it; the returned object owns the bytes."""
    if type(owner) is not KeyBytes:
        return owner
    cdef bytes first = (<KeyBytes>owner).first(key)
    to.first.at = PyBytes_AS_STRING(first)
    to.first.len = len(first)
    return first


cdef void *memory_of(object array) except NULL:
    """Return the address of a contiguous array's bytes; the array itself keeps them alive."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
    PyBuffer_Release(&view)
    return view.buf


def state(Segment segment):
    """Describe the state in one line, for listings."""
    cdef object size = len(Dict._of(segment))
    return f"{size} key{'s' * (size != 1)}"


collections.abc.MutableMapping.register(Dict)
segments.register_kind(segments.Kind(KIND_DICT, "Dict", Dict._of, state, CONTENTS))


cdef uint64_t behind(const sk_entry *entry, uint64_t at, uint64_t used, bint values, Segment segment) except 0:
    """Return where the next entry begins. Raises CorruptSegmentError if this entry has impossible lengths: they were
    checked in the arena when the entry was copied, so a program writes where it must not."""
    cdef uint64_t left = used - at, size = sizeof(sk_entry)
    if left < size:
        refuse(SK_CORRUPT, 0, segment)
    size += sk_pad8(sk_entry_key_len(entry)) + sk_entry_first_len(entry)
    if values:
        size += sk_pad8(sk_entry_value_len(entry))
    if size > left:    # the sum cannot overflow: the lengths have 48 and 40 bits
        refuse(SK_CORRUPT, 0, segment)
    return at + size


cdef const char *first_of(const sk_entry *entry) noexcept:
    return <const char *>entry + sizeof(sk_entry) + sk_pad8(sk_entry_key_len(entry))


cdef object key_of(const sk_entry *entry, Segment segment):
    """Return the key object of the entry: among equal keys, the one that was stored first."""
    cdef const char *first = first_of(entry)
    cdef uint64_t size = sk_entry_first_len(entry)
    if size:
        return pickle.loads(first[:size])    # padding of the last word follows the pickle's end
    return key_object(sk_entry_key_kind(entry), <const char *>entry + sizeof(sk_entry), sk_entry_key_len(entry),
                      segment)


class SnapshotValues(ValuesFace):
    """The values of a Dict."""

    def __iter__(self):
        return iter(self._mapping._values())

    def __contains__(self, value):
        return value in self._mapping._values()

    def __reversed__(self):
        return reversed(self._mapping._values())


class SnapshotItems(ItemsFace):
    """The pairs of a Dict."""

    def __iter__(self):
        return iter(self._mapping._items())

    def __reversed__(self):
        return reversed(self._mapping._items())


def by_birth(pair):
    return pair[0]
