"""cloudtoid-interprocess: a Rust ring of bytes, many to many, blocking consumers: the best general rival."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import QueueRival, Traffic


class Cloudtoid(QueueRival):
    """A `Publisher`, which only tries, and a `Subscriber`, which blocks."""

    name = "cloudtoid-interprocess"
    module = "cloudtoid_interprocess"
    package = "cloudtoid-interprocess"
    carries = frozenset({"bytes"})
    batches = True

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._name, self._room, self._folder = f"bench-{id(self)}", traffic.room(), scratch
        self._keeper = self._subscriber()  # a queue that no process holds is removed, with its items

    def _subscriber(self) -> Any:
        import cloudtoid_interprocess

        return cloudtoid_interprocess.Subscriber(self._name, self._room, self._folder)

    def sender(self) -> Sender:
        import cloudtoid_interprocess

        publisher = cloudtoid_interprocess.Publisher(self._name, self._room, self._folder)
        return Sender(try_put=publisher.try_send, try_put_many=publisher.try_send_batch)

    def receiver(self) -> Receiver:
        subscriber = self._subscriber()
        receive, try_receive = subscriber.receive, subscriber.try_receive

        def get_many() -> list[Any]:
            items = [receive()]
            while len(items) < 1000 and (item := try_receive()) is not None:
                items.append(item)
            return items

        return Receiver(get=receive, get_many=get_many)

    def destroy(self) -> None:
        self._keeper.close()


class CloudtoidArrays(Cloudtoid):
    """The same with arrays: it takes their buffer and returns bytes, which NumPy copies for the receiver."""

    carries = frozenset({"arrays"})
    batches = False

    def receiver(self) -> Receiver:
        import numpy as np

        receive = self._subscriber().receive
        return Receiver(get=lambda: np.frombuffer(receive(), np.float64))
