"""The interface of an adaptor: is the implementation installed; how to create, attach, use and remove its structure.

An adaptor's constructor touches nothing, so a missing package only causes a skip with its reason. `create` runs in the
parent before the workers are forked; `attach` and everything that is timed run in a worker.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import metadata
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ports import Receiver, Sender


class Rival:
    """An implementation: its name in tables, its kind, the module it needs and the source of that module."""

    name: str
    kind: str = "rival"  # "ours", "stdlib", "rival" or "floor"
    module: str | None = None  # the module that must be importable
    package: str | None = None  # the distribution that contains it

    def missing(self) -> str | None:
        """The reason why it cannot take part here, or None."""
        if self.module is None:
            return None
        try:
            importlib.import_module(self.module)
        except ImportError as error:
            return f"not installed ({error}); see benchmarks/rivals/requirements.txt"
        return None

    def version(self) -> str | None:
        """The version of its distribution, for the record."""
        if self.package is None or self.missing():
            return None
        return metadata.version(self.package)


class CounterRival(Rival, ABC):
    """A number that several processes count up."""

    contended = True  # False if it fails when two processes count at once; its adaptor says how

    @abstractmethod
    def create(self, scratch: Path) -> None:
        """Make the counter at 0, in the parent; `scratch` is a folder in memory, if a path is needed."""

    def attach(self) -> None:
        """Open it in a worker."""

    @abstractmethod
    def count(self, times: int) -> None:
        """Add one, `times` times, in the way its users would write the loop."""

    @abstractmethod
    def value(self) -> int:
        """The number, read in the parent."""

    def destroy(self) -> None:
        """Remove it, in the parent."""


@dataclass(frozen=True)
class Traffic:
    """The items that a queue will have to carry."""

    items: str  # "bytes" (all of `item_size`), "objects" (anything picklable) or "arrays"
    item_size: int  # bytes, about
    producers: int = 1
    consumers: int = 1
    capacity: int = 4096  # items; a ring of bytes has room for that many

    def room(self) -> int:
        """Bytes for `capacity` items with some room for their headers, as a power of two."""
        return 1 << (self.capacity * (self.item_size + 32) - 1).bit_length()


class QueueRival(Rival, ABC):
    """A queue between processes."""

    carries: frozenset[str] = frozenset({"bytes", "objects", "arrays"})
    largest: int | None = None  # bytes of an item
    exactly: bool = False  # an item has exactly the size that the queue was made for
    many_to_many: bool = True
    batches: bool = False

    def suits(self, traffic: Traffic, batches: bool = False) -> bool:
        """Whether it can carry such items at all; otherwise it does not take part."""
        return (
            traffic.items in self.carries
            and (self.largest is None or traffic.item_size <= self.largest)
            and (self.many_to_many or traffic.producers == traffic.consumers == 1)
            and (self.batches or not batches)
        )

    @abstractmethod
    def create(self, traffic: Traffic, scratch: Path) -> None:
        """Make the queue, in the parent."""

    @abstractmethod
    def sender(self) -> Sender:
        """The producer's end, in a worker."""

    @abstractmethod
    def receiver(self) -> Receiver:
        """The consumer's end, in a worker."""

    def leave(self) -> None:
        """Detach from this worker's end."""

    def destroy(self) -> None:
        """Remove it, in the parent."""


class ArrayRival(Rival, ABC):
    """An array of 64-bit integers that several processes add to."""

    @abstractmethod
    def create(self, size: int, scratch: Path) -> None:
        """Make the array, all 0, in the parent."""

    def attach(self) -> None:
        """Open it in a worker."""

    @abstractmethod
    def fetch_add(self, indices: list[int]) -> None:
        """Add one at each of `indices`, one call an index."""

    @abstractmethod
    def add_at(self, indices: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
        """Add `values` at `indices`, all in one call."""

    def settle(self) -> None:
        """Bring into the array what this worker kept to itself, off the clock; most keep nothing."""

    @abstractmethod
    def values(self) -> np.ndarray[Any, Any]:
        """A copy of what is in it, in the parent."""

    def destroy(self) -> None:
        """Throw it away, in the parent."""


class LockRival(Rival, ABC):
    """A lock that one process at a time holds."""

    lock: Any  # the result of `create`, or of `attach` if that returns another object

    @abstractmethod
    def create(self, scratch: Path) -> None:
        """Make the lock, in the parent."""

    def attach(self) -> None:
        """Open it in a worker."""

    def pairs(self, times: int) -> None:
        """Acquire and release, `times` times, in the way its users would write the loop."""
        acquire, release = self.lock.acquire, self.lock.release
        for _ in repeat(None, times):
            acquire()
            release()

    def held(self) -> AbstractContextManager[Any]:
        """The object for a `with` statement."""
        lock: AbstractContextManager[Any] = self.lock
        return lock

    def contend(self, cell: memoryview, goal: int) -> int:
        """Add to `cell[0]` under the lock until it is `goal`; return how often this worker added."""
        lock, mine = self.lock, 0
        while True:
            with lock:
                if cell[0] >= goal:
                    return mine
                cell[0] += 1
            mine += 1

    def destroy(self) -> None:
        """Remove it, in the parent."""


class MeetingRival(Rival, ABC):
    """A way for two processes to pass a turn to and fro; `cell` is theirs, [0] the asker's number and [1] the echo."""

    @abstractmethod
    def create(self, scratch: Path) -> None:
        """Make it, in the parent."""

    @abstractmethod
    def ask(self, number: int, cell: memoryview) -> None:
        """Pass the turn on with `number`, and return when it is back."""

    @abstractmethod
    def answer(self, number: int, cell: memoryview) -> None:
        """Wait for the turn, echo the number that came with it, and pass it back."""

    def destroy(self) -> None:
        """Remove it, in the parent."""


class DictRival(Rival, ABC):
    """A mapping from str to small integers."""

    mapping: Any  # the result of `create`, or of `attach` if that returns another object

    @abstractmethod
    def create(self, first: dict[str, int], scratch: Path) -> None:
        """Make it with these items, in the parent."""

    def attach(self) -> None:
        """Open it in a worker."""

    def get(self, keys: list[str]) -> list[int]:
        """Read every value, one call a key."""
        mapping = self.mapping
        return [mapping[key] for key in keys]

    def update(self, keys: list[str], value: int) -> None:
        """Set every key to `value`, one call a key."""
        mapping = self.mapping
        for key in keys:
            mapping[key] = value

    def destroy(self) -> None:
        """Remove it, in the parent."""
