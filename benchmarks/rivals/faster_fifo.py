"""faster-fifo: a circular byte buffer under a process-shared mutex, with batches; pickles every item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import QueueRival, Traffic


class FasterFifo(QueueRival):
    """`faster_fifo.Queue`, blocking, with the pickling that it always does."""

    name = "faster-fifo"
    module = "faster_fifo"
    package = "faster-fifo"
    batches = True

    def create(self, traffic: Traffic, scratch: Path) -> None:
        import faster_fifo

        self._queue: Any = faster_fifo.Queue(traffic.room())

    def sender(self) -> Sender:
        return Sender(put=self._queue.put, put_many=self._queue.put_many)

    def receiver(self) -> Receiver:
        queue = self._queue
        return Receiver(
            get=queue.get,
            get_many=lambda: queue.get_many(max_messages_to_get=1000),
        )

    def destroy(self) -> None:
        self._queue.close()
