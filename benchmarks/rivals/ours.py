"""sharedkit itself, in the placement shm (the names at the top of the package)."""

from __future__ import annotations

import sys
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import ArrayRival, CounterRival, QueueRival, Rival, Traffic


class Ours(Rival):
    kind = "ours"
    module = "sharedkit"
    needs: str  # the class that sharedkit must have

    def kit(self) -> Any:
        """The module or context that has the class."""
        return sys.modules["sharedkit"]

    def missing(self) -> str | None:
        reason = super().missing()
        if reason is None and not hasattr(sys.modules["sharedkit"], self.needs):
            return f"this build of sharedkit has no {self.needs}"
        return reason


class OurCounter(Ours, CounterRival):
    """`Counter.add`."""

    name = "sharedkit"
    needs = "Counter"
    striped = False

    def create(self, scratch: Path) -> None:
        self._counter: Any = self.kit().Counter(striped=self.striped)

    def count(self, times: int) -> None:
        counter = self._counter
        for _ in repeat(None, times):
            counter.add(1)

    def value(self) -> int:
        return int(self._counter)

    def destroy(self) -> None:
        self._counter.close()


class OurStripedCounter(OurCounter):
    """`Counter(striped=True)`: a cache line for each process."""

    name = "sharedkit, striped"
    striped = True


class OurQueue(Ours, QueueRival):
    """`Queue(maxsize)`, the same class for every kind of item."""

    name = "sharedkit"
    needs = "Queue"
    batches = True

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._queue: Any = self.kit().Queue(traffic.capacity)

    def sender(self) -> Sender:
        return Sender(put=self._queue.put, put_many=self._queue.put_many)

    def receiver(self) -> Receiver:
        queue = self._queue
        return Receiver(get=queue.get, get_many=lambda: queue.get_many(1000))

    def destroy(self) -> None:
        self._queue.close()


class OurLeases(OurQueue):
    """The same queue; the consumer leases each item instead of getting it."""

    name = "sharedkit, leases"
    batches = False

    def receiver(self) -> Receiver:
        lease = self._queue.lease

        def get() -> Any:
            with lease() as item:
                return item

        return Receiver(get=get)


class OurArray(Ours, ArrayRival):
    """`Array` of "i8" with its atomic element operations."""

    name = "sharedkit"
    needs = "Array"

    def create(self, size: int, scratch: Path) -> None:
        self._array: Any = self.kit().Array(size, "i8")

    def fetch_add(self, indices: list[int]) -> None:
        array = self._array
        for index in indices:
            array.fetch_add(index, 1)

    def add_at(self, indices: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
        self._array.add_at(indices, values)

    def values(self) -> np.ndarray[Any, Any]:
        return np.array(self._array.ndarray)

    def destroy(self) -> None:
        self._array.close()
