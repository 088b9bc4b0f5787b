"""One process sends and waits for the echo of another, through two queues; the result of a lap is the median.

Each process has its own core: on one core, a round trip would be two context switches, and which case it is, chance.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crew import Finish, Worker
from benchmarks.ports import Receiver, Sender, echo, ping
from benchmarks.race import Lap
from benchmarks.rivals.rival import QueueRival, Traffic
from benchmarks.workloads.base import CrewWorkload, Inexact, duration
from benchmarks.workloads.cargo import Bytes


class Pinger(Worker):
    """Sends, waits and records the time."""

    def __init__(self, trip: RoundTrips) -> None:
        self._trip = trip

    def open(self) -> None:
        self._receiver: Receiver = self._trip.back.receiver()
        self._sender: Sender = self._trip.there.sender()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._items = self._trip.cargo.make(0, operations)
        self._times: list[int] = []

    def run(self) -> None:
        self._echoes = ping(self._sender, self._receiver, self._items, self._times)

    def finish(self) -> dict[str, Any]:
        return {"times": np.array(self._times, np.int64), "exact": self._echoes == self._items}

    def close(self) -> None:
        self._trip.there.leave()
        self._trip.back.leave()


class Echoer(Worker):
    """Sends every item back."""

    def __init__(self, trip: RoundTrips) -> None:
        self._trip = trip

    def open(self) -> None:
        self._sender: Sender = self._trip.back.sender()
        self._receiver: Receiver = self._trip.there.receiver()

    def prepare(self, operations: int, clocked: bool) -> None:
        self._count = operations

    def run(self) -> None:
        echo(self._sender, self._receiver, self._count)

    def close(self) -> None:
        self._trip.there.leave()
        self._trip.back.leave()


class RoundTrips(CrewWorkload):
    """There through one queue and back through another, one item at a time."""

    most = 50_000
    pinned = True
    checked = "each echo is what was sent"

    def __init__(self, rival: QueueRival, size: int) -> None:
        super().__init__(rival, workers="1 asking, 1 echoing", timed="round trip")
        self.there, self.back = rival, copy.copy(rival)
        self.cargo, self._traffic = Bytes(size), Traffic("bytes", size, capacity=64)

    def create(self, scratch: Path) -> None:
        self.there.create(self._traffic, scratch)
        self.back.create(self._traffic, scratch)

    def workers(self) -> list[Worker]:
        return [Pinger(self), Echoer(self)]

    def check(self, operations: int, answers: list[Any]) -> None:
        if not answers[0]["exact"]:
            raise Inexact(f"{self.name}: an echo is not what was sent")

    def timed(self, operations: int, finishes: list[Finish], clocked: bool) -> Lap:
        times = finishes[0].answer["times"]
        cpu = sum(finish.cpu for finish in finishes) / operations
        return Lap(duration(finishes), float(np.median(times)) * 1e-9, times, cpu)

    def destroy(self) -> None:
        self.there.destroy()
        self.back.destroy()
