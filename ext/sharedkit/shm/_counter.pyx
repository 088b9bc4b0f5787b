# cython: language_level=3
"""The counter: each method is one C call on the word; nothing waits."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from sharedkit._core.segment cimport (
    HAS_GIL, SK_OK, SK_OVERFLOW,
    Dropped, Handle, PrivateSegment, Segment, closed, create_segment, refuse, sk_body_of, sk_header_of, sk_me, sk_plan,
    sk_segment, sk_segment_sit,
)

import operator

from sharedkit import segments
from sharedkit.shm._waiting cimport this_thread
from sharedkit._core.counts import number_of
from sharedkit._core.differences import unlike


cdef extern from "structures/sk_counter.h" nogil:
    enum: SK_LINE
    uint64_t *sk_counter_word(void *body, uint64_t i) noexcept
    int64_t sk_counter_value(const uint64_t *word) noexcept
    ctypedef struct sk_counter_sum:
        int64_t base
        int64_t high
        uint64_t low

    int sk_counter_add_striped(uint64_t *base, uint64_t *stripe, int64_t n, int64_t *sum) noexcept
    int sk_counter_read(sk_segment *s, uint64_t *base, sk_counter_sum *sum, const int64_t *value) noexcept
    void sk_counter_glance(const sk_segment *s, uint64_t *base, sk_counter_sum *sum) noexcept
    int sk_counter_add(uint64_t *word, int64_t n, int64_t *sum) noexcept
    int64_t sk_counter_exchange(uint64_t *word, int64_t value) noexcept
    bint sk_counter_compare_exchange(uint64_t *word, int64_t expected, int64_t desired) noexcept
    int sk_counter_fill(sk_segment *s) noexcept
    int sk_counter_refuse(const sk_segment *s, uint64_t words) noexcept
    uint32_t sk_owner_seat(uint32_t owner) noexcept

KIND_COUNTER = 1
KIND_STRIPED = 2
KIND_GROUP = 3


cdef inline int64_t to_word(object n) except? -1:
    """Return `n` as a signed 64-bit integer. Raises TypeError, OverflowError."""
    return <int64_t>n if type(n) is int else index_to_word(n)


cdef int64_t index_to_word(object n) except? -1:
    return <int64_t>operator.index(n)


def make(place, str name, uint32_t seats, uint32_t flags, int kind, uint64_t words, int64_t value, bytes meta):
    """Make a counter segment of `words` words; the first starts at `value`."""
    cdef sk_plan plan
    plan.kind = kind
    plan.flags = flags
    plan.seats = seats
    plan.body_len = words * SK_LINE
    for i in range(6):
        plan.param[i] = 0
    plan.param[0] = <uint64_t>value
    plan.param[1] = words
    plan.meta = <const char *>meta
    plan.meta_len = len(meta)
    plan.fill = sk_counter_fill
    return create_segment(place, name, &plan)


def blueprint(value, striped):
    """Return the blueprint of a counter that starts at `value`. Raises TypeError, OverflowError."""
    cdef int64_t first = to_word(number_of("value", value))
    kind = KIND_STRIPED if striped else KIND_COUNTER
    return segments.Blueprint(
        kind,
        lambda place, name, seats, flags: make(
            place, name, seats, flags, kind, seats + 1 if striped else 1, first, b""
        ),
        lambda there: unlike("striped", there.kind == KIND_STRIPED, bool(striped)),
    )


cdef class Counter(Handle):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192, \
mode=None, group=None)\n--\n
    A signed 64-bit integer; threads and processes change it, each change in one atomic step.

    `striped=True` gives each process its own word: adding never contends, reading adds up the words, `add` returns None
    and `compare_exchange` raises TypeError. `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    OverflowError for a value past 64 bits, OutOfSharedMemory.
    """

    cdef uint64_t *word      # NULL once closed
    cdef readonly bint striped
    cdef bint private        # whether its memory belongs to this process alone
    cdef str key             # name within a group, else None

    def __init__(
        self, value=0, *, name=None,
        exist_ok=False, persist=False, striped=False, seats=segments.DEFAULT_SEATS, mode=None, group=None
    ):
        self._open(segments.create(blueprint(value, striped), name, exist_ok, persist, seats, mode, group))

    @classmethod
    def _of(cls, Segment segment, uint64_t i=0, str key=None):
        cdef Counter self = cls.__new__(cls)
        self._open(segment, i)
        self.key = key
        return self

    def _open(self, Segment segment, uint64_t i=0):
        striped = segment.kind == KIND_STRIPED
        cdef int rc = sk_counter_refuse(segment.s, sk_header_of(segment.s).seats + 1 if striped else i + 1)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        self.bind(segment)
        self.word = sk_counter_word(sk_body_of(self.s), i)
        self.striped = striped
        self.private = isinstance(segment, PrivateSegment)

    cdef inline uint64_t *stripe(self) noexcept:
        """Return the word of this process; the child of a fork gets another one, because it takes its own seat.

        Processes without a seat share the base. In memory of this process, which has more words than there are cores,
        the word belongs to the thread. Without a GIL the threads of a process add at the same time; so each thread has
        its own word, found by counting on from the word of the process.
        """
        cdef uint32_t word
        if self.private:
            return sk_counter_word(self.word, this_thread() % sk_header_of(self.s).seats + 1)
        if sk_me(self.s) == 0 and sk_segment_sit(self.s) != SK_OK:
            return self.word
        word = sk_owner_seat(sk_me(self.s))
        if not HAS_GIL:
            word = (word + this_thread()) % sk_header_of(self.s).seats
        return sk_counter_word(self.word, word + 1)

    def close(self):
        """Detach from the segment. Using the handle afterwards raises ClosedError; closing again does nothing.
        """
        Handle.close(self)

    cdef void drop(self, Dropped *dropped) noexcept:
        self.word = NULL
        Handle.drop(self, dropped)

    @cython.binding(False)
    def add(self, n=1, /):
        """add($self, n=1, /)\n--\n
        Add `n` in one step and return the new value (None when striped).

        Raises OverflowError past 64 bits; the value is unchanged then.
        """
        cdef int64_t total
        cdef int64_t step = to_word(n)
        if self.word is NULL:
            closed(self)
        if self.striped:
            if sk_counter_add_striped(self.word, self.stripe(), step, &total) != SK_OK:
                refuse(SK_OVERFLOW, 0, self.segment)
            return None
        if sk_counter_add(self.word, step, &total) != SK_OK:
            refuse(SK_OVERFLOW, 0, self.segment)
        return total

    @property
    def value(self):
        """The value; may be assigned. When striped: the sum at one moment, which includes every finished `add`."""
        if self.word is NULL:
            closed(self)
        if not self.striped:
            return sk_counter_value(self.word)
        return self.sum(NULL)

    @value.setter
    def value(self, value):
        self.exchange(value)

    def exchange(self, value):
        """Set the value and return the old one, in one step.

        When striped, each `add` is counted once: either in the returned value or in the new one.
        """
        cdef int64_t desired = to_word(value)
        if self.word is NULL:
            closed(self)
        if not self.striped:
            return sk_counter_exchange(self.word, desired)
        return self.sum(&desired)

    cdef object sum(self, const int64_t *value):
        """Return the sum of base and stripes, an int of any size; if `value` is given, make it the sum in the same
        step."""
        cdef sk_counter_sum sum
        cdef Segment segment = self.segment
        cdef uint64_t *word = self.word
        cdef int rc = SK_OK
        if segment.s.left:
            sk_counter_glance(segment.s, word, &sum)
        else:
            with nogil:
                rc = sk_counter_read(segment.s, word, &sum, value)
        if rc != SK_OK:
            refuse(rc, 0, segment)
        return sum.base + (<object>sum.high << 64) + sum.low

    def compare_exchange(self, expected, desired):
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError when
        striped.
        """
        cdef int64_t seen = to_word(expected), wanted = to_word(desired)
        if self.word is NULL:
            closed(self)
        if self.striped:
            raise TypeError("a striped counter has no compare_exchange: its value is a sum of many words")
        return bool(sk_counter_compare_exchange(self.word, seen, wanted))

    def reset(self):
        """Set the value to 0 and return the old one, as `exchange(0)` does.
        """
        return self.exchange(0)

    def __int__(self):
        return self.value

    def __index__(self):
        return self.value

    def __iadd__(self, n):
        self.add(n)
        return self

    def __isub__(self, n):
        self.add(-operator.index(n))
        return self

    def statistics(self):
        """Return the value and the attached processes at this moment: a CounterStatistics.
        """
        segment = self._segment()
        from sharedkit.statistics import CounterStatistics
        return CounterStatistics(segment.name, "Counter", self.value, self.striped, segment.attached())

    def __reduce__(self):
        if self.key is None:
            return Handle.__reduce__(self)
        return operator.getitem, (group_of(self._segment()), self.key)

    def __repr__(self):
        if self.word is NULL:
            return "<Counter closed>"
        name = self.name if self.key is None else f"{self.name}[{self.key}]"
        return f"<Counter value={self.value} name={name!r}{' striped' if self.striped else ''}>"


def group_of(Segment segment):
    """Return a counter's group, which is pickled with it."""
    return segments.open_as_kind(segment)


def state(Segment segment):
    """Describe the state in one line, for listings."""
    return f"value {Counter._of(segment).value}"


segments.register_kind(segments.Kind(KIND_COUNTER, "Counter", Counter._of, state))
segments.register_kind(segments.Kind(KIND_STRIPED, "Counter", Counter._of, state))
