"""Processes take one lock: alone, or against each other until a number under it has reached its goal."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import FORK, Worker
from benchmarks.rivals.rival import LockRival
from benchmarks.workloads.base import CrewWorkload, Inexact


def cells(count: int) -> memoryview:
    """Shared signed 64-bit integers without a lock of their own."""
    return memoryview(FORK.RawArray("q", count)).cast("B").cast("q")


class Taker(Worker):
    """Takes the lock and releases it, without contention."""

    def __init__(self, rival: LockRival) -> None:
        self._rival = rival

    def open(self) -> None:
        self._rival.attach()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._operations, self._clocked = operations, clocked
        self._times = np.zeros(operations if clocked else 0, np.int64)

    def run(self) -> None:
        if not self._clocked:
            self._rival.pairs(self._operations)
            return
        pairs, times = self._rival.pairs, self._times
        for index in range(self._operations):
            start = perf_counter_ns()
            pairs(1)
            times[index] = perf_counter_ns() - start

    def finish(self) -> dict[str, Any]:
        with self._rival.held():  # if it is not free, this hangs until the watchdog ends it
            return {"times": self._times}


class Contender(Worker):
    """Adds to the number under the lock as often as it can, until all together have reached the goal."""

    def __init__(self, rival: LockRival, cell: memoryview) -> None:
        self._rival, self._cell = rival, cell

    def open(self) -> None:
        self._rival.attach()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._goal, self._clocked = self._cell[0] + operations, clocked
        self._times: list[int] = []
        self._mine = 0

    def run(self) -> None:
        if not self._clocked:
            self._mine = self._rival.contend(self._cell, self._goal)
            return
        held, cell, goal, times = self._rival.held, self._cell, self._goal, self._times
        while True:
            start = perf_counter_ns()
            with held():
                if cell[0] >= goal:
                    break
                cell[0] += 1
            times.append(perf_counter_ns() - start)
        self._mine = len(times)

    def finish(self) -> dict[str, Any]:
        return {"times": np.array(self._times, np.int64), "mine": self._mine}


class Taking(CrewWorkload):
    """One process, acquire and release."""

    most = 2_000_000
    checked = "the lock is free after each lap"

    def __init__(self, rival: LockRival) -> None:
        super().__init__(rival, workers="1 taking")
        self._lock = rival

    def create(self, scratch: Path) -> None:
        self._lock.create(scratch)

    def workers(self) -> list[Worker]:
        return [Taker(self._lock)]

    def check(self, operations: int, answers: list[Any]) -> None:
        """Do nothing: the workers themselves have acquired the lock once more."""

    def destroy(self) -> None:
        self._lock.destroy()


class Contending(CrewWorkload):
    """Several processes; `smallest_share` in the facts is the smallest share of one process in all laps together."""

    most = 2_000_000
    checked = "the number is exactly the sum of what each has added"

    def __init__(self, rival: LockRival, workers: int) -> None:
        super().__init__(rival, workers=f"{workers} contending")
        self._lock, self._workers = rival, workers
        # Contention needs processes that run at the same time; if some share a core, the scheduler should place them.
        self.pinned = 1 < workers <= len(os.sched_getaffinity(0))

    def create(self, scratch: Path) -> None:
        self._cell = cells(8)
        self._expected = 0
        self._mine = [0] * self._workers
        self._lock.create(scratch)

    def workers(self) -> list[Worker]:
        return [Contender(self._lock, self._cell) for _ in range(self._workers)]

    def check(self, operations: int, answers: list[Any]) -> None:
        self._expected += operations
        mine = [answer["mine"] for answer in answers]
        if sum(mine) != operations or self._cell[0] != self._expected:
            raise Inexact(f"{self.name}: {sum(mine)} were added, {operations} wanted, the number is {self._cell[0]}")
        self._mine = [before + now for before, now in zip(self._mine, mine, strict=True)]
        self.facts["smallest_share"] = round(min(self._mine) / self._expected, 3)

    def destroy(self) -> None:
        self._lock.destroy()
