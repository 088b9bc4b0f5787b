"""zeroq: a Rust ring of fixed-size slots, many to many; waits by sleeping a millisecond at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import QueueRival, Traffic


class Zeroq(QueueRival):
    """`zeroq.Queue` with slots of the items' size."""

    name = "zeroq"
    module = "zeroq"
    package = "zeroq"
    carries = frozenset({"bytes"})
    largest = 1 << 16
    exactly = True

    def create(self, traffic: Traffic, scratch: Path) -> None:
        import zeroq

        self._name = f"bench-zeroq-{id(self)}"
        self._queue: Any = zeroq.Queue(self._name, traffic.item_size, traffic.capacity)

    def _attach(self) -> Any:
        import zeroq

        return zeroq.Queue(self._name, create=False)

    def sender(self) -> Sender:
        return Sender(put=self._attach().put)

    def receiver(self) -> Receiver:
        return Receiver(get=self._attach().get)

    def destroy(self) -> None:
        self._queue.close()
