"""tachyon-ipc: a C++ single-producer ring in anonymous memory, handed over through a socket."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import QueueRival, Traffic


class Tachyon(QueueRival):
    """The low-level bus; the consumer listens first, the producer tries to connect until it succeeds."""

    name = "tachyon-ipc"
    module = "tachyon"
    package = "tachyon-ipc"
    carries = frozenset({"bytes", "arrays"})
    many_to_many = False

    def create(self, traffic: Traffic, scratch: Path) -> None:
        # Its consumer frees room some dozens of messages at a time, so a smaller ring would stay full for ever.
        self._room = max(traffic.room(), 1 << (64 * traffic.item_size).bit_length())
        self._items = traffic.items
        self._address = str(scratch / f"tachyon-{id(self)}")

    def sender(self) -> Sender:
        import tachyon

        bus: Any = tachyon.TachyonBus()
        deadline = time.monotonic() + 10
        while True:
            try:
                bus.connect(self._address)
                break
            except ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        acquire, flush, full = bus.acquire_tx, bus.flush, tachyon.TachyonError

        def try_put(item: Any) -> bool:
            size = item.nbytes if isinstance(item, np.ndarray) else len(item)
            try:
                with acquire(size) as slot:
                    with memoryview(slot) as view:
                        view[:size] = memoryview(item).cast("B")
                    slot.actual_size = size
            except full:
                return False
            flush()
            return True

        return Sender(try_put=try_put)

    def receiver(self) -> Receiver:
        import tachyon

        bus: Any = tachyon.TachyonBus()
        bus.listen(self._address, self._room)
        acquire = bus.acquire_rx

        def get_bytes() -> bytes:
            with acquire() as slot, memoryview(slot) as view:
                return bytes(view)

        def get_array() -> np.ndarray[Any, Any]:
            with acquire() as slot, memoryview(slot) as view:
                return np.frombuffer(view, np.float64).copy()

        return Receiver(get=get_array if self._items == "arrays" else get_bytes)
