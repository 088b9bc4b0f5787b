"""NumPy arrays of a megabyte from one process to another, which keeps a copy for a moment.

Eight arrays are sent in turn, so that they stay in a cache if it can hold them. Each has its number as its first,
middle and last element, which are checked on arrival; the last array is compared completely.
"""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import Worker
from benchmarks.rivals.rival import QueueRival, Rival, Traffic
from benchmarks.workloads.base import CrewWorkload, Inexact

LENGTH = 1_000_000 // 8  # doubles in an array
DIFFERENT = 8  # arrays, sent in turn


def sample(number: int) -> np.ndarray[Any, Any]:
    """The array with that number."""
    array = np.arange(LENGTH, dtype=np.float64)
    array[[0, LENGTH // 2, -1]] = number
    return array


class ArraySender(Worker):
    """Sends the arrays in turn."""

    def __init__(self, rival: QueueRival) -> None:
        self._rival = rival

    def open(self) -> None:
        self._samples = [sample(number) for number in range(DIFFERENT)]
        self._sender = self._rival.sender()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._items = [self._samples[number % DIFFERENT] for number in range(operations)]
        self._clocked, self._times = clocked, np.zeros(operations if clocked else 0, np.int64)

    def run(self) -> None:
        if not self._clocked:
            self._sender.send(self._items)
            return
        for index, item in enumerate(self._items):
            start = perf_counter_ns()
            self._sender.put(item)
            self._times[index] = perf_counter_ns() - start

    def finish(self) -> dict[str, Any]:
        return {"times": self._times}

    def close(self) -> None:
        self._rival.leave()


class ArrayReceiver(Worker):
    """Receives an array, records the three marks, drops the array."""

    def __init__(self, rival: QueueRival) -> None:
        self._rival = rival

    def open(self) -> None:
        self._receiver = self._rival.receiver()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._count = operations
        self._marks: list[tuple[float, float, float]] = []

    def run(self) -> None:
        get, note, middle = self._receiver.get, self._marks.append, LENGTH // 2
        for _ in repeat(None, self._count):
            array = get()
            note((array.item(0), array.item(middle), array.item(-1)))
        self._last = array

    def finish(self) -> dict[str, Any]:
        whole = np.array_equal(self._last, sample((self._count - 1) % DIFFERENT))
        return {"times": np.empty(0, np.int64), "marks": np.array(self._marks), "whole": whole}

    def close(self) -> None:
        self._rival.leave()


class Arrays(CrewWorkload):
    """One process sends, one receives."""

    most = 20_000
    checked = "each array in its turn by three marks, the last one whole"

    def __init__(self, rival: QueueRival) -> None:
        super().__init__(rival, workers="1 producing, 1 consuming", timed="put", bytes=LENGTH * 8)
        self._queue = rival

    def create(self, scratch: Path) -> None:
        self._queue.create(Traffic("arrays", LENGTH * 8, capacity=8), scratch)

    def workers(self) -> list[Worker]:
        return [ArrayReceiver(self._queue), ArraySender(self._queue)]

    def check(self, operations: int, answers: list[Any]) -> None:
        expected = np.arange(operations) % DIFFERENT
        if not answers[0]["whole"] or not (answers[0]["marks"] == expected[:, None]).all():
            raise Inexact(f"{self.name}: arrays came torn, twice, not at all or out of turn")

    def destroy(self) -> None:
        self._queue.destroy()


class Memcpy(Rival):
    """No queue: the floor of anything that copies."""

    name = "memcpy"
    kind = "floor"


class ArrayCopier(Worker):
    """Copies the arrays in turn into an existing array."""

    def open(self) -> None:
        self._samples = [sample(number) for number in range(DIFFERENT)]
        self._copy = np.zeros(LENGTH)

    def prepare(self, operations: int, clocked: bool) -> None:
        self._items = [self._samples[number % DIFFERENT] for number in range(operations)]
        self._times = np.zeros(operations if clocked else 0, np.int64)

    def run(self) -> None:
        copy, copyto = self._copy, np.copyto
        if not len(self._times):
            for item in self._items:
                copyto(copy, item)
            return
        for index, item in enumerate(self._items):
            start = perf_counter_ns()
            copyto(copy, item)
            self._times[index] = perf_counter_ns() - start

    def finish(self) -> dict[str, Any]:
        return {"times": self._times, "whole": np.array_equal(self._copy, self._items[-1])}


class ArrayCopies(CrewWorkload):
    """One process copies: the cost of a megabyte that is not sent."""

    most = 20_000
    checked = "the last copy is whole"

    def __init__(self, rival: Rival) -> None:
        super().__init__(rival, workers="1 copying", timed="copy", bytes=LENGTH * 8)

    def create(self, scratch: Path) -> None:
        """Do nothing: nothing is shared."""

    def workers(self) -> list[Worker]:
        return [ArrayCopier()]

    def check(self, operations: int, answers: list[Any]) -> None:
        if not answers[0]["whole"]:
            raise Inexact("memcpy does not copy")

    def destroy(self) -> None:
        """Do nothing: nothing is shared."""
