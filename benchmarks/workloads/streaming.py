"""Producers put, consumers get, one item a call; each must arrive whole, once, in its producer's order."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import Worker
from benchmarks.rivals.rival import QueueRival, Traffic
from benchmarks.workloads.base import CrewWorkload, Inexact
from benchmarks.workloads.cargo import Cargo


class Producer(Worker):
    """Puts its share, and then a stop for each consumer."""

    def __init__(self, stream: Streaming, number: int) -> None:
        self._stream, self._number = stream, number
        self._made: list[Any] = []

    def open(self) -> None:
        self._sender = self._stream.rival.sender()

    def prepare(self, operations: int, clocked: bool) -> None:
        share = operations // self._stream.traffic.producers
        if len(self._made) < share:
            self._made = self._stream.cargo.make(self._number, share)
        self._items = self._made[:share]
        self._clocked, self._times = clocked, np.zeros(share if clocked else 0, np.int64)

    def run(self) -> None:
        if self._clocked:
            put, times = self._sender.put, self._times
            for index, item in enumerate(self._items):
                start = perf_counter_ns()
                put(item)
                times[index] = perf_counter_ns() - start
        else:
            self._sender.send(self._items)
        self._sender.send([self._stream.cargo.stop] * self._stream.traffic.consumers)

    def finish(self) -> dict[str, Any]:
        return {"times": self._times}

    def close(self) -> None:
        self._stream.rival.leave()


class Consumer(Worker):
    """Gets until it has seen as many stops as there are producers, then checks the items that it got.

    Together the consumers see all stops, in whatever order, so no item is left behind.
    """

    def __init__(self, stream: Streaming) -> None:
        self._stream = stream
        self._ballast: list[Any] = []
        self._items: list[Any] = []

    def open(self) -> None:
        self._receiver = self._stream.rival.receiver()

    def prepare(self, operations: int, clocked: bool) -> None:
        # One item in each of the allocator's arenas is kept, so that the next lap's items use pages that exist already:
        # page faults would not be the queue's fault.
        self._ballast = self._items[::1000] or self._ballast
        self._items = []

    def run(self) -> None:
        for _ in range(self._stream.traffic.producers):
            self._items += self._receiver.receive_until(self._stream.cargo.stop)

    def finish(self) -> dict[str, Any]:
        identities = self._stream.cargo.identities(self._items)
        return {"times": np.empty(0, np.int64), "got": identities}

    def close(self) -> None:
        self._stream.rival.leave()


class Streaming(CrewWorkload):
    """`traffic.producers` to `traffic.consumers`; the rate counts items."""

    checked = "every item whole, once, in its producer's order"

    def __init__(self, rival: QueueRival, traffic: Traffic, cargo: Cargo) -> None:
        ends = f"{traffic.producers} producing, {traffic.consumers} consuming"
        super().__init__(rival, workers=ends, timed="put")
        self.rival: QueueRival = rival
        self.traffic, self.cargo = traffic, cargo

    def create(self, scratch: Path) -> None:
        self.rival.create(self.traffic, scratch)

    def workers(self) -> list[Worker]:
        consumers: list[Worker] = [Consumer(self) for _ in range(self.traffic.consumers)]
        return consumers + [Producer(self, number) for number in range(self.traffic.producers)]

    def check(self, operations: int, answers: list[Any]) -> None:
        share = operations // self.traffic.producers
        gots = [answer["got"] for answer in answers if "got" in answer]
        check_identities(self.name, gots, self.traffic.producers, share)

    def destroy(self) -> None:
        self.rival.destroy()


def check_identities(name: str, gots: list[np.ndarray[Any, Any]], producers: int, share: int) -> None:
    """Raise Inexact unless the consumers together got each producer's 0 … share-1 once, each in order."""
    for producer in range(producers):
        parts = [got[got[:, 0] == producer, 1].astype(np.int64) for got in gots]
        if any((np.diff(part) <= 0).any() for part in parts):
            raise Inexact(f"{name}: a consumer got items of producer {producer} out of order or twice")
        together = np.sort(np.concatenate(parts))
        if not np.array_equal(together, np.arange(share)):
            raise Inexact(f"{name}: of {share} items of producer {producer} came {together.size}")
    strangers = sum(int((got[:, 0] >= producers).sum()) for got in gots)
    if strangers:
        raise Inexact(f"{name}: {strangers} items came from no producer")
