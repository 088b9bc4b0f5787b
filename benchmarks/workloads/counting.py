"""Processes count up one number as fast as they can; in the end it must be the sum of all increments."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import Worker
from benchmarks.rivals.rival import CounterRival
from benchmarks.workloads.base import CrewWorkload, Inexact


class Tally(Worker):
    """Adds its share of the lap's increments."""

    def __init__(self, rival: CounterRival, workers: int) -> None:
        self._rival, self._workers = rival, workers

    def open(self) -> None:
        self._rival.attach()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._share, self._clocked = operations // self._workers, clocked
        self._times = np.zeros(self._share if clocked else 0, np.int64)

    def run(self) -> None:
        if not self._clocked:
            self._rival.count(self._share)
            return
        count, times = self._rival.count, self._times
        for index in range(self._share):
            start = perf_counter_ns()
            count(1)
            times[index] = perf_counter_ns() - start

    def finish(self) -> dict[str, Any]:
        return {"times": self._times}


class Counting(CrewWorkload):
    """`workers` processes count; the rate is of all of them together."""

    most = 20_000_000
    checked = "the number is exactly the sum of all increments"

    def __init__(self, rival: CounterRival, workers: int) -> None:
        super().__init__(rival, workers=f"{workers} counting")
        self._counter, self._workers, self._expected = rival, workers, 0
        self.pinned = workers > 1  # contention needs processes that run at the same time

    def create(self, scratch: Path) -> None:
        self._expected = 0
        self._counter.create(scratch)

    def workers(self) -> list[Worker]:
        return [Tally(self._counter, self._workers) for _ in range(self._workers)]

    def check(self, operations: int, answers: list[Any]) -> None:
        self._expected += operations // self._workers * self._workers
        value = self._counter.value()
        if value != self._expected:
            raise Inexact(f"{self.name}: {self._expected} increments were made, it says {value}")

    def destroy(self) -> None:
        self._counter.destroy()
