# cython: language_level=3
"""A dict as a whole: what goes over all of its keys, from snapshots."""

import collections.abc
import pickle

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t

from sharedkit._mapping import ItemsFace, KeysFace, ValuesFace
from sharedkit._attend cimport unanswered
from sharedkit._segment cimport SK_BUSY, SK_CORRUPT, SK_LARGER, SK_OK, Handle, Segment, closed, refuse
from sharedkit._keys cimport KeyBytes, key_object
from sharedkit.shm._codec cimport decode
from sharedkit.shm._dict cimport (
    sk_dict_clear, sk_dict_count, sk_dict_memory, sk_dict_of, sk_dict_settle, sk_dict_snapshot, sk_entry,
    sk_entry_first_len, sk_entry_key_kind, sk_entry_key_len, sk_entry_value_kind, sk_entry_value_len, sk_lock_owner,
    sk_pad8,
)
from sharedkit.statistics import DictStatistics

cdef uint64_t FOR_EVER = <uint64_t>-1


cdef class Entries(Handle):
    """The cold half of Dict."""

    __hash__ = None

    cdef bytes taken(self, bint values, uint64_t *used):
        """Every entry as it lay in the arena at one moment, with or without its value: the first `used` bytes."""
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
            refuse(rc, 0)
        return body

    cdef list snapshot(self, bint keys, bint values):
        """Keys, values or pairs as they were at one moment, in order of insertion."""
        cdef uint64_t at = 0, used = 0
        cdef bytes body = self.taken(values, &used)
        cdef const char *to = PyBytes_AS_STRING(body)
        cdef sk_entry *entry
        found = []
        while at < used:
            entry = <sk_entry *>(to + at)
            at = behind(entry, at, used, values)
            key = key_of(entry) if keys else None
            value = decode(sk_entry_value_kind(entry), first_of(entry) + sk_entry_first_len(entry),
                           sk_entry_value_len(entry)) if values else None
            found.append((entry.born, (key, value) if keys and values else key if keys else value))
        found.sort(key=by_birth)
        return [each[1] for each in found]

    cdef tuple newest(self):
        """Form and object of the key that was inserted last, and a number of its own. KeyError when there is none."""
        cdef uint64_t at = 0, used = 0
        cdef bytes body = self.taken(False, &used)
        cdef const char *to = PyBytes_AS_STRING(body)
        cdef sk_entry *entry
        cdef sk_entry *last = NULL
        cdef KeyBytes form = KeyBytes.__new__(KeyBytes)
        while at < used:
            entry = <sk_entry *>(to + at)
            at = behind(entry, at, used, False)
            if last is NULL or entry.born > last.born:
                last = entry
        if last is NULL:
            raise KeyError("popitem(): dictionary is empty")
        form.kind = sk_entry_key_kind(last)
        form.body = (<char *>last)[sizeof(sk_entry):sizeof(sk_entry) + sk_entry_key_len(last)]
        return form, key_of(last), last.born

    def __len__(self):
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = sk_dict_settle(segment.s, 0)
        while unanswered(segment, rc):
            with nogil:
                rc = sk_dict_settle(segment.s, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0)
        cdef uint64_t live = sk_dict_count(sk_dict_of(segment.s))
        if live >> 40:    # more than a table can have
            refuse(SK_CORRUPT, 0)
        return live

    def __iter__(self):
        return iter(self.snapshot(True, False))

    def __reversed__(self):
        return reversed(self.snapshot(True, False))

    def keys(self):
        """A view of the keys; iterating it goes over a snapshot."""
        return KeysFace(self)

    def values(self):
        """A view of the values; iterating it goes over a snapshot."""
        return SnapshotValues(self)

    def items(self):
        """A view of the pairs; iterating it goes over a snapshot."""
        return SnapshotItems(self)

    def _values(self):
        return self.snapshot(False, True)

    def _items(self):
        return self.snapshot(True, True)

    def as_dict(self):
        """A plain dict of a snapshot."""
        return dict(self.snapshot(True, True))

    def copy(self):
        """A new dict without a name of its own choosing, made from a snapshot."""
        return type(self)(self.as_dict())

    @classmethod
    def fromkeys(cls, keys, value=None, /):
        """A new dict of these keys, each with this value."""
        made = cls()
        for key in keys:
            made[key] = value
        return made

    def clear(self):
        """Remove everything, in one step."""
        if self.s is NULL:
            closed(self)
        cdef Segment segment = self.segment
        cdef int rc = SK_BUSY
        while unanswered(segment, rc):
            with nogil:
                rc = sk_dict_clear(segment.s, FOR_EVER)
        if rc != SK_OK:
            refuse(rc, 0)

    def update(self, mapping_or_pairs=(), /, **items):
        """Set many keys, each in one step."""
        if self.s is NULL:
            closed(self)
        for key, value in dict(mapping_or_pairs, **items).items():
            self[key] = value

    def __or__(self, other):
        if not isinstance(other, (dict, Entries)):
            return NotImplemented
        return self.as_dict() | dict(other)

    def __ror__(self, other):
        if not isinstance(other, (dict, Entries)):
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
        """Sizes, who is attached and who is writing, at this moment: a DictStatistics."""
        cdef Segment segment = self._segment()
        cdef uint64_t size = 0, used = 0, buckets = 0
        cdef int rc = sk_dict_memory(segment.s, &size, &used, &buckets)
        if rc != SK_OK:
            refuse(rc, 0)
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


cdef uint64_t behind(const sk_entry *entry, uint64_t at, uint64_t used, bint values) except 0:
    """Where the next entry begins. CorruptSegmentError: it was sound in the arena, so somebody writes there who should
    not."""
    cdef uint64_t left = used - at, size = sizeof(sk_entry)
    if left < size:
        refuse(SK_CORRUPT, 0)
    size += sk_pad8(sk_entry_key_len(entry)) + sk_entry_first_len(entry)
    if values:
        size += sk_pad8(sk_entry_value_len(entry))
    if size > left:    # no sum of lengths of 48 and 40 bits overflows
        refuse(SK_CORRUPT, 0)
    return at + size


cdef const char *first_of(const sk_entry *entry) noexcept:
    return <const char *>entry + sizeof(sk_entry) + sk_pad8(sk_entry_key_len(entry))


cdef object key_of(const sk_entry *entry):
    """The key that was stored first, of those that are equal."""
    cdef const char *first = first_of(entry)
    cdef uint64_t size = sk_entry_first_len(entry)
    if size:
        return pickle.loads(first[:size])    # what fills its last word stands behind its end
    return key_object(sk_entry_key_kind(entry), <const char *>entry + sizeof(sk_entry), sk_entry_key_len(entry))


class SnapshotValues(ValuesFace):
    """Values of a Dict."""

    def __iter__(self):
        return iter(self._mapping._values())

    def __contains__(self, value):
        return value in self._mapping._values()

    def __reversed__(self):
        return reversed(self._mapping._values())


class SnapshotItems(ItemsFace):
    """Pairs of a Dict."""

    def __iter__(self):
        return iter(self._mapping._items())

    def __reversed__(self):
        return reversed(self._mapping._items())


def by_birth(pair):
    return pair[0]
