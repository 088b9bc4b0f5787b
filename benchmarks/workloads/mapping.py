"""One process gets or sets the values of a mapping with str keys and small integers, one call a key."""

from __future__ import annotations

from operator import ne
from pathlib import Path
from random import Random
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import Worker
from benchmarks.rivals.rival import DictRival
from benchmarks.workloads.base import CrewWorkload, Inexact

KEYS = [f"key-{number:05}" for number in range(1000)]


class Reader(Worker):
    """Gets every key, again and again, in an order that differs from worker to worker."""

    def __init__(self, rival: DictRival) -> None:
        self._rival = rival
        self._keys = Random(1).sample(KEYS, len(KEYS))
        self._model = {key: number for number, key in enumerate(KEYS)}

    def open(self) -> None:
        self._rival.attach()

    def prepare(self, operations: int, clocked: bool) -> None:
        rounds, rest = divmod(operations, len(KEYS))
        self._parts = [self._keys] * rounds + [self._keys[:rest]]
        if clocked:
            self._parts = [[key] for part in self._parts for key in part]
        self._times = np.zeros(operations if clocked else 0, np.int64)
        self._found: list[list[int]] = []

    def run(self) -> None:
        for index, part in enumerate(self._parts):
            start = perf_counter_ns()
            self.work(part)
            if len(self._times):
                self._times[index] = perf_counter_ns() - start

    def work(self, part: list[str]) -> None:
        """Get the values of these keys."""
        self._found.append(self._rival.get(part))

    def finish(self) -> dict[str, Any]:
        expected = [[self._model[key] for key in part] for part in self._parts]
        return {"times": self._times, "wrong": sum(map(ne, expected, self._found))}


class Writer(Reader):
    """Sets every key to the number of its part; checks after the clock has stopped."""

    _value = 0

    def work(self, part: list[str]) -> None:
        """Set the values of these keys."""
        self._value += 1
        self._rival.update(part, self._value)

    def finish(self) -> dict[str, Any]:
        for value, part in enumerate(self._parts, self._value - len(self._parts) + 1):
            self._model.update(dict.fromkeys(part, value))
        found = self._rival.get(KEYS)
        return {"times": self._times, "wrong": sum(map(ne, found, self._model.values()))}


class Mapping(CrewWorkload):
    """The workers set values if `writing`, otherwise get them."""

    most = 1_000_000
    checked = "each value is what was set last"

    def __init__(self, rival: DictRival, writing: bool) -> None:
        super().__init__(rival, workers="1 setting" if writing else "1 getting")
        self._dict, self._writing = rival, writing

    def create(self, scratch: Path) -> None:
        self._dict.create({key: number for number, key in enumerate(KEYS)}, scratch)

    def workers(self) -> list[Worker]:
        return [Writer(self._dict) if self._writing else Reader(self._dict)]

    def check(self, operations: int, answers: list[Any]) -> None:
        wrong = sum(answer["wrong"] for answer in answers)
        if wrong:
            raise Inexact(f"{self.name}: {wrong} values are not what was set last")

    def destroy(self) -> None:
        self._dict.destroy()
