"""The standard library's implementations, which the promised ratios refer to."""

from __future__ import annotations

import multiprocessing
from itertools import repeat
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ports import Receiver, Sender
from benchmarks.rivals.rival import ArrayRival, CounterRival, QueueRival, Traffic

FORK = multiprocessing.get_context("fork")


class EmptyCall(CounterRival):
    """No counter at all: a C method of one argument that does nothing and returns a ready-made 0."""

    name = "empty C method call"
    kind = "floor"
    contended = False  # nothing is shared

    def create(self, scratch: Path) -> None:
        self._counted = FORK.Value("q", 0)

    def count(self, times: int) -> None:
        empty = ()
        for _ in repeat(None, times):
            empty.count(1)
        self._counted.value += times

    def value(self) -> int:
        return int(self._counted.value)


class IntCall(EmptyCall):
    """No counter either: a C call of one argument that only returns a new int."""

    name = "C call that makes an int"

    def count(self, times: int) -> None:
        for _ in repeat(None, times):
            id(1)
        self._counted.value += times


class ValueCounter(CounterRival):
    """`multiprocessing.Value` under its own lock, which `+=` needs to be correct."""

    name = "multiprocessing.Value"
    kind = "stdlib"

    def create(self, scratch: Path) -> None:
        self._value = FORK.Value("q", 0)

    def count(self, times: int) -> None:
        value, lock = self._value, self._value.get_lock()
        for _ in repeat(None, times):
            with lock:
                value.value += 1

    def value(self) -> int:
        return int(self._value.value)


class ManagerCounter(CounterRival):
    """A `Manager().Value` under a `Manager().Lock`."""

    name = "Manager().Value"
    kind = "stdlib"

    def create(self, scratch: Path) -> None:
        self._manager = SyncManager(ctx=FORK)
        self._manager.start()
        self._value = self._manager.Value("q", 0)
        self._lock = self._manager.Lock()

    def count(self, times: int) -> None:
        value, lock = self._value, self._lock
        for _ in repeat(None, times):
            with lock:
                value.value += 1

    def value(self) -> int:
        return self._value.value

    def destroy(self) -> None:
        self._manager.shutdown()


class Queue(QueueRival):
    """`multiprocessing.Queue` without a limit, its faster form; a feeder thread pickles and writes."""

    name = "multiprocessing.Queue"
    kind = "stdlib"

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._queue: Any = FORK.Queue()

    def sender(self) -> Sender:
        return Sender(put=self._queue.put)

    def receiver(self) -> Receiver:
        return Receiver(get=self._queue.get)


class QueueOfLists(Queue):
    """`multiprocessing.Queue` as its users speed it up: whole lists as items."""

    name = "multiprocessing.Queue, lists"
    batches = True

    def sender(self) -> Sender:
        return Sender(put=self._queue.put, put_many=self._queue.put)

    def receiver(self) -> Receiver:
        return Receiver(get=self._queue.get, get_many=self._queue.get)


class SimpleQueue(QueueRival):
    """`multiprocessing.SimpleQueue`: a locked pipe."""

    name = "multiprocessing.SimpleQueue"
    kind = "stdlib"

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._queue: Any = FORK.SimpleQueue()

    def sender(self) -> Sender:
        return Sender(put=self._queue.put)

    def receiver(self) -> Receiver:
        return Receiver(get=self._queue.get)

    def destroy(self) -> None:
        self._queue.close()


class Pipe(QueueRival):
    """A bare `Pipe`: one writer, one reader, no lock."""

    name = "multiprocessing.Pipe"
    kind = "stdlib"
    many_to_many = False

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._reader, self._writer = FORK.Pipe(duplex=False)
        self._bytes = traffic.items == "bytes"

    def sender(self) -> Sender:
        return Sender(put=self._writer.send_bytes if self._bytes else self._writer.send)

    def receiver(self) -> Receiver:
        return Receiver(get=self._reader.recv_bytes if self._bytes else self._reader.recv)

    def destroy(self) -> None:
        self._reader.close()
        self._writer.close()


class ManagerQueue(QueueRival):
    """A `queue.Queue` in a server process."""

    name = "Manager().Queue"
    kind = "stdlib"

    def create(self, traffic: Traffic, scratch: Path) -> None:
        self._manager = SyncManager(ctx=FORK)
        self._manager.start()
        self._queue = self._manager.Queue()

    def sender(self) -> Sender:
        return Sender(put=self._queue.put)

    def receiver(self) -> Receiver:
        return Receiver(get=self._queue.get)

    def destroy(self) -> None:
        self._manager.shutdown()


class LockedArray(ArrayRival):
    """A NumPy view of shared memory under a `multiprocessing.Lock`, as people write it by hand."""

    name = "numpy + multiprocessing.Lock"
    kind = "stdlib"

    def create(self, size: int, scratch: Path) -> None:
        self._array: np.ndarray[Any, Any] = np.frombuffer(memoryview(FORK.RawArray("q", size)), np.int64)
        self._lock: Any = FORK.Lock()

    def fetch_add(self, indices: list[int]) -> None:
        array, lock = self._array, self._lock
        for index in indices:
            with lock:
                array[index] += 1

    def add_at(self, indices: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
        with self._lock:
            np.add.at(self._array, indices, values)

    def values(self) -> np.ndarray[Any, Any]:
        return self._array.copy()


class SynchronizedArray(LockedArray):
    """`multiprocessing.Array` under its own lock."""

    name = "multiprocessing.Array"

    def create(self, size: int, scratch: Path) -> None:
        self._shared: Any = FORK.Array("q", size)
        self._array = np.frombuffer(memoryview(self._shared.get_obj()), np.int64)
        self._lock = self._shared.get_lock()

    def fetch_add(self, indices: list[int]) -> None:
        array, lock = self._shared.get_obj(), self._lock
        for index in indices:
            with lock:
                array[index] += 1


class PrivateArray(ArrayRival):
    """No sharing at all: each worker's own NumPy array, the floor of a scatter-add."""

    name = "numpy, not shared"
    kind = "floor"

    def create(self, size: int, scratch: Path) -> None:
        self._view: np.ndarray[Any, Any] = np.frombuffer(memoryview(FORK.RawArray("q", size)), np.int64)
        self._lock = FORK.Lock()
        self._array: np.ndarray[Any, Any] = np.zeros(size, np.int64)

    def fetch_add(self, indices: list[int]) -> None:
        array = self._array
        for index in indices:
            array[index] += 1

    def add_at(self, indices: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
        np.add.at(self._array, indices, values)

    def settle(self) -> None:
        """Add this worker's sums to the shared total, after the clock has stopped."""
        with self._lock:
            self._view[:] += self._array
        self._array[:] = 0

    def values(self) -> np.ndarray[Any, Any]:
        return self._view.copy()
