"""Counters in shared memory: `Counter`, plain or striped, and `Counters`, many under one name each."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sharedkit import _segment, segments
from sharedkit._segment import Segment
from sharedkit.shm import _counter
from sharedkit.statistics import CountersStatistics, CounterStatistics

__all__ = ["Counter", "CounterView", "Counters"]


class Counter(segments.SharedHandle, _counter.CounterBase):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192)

    A signed 64-bit integer that threads and processes change in one atomic step each.

    `striped=True` gives each process a word of its own: adding never contends, reading sums up, `add` returns
    None and `compare_exchange` raises TypeError. `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when what is there differs,
    OverflowError for a value past 64 bits, OutOfSharedMemory.
    """

    __slots__ = ()

    def __init__(
        self,
        value: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        striped: bool = False,
        seats: int = segments.DEFAULT_SEATS,
    ) -> None:
        kind = _counter.KIND_STRIPED if striped else _counter.KIND_COUNTER
        flags = segments.flags_of(persist)
        segments.checked_seats(seats)
        words = seats if striped else 1
        segment = segments.create(
            lambda path, name: _counter.make(path, name, seats, flags, kind, words, value, b""),
            kind,
            lambda there: there.seats == seats,
            name=name,
            exist_ok=exist_ok,
        )
        self._open(segment, 0, striped)

    @classmethod
    def _of(cls, segment: Segment) -> Counter:
        self = cls.__new__(cls)
        self._open(segment, 0, segment.kind == _counter.KIND_STRIPED)
        return self

    def statistics(self) -> CounterStatistics:
        """The value and who is attached, at this moment."""
        segment = self._segment()
        return CounterStatistics(segment.name, "Counter", self.value, self.striped, segment.attached())

    def __repr__(self) -> str:
        if self.closed:
            return "<Counter closed>"
        return f"<Counter value={self.value} name={self.name!r}{' striped' if self.striped else ''}>"


class CounterView(_counter.CounterBase):
    """One counter of a `Counters` group, with the methods of `Counter`. It keeps the group's segment attached."""

    __slots__ = ("_key",)
    _key: str

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Counters, str]]:
        return operator.getitem, (Counters._of(self._segment()), self._key)

    def __repr__(self) -> str:
        if self.closed:
            return "<CounterView closed>"
        return f"<CounterView {self._key!r} value={self.value}>"


class Counters(segments.SharedHandle, _segment.Handle):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192)

    Many named counters in one segment, all starting at 0; `c["ok"] += 1` and `c.add("ok")` are atomic.

    Raises ValueError for no names, a name twice, or a different group under `name`; TypeError for names that
    are not str; KeyError from lookups of a name that is not in the group.
    """

    __slots__ = ("_views",)
    _views: dict[str, CounterView]

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = segments.DEFAULT_SEATS,
    ) -> None:
        group = [names] if isinstance(names, str) else list(names)
        for each in group:
            if not isinstance(each, str):
                raise TypeError(f"names must be str, not {type(each).__name__}")
        if not group or len(set(group)) != len(group):
            raise ValueError(f"names must be different and at least one: {group}")
        meta = json.dumps(group).encode()
        flags = segments.flags_of(persist)
        segments.checked_seats(seats)
        segment = segments.create(
            lambda path, name: _counter.make(path, name, seats, flags, _counter.KIND_GROUP, len(group), 0, meta),
            _counter.KIND_GROUP,
            lambda there: there.meta == meta and there.seats == seats,
            name=name,
            exist_ok=exist_ok,
        )
        self._adopt(segment)

    @classmethod
    def _of(cls, segment: Segment) -> Counters:
        self = cls.__new__(cls)
        self._adopt(segment)
        return self

    def _adopt(self, segment: Segment) -> None:
        self._bind(segment)
        self._views = {}
        for i, each in enumerate(json.loads(segment.meta)):
            view = CounterView.__new__(CounterView)
            view._open(segment, i, False)
            view._key = each
            self._views[each] = view

    def close(self) -> None:
        """Let go of the segment; the group and its views raise ClosedError afterwards."""
        for view in getattr(self, "_views", {}).values():
            view.close()
        super().close()

    def __getitem__(self, name: str) -> CounterView:
        self._segment()
        return self._views[name]

    def __setitem__(self, name: str, value: int | CounterView) -> None:
        view = self[name]
        if value is not view:  # `c["ok"] += 1` has already added when it assigns the view back
            view.exchange(int(value))

    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name` in one step and return its new value. KeyError, OverflowError."""
        return self._views[name].add(n)  # type: ignore[return-value]

    def keys(self) -> list[str]:
        """The names, in the order in which they were given."""
        self._segment()
        return list(self._views)

    def values(self) -> list[int]:
        """The values in the order of the names, each read for itself."""
        self._segment()
        return [view.value for view in self._views.values()]

    def items(self) -> list[tuple[str, int]]:
        """Pairs of name and value, each value read for itself."""
        return list(zip(self.keys(), self.values(), strict=True))

    def as_dict(self) -> dict[str, int]:
        """Name to value, each value read for itself."""
        return dict(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def statistics(self) -> CountersStatistics:
        """The values and who is attached, at this moment."""
        segment = self._segment()
        return CountersStatistics(segment.name, "Counters", self.as_dict(), segment.attached())

    def __repr__(self) -> str:
        if self.closed:
            return "<Counters closed>"
        return f"<Counters {self.as_dict()} name={self.name!r}>"


def _counter_state(segment: Segment) -> str:
    view = CounterView.__new__(CounterView)
    view._open(segment, 0, segment.kind == _counter.KIND_STRIPED)
    return f"value {view.value}"


def _group_state(segment: Segment) -> str:
    return f"{len(json.loads(segment.meta))} counters"


segments.register_kind(segments.Kind(_counter.KIND_COUNTER, "Counter", Counter._of, _counter_state))
segments.register_kind(segments.Kind(_counter.KIND_STRIPED, "Counter", Counter._of, _counter_state))
segments.register_kind(segments.Kind(_counter.KIND_GROUP, "Counters", Counters._of, _group_state))
