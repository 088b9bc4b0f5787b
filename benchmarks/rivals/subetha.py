"""subetha-ipc: shared structures in Rust; rings of 64-byte slots that spin and never block."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import CounterRival, LockRival, QueueRival, Traffic


class SubethaCounter(CounterRival):
    """An `Atomic`'s `fetch_add`."""

    name = "subetha-ipc"
    module = "subetha"
    package = "subetha-ipc"

    def create(self, scratch: Path) -> None:
        import subetha

        self._path = str(scratch / "subetha-atomic")
        self._atomic: Any = subetha.Atomic(self._path, 0)

    def attach(self) -> None:
        import subetha

        self._atomic = subetha.Atomic.open(self._path)

    def count(self, times: int) -> None:
        atomic = self._atomic
        for _ in repeat(None, times):
            atomic.fetch_add(1)

    def value(self) -> int:
        return int(self._atomic.load())


class SubethaSpsc(QueueRival):
    """`SpscRing`: one writer, one reader, items of exactly 64 bytes, singly or in batches."""

    name = "subetha-ipc SpscRing"
    module = "subetha"
    package = "subetha-ipc"
    carries = frozenset({"bytes"})
    largest = 64
    exactly = True
    many_to_many = False
    batches = True

    def create(self, traffic: Traffic, scratch: Path) -> None:
        import subetha

        self._path = str(scratch / f"subetha-spsc-{id(self)}")
        self._ring: Any = subetha.SpscRing(self._path, traffic.capacity)

    def sender(self) -> Sender:
        import subetha

        ring = subetha.SpscRing.open(self._path, self._ring.capacity)
        return Sender(try_put=ring.push, try_put_many=ring.push_many)

    def receiver(self) -> Receiver:
        import subetha

        ring = subetha.SpscRing.open(self._path, self._ring.capacity)
        return Receiver(try_get=ring.pop, get_many=lambda: ring.pop_many(1000))


class SubethaFrames(QueueRival):
    """`Ring` with frames: an item of any size in several slots."""

    name = "subetha-ipc Ring frames"
    module = "subetha"
    package = "subetha-ipc"
    carries = frozenset({"bytes"})
    largest = 4096
    many_to_many = False

    def create(self, traffic: Traffic, scratch: Path) -> None:
        import subetha

        self._path = str(scratch / f"subetha-ring-{id(self)}")
        self._capacity = traffic.capacity * 4
        self._ring: Any = subetha.Ring(self._path, self._capacity)

    def sender(self) -> Sender:
        import subetha

        ring = subetha.Ring.open(self._path, self._capacity)
        producer, send = ring.register_producer(), ring.send_frame
        return Sender(try_put=lambda item: send(producer, item))

    def receiver(self) -> Receiver:
        import subetha

        ring = subetha.Ring.open(self._path, self._capacity)
        consumer, receive = ring.register_consumer(), ring.recv_frame
        return Receiver(try_get=lambda: receive(consumer))


class SubethaLock(LockRival):
    """The writing side of an `RWLock`, its lock between processes: an object to hold, without acquire and release."""

    name = "subetha-ipc RWLock"
    module = "subetha"
    package = "subetha-ipc"

    def create(self, scratch: Path) -> None:
        import subetha

        self._path = str(scratch / "subetha-rwlock")
        self.lock: Any = subetha.RWLock(self._path)

    def attach(self) -> None:
        import subetha

        self.lock = subetha.RWLock.open(self._path)

    def held(self) -> Any:
        return self.lock.write()

    def pairs(self, times: int) -> None:
        write = self.lock.write
        for _ in repeat(None, times):
            with write():
                pass

    def contend(self, cell: memoryview, goal: int) -> int:
        write, mine = self.lock.write, 0
        while True:
            with write():
                if cell[0] >= goal:
                    return mine
                cell[0] += 1
            mine += 1
