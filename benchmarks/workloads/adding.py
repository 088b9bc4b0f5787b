"""Several processes add to elements of one array; in the end each element must be the sum of its additions."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import Worker
from benchmarks.rivals.rival import ArrayRival
from benchmarks.workloads.base import CrewWorkload, Inexact

SIZE = 4096  # elements
BATCH = 1000  # indices in one add_at


class Adder(Worker):
    """Adds its share at random places, which are the same in every run because of a seed."""

    def __init__(self, rival: ArrayRival, number: int, workers: int, scatter: bool) -> None:
        self._rival, self._workers, self._scatter = rival, workers, scatter
        self._random = np.random.default_rng(number)

    def open(self) -> None:
        self._rival.attach()

    def prepare(self, operations: int, clocked: bool) -> None:
        share = operations // self._workers
        self._indices = self._random.integers(0, SIZE, share)
        self._values = self._random.integers(1, 9, share) if self._scatter else np.ones(share, np.int64)
        step = BATCH if self._scatter else 1
        self._starts = range(0, share, step)
        self._list = self._indices.tolist()
        self._clocked = clocked
        self._times = np.zeros(len(self._starts) if clocked else 0, np.int64)

    def run(self) -> None:
        if not self._scatter and not self._clocked:
            self._rival.fetch_add(self._list)
            return
        for turn, index in enumerate(self._starts):
            start = perf_counter_ns()
            if self._scatter:
                part = slice(index, index + BATCH)
                self._rival.add_at(self._indices[part], self._values[part])
            else:
                self._rival.fetch_add(self._list[index : index + 1])
            if self._clocked:
                self._times[turn] = perf_counter_ns() - start

    def finish(self) -> dict[str, Any]:
        self._rival.settle()
        added = np.zeros(SIZE, np.int64)
        np.add.at(added, self._indices, self._values)
        return {"times": self._times, "added": added}


class Adding(CrewWorkload):
    """`scatter` adds BATCH values a call, otherwise one a call; the rate counts values."""

    most = 2_000_000
    checked = "each element is the sum of what was added to it"

    def __init__(self, rival: ArrayRival, workers: int, scatter: bool) -> None:
        timed = f"add_at of {BATCH} values" if scatter else "fetch_add"
        super().__init__(rival, workers=f"{workers} adding", timed=timed)
        self._array, self._workers, self._scatter = rival, workers, scatter
        self.pinned = workers > 1  # contention needs processes that run at the same time

    def create(self, scratch: Path) -> None:
        self._expected = np.zeros(SIZE, np.int64)
        self._array.create(SIZE, scratch)

    def workers(self) -> list[Worker]:
        return [Adder(self._array, number, self._workers, self._scatter) for number in range(self._workers)]

    def check(self, operations: int, answers: list[Any]) -> None:
        self._expected += sum(answer["added"] for answer in answers)
        wrong = int((self._array.values() != self._expected).sum())
        if wrong:
            raise Inexact(f"{self.name}: {wrong} of {SIZE} elements are wrong")

    def destroy(self) -> None:
        self._array.destroy()
