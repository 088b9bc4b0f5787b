"""Counters in shared memory: `Counter`, plain or striped, and `Counters`, many under one name each."""

from __future__ import annotations

import json
import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from sharedkit import segments
from sharedkit.shm import _counter, _segment
from sharedkit.shm._segment import Segment
from sharedkit.statistics import CounterStatistics, CountersStatistics

__all__ = ["Counter", "Counters", "CounterView"]


def _flags(persist: bool) -> int:
    return _segment.PERSIST if persist else 0


class _Counting(segments.SharedHandle):
    """What plain and striped counters share."""

    __slots__ = ()
    value: int
    _striped = False

    def statistics(self) -> CounterStatistics:
        """The value and who is attached, at this moment."""
        segment = self._segment()
        return CounterStatistics(segment.name, "Counter", self.value, self._striped, segment.attached())

    def __repr__(self) -> str:
        if self.closed:  # type: ignore[attr-defined]
            return "<Counter (closed)>"
        return f"<Counter({self.value}) name={self.name!r}{' striped' if self._striped else ''}>"


class Counter(_Counting, _counter.WordBase):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192)

    A 64-bit signed integer that processes change in one atomic step each.

    `striped=True` gives each process a word of its own: adding never contends, reading sums up, `add` returns
    None and `compare_exchange` is refused. `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when what is there differs,
    OutOfSharedMemory.
    """

    __slots__ = ()

    def __new__(cls, value: int = 0, *, striped: bool = False, **options: Any) -> Any:
        return super().__new__(StripedCounter if striped and cls is Counter else cls)

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
        segment = _obtain(_counter.KIND_COUNTER, 1, value, name, exist_ok, persist, seats)
        self._open(segment, 0)
