"""Counters in the server: integers."""

from __future__ import annotations

from typing import Any

from sharedkit._core.counts import HIGHEST, LOWEST
from sharedkit.manager.states.base import Call, State
from sharedkit.statistics import CountersStatistics, CounterStatistics

__all__ = ["CounterState", "CountersState"]


class _Words(State):
    """Integers by key. A striped counter is also one integer, because one server adds for all."""

    words: dict[str, int]

    def do_add(self, call: Call, key: str, n: int) -> int:
        value = self.words[key] + n
        if not (LOWEST <= value <= HIGHEST and LOWEST <= n <= HIGHEST):
            raise OverflowError(f"{self.words[key]} + {n} does not fit in a signed 64-bit integer")
        self.words[key] = value
        return value

    def do_load(self, call: Call, key: str) -> int:
        return self.words[key]

    def do_exchange(self, call: Call, key: str, value: int) -> int:
        old = self.words[key]
        self.words[key] = value
        return old

    def do_compare_exchange(self, call: Call, key: str, expected: int, desired: int) -> bool:
        if self.words[key] != expected:
            return False
        self.words[key] = desired
        return True


class CounterState(_Words):
    kind = "Counter"

    def __init__(self, name: str, spec: dict[str, Any], value: int) -> None:
        super().__init__(name, spec)
        self.words = {"": value}

    def do_statistics(self, call: Call) -> CounterStatistics:
        return CounterStatistics(self.name, self.kind, self.words[""], self.spec["striped"], self.attached())


class CountersState(_Words):
    kind = "Counters"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.words = dict.fromkeys(spec["names"], 0)

    def do_items(self, call: Call) -> dict[str, int]:
        return dict(self.words)

    def do_statistics(self, call: Call) -> CountersStatistics:
        return CountersStatistics(self.name, self.kind, dict(self.words), self.attached())
