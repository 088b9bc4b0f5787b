"""One producer puts lists of small items, one consumer gets lists; the rate counts items, not lists."""

from __future__ import annotations

from time import perf_counter_ns

import numpy as np

from benchmarks.crew import Worker
from benchmarks.rivals.rival import QueueRival, Traffic
from benchmarks.workloads.cargo import Bytes
from benchmarks.workloads.streaming import Consumer, Producer, Streaming


class BatchProducer(Producer):
    """Puts its items, one batch a call."""

    def __init__(self, stream: Batching) -> None:
        super().__init__(stream, 0)
        self._batch = stream.batch

    def prepare(self, operations: int, clocked: bool) -> None:
        super().prepare(operations, clocked)
        self._batches = [self._items[start : start + self._batch] for start in range(0, len(self._items), self._batch)]
        self._times = np.zeros(len(self._batches) if clocked else 0, np.int64)

    def run(self) -> None:
        if not self._clocked:
            self._sender.send_batches(self._batches)
            return
        put_many = self._sender.put_many
        for index, batch in enumerate(self._batches):
            start = perf_counter_ns()
            put_many(batch)
            self._times[index] = perf_counter_ns() - start


class BatchConsumer(Consumer):
    """Gets lists until it has all items that were sent."""

    def prepare(self, operations: int, clocked: bool) -> None:
        super().prepare(operations, clocked)
        self._count = operations

    def run(self) -> None:
        self._items = self._receiver.receive_batches(self._count)


class Batching(Streaming):
    """Batches of `batch` items of `size` bytes."""

    most = 1_000_000

    def __init__(self, rival: QueueRival, size: int, batch: int) -> None:
        super().__init__(rival, Traffic("bytes", size), Bytes(size))
        self.batch = batch
        self.facts |= {"timed": f"put_many of {batch} items"}

    def workers(self) -> list[Worker]:
        return [BatchConsumer(self), BatchProducer(self)]
