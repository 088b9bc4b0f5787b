"""atomic-dict: a lock-free table of 64-bit integers in an anonymous mapping; fork only."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.rivals.rival import CounterRival


class AtomicDictCounter(CounterRival):
    """One value of an `AtomicDict`, whose `add` is a C method."""

    name = "atomic-dict"
    module = "atomic_dict"
    package = "atomic-dict"

    def create(self, scratch: Path) -> None:
        import atomic_dict

        self._dict: Any = atomic_dict.AtomicDict(16)
        self._value = self._dict[1]

    def count(self, times: int) -> None:
        value = self._value
        for _ in repeat(None, times):
            value.add(1)

    def value(self) -> int:
        return int(self._value.load())
