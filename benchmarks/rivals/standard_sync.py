"""The standard library's locks, rendezvous structures and dicts."""

from __future__ import annotations

from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

from benchmarks.rivals.meetings import BarrierMeeting, ConditionMeeting, EventMeeting
from benchmarks.rivals.rival import DictRival, LockRival, MeetingRival
from benchmarks.rivals.standard_library import FORK


class Lock(LockRival):
    """`multiprocessing.Lock`, a named semaphore."""

    name = "multiprocessing.Lock"
    kind = "stdlib"

    def create(self, scratch: Path) -> None:
        self.lock: Any = FORK.Lock()


class RLock(LockRival):
    """`multiprocessing.RLock`."""

    name = "multiprocessing.RLock"
    kind = "stdlib"

    def create(self, scratch: Path) -> None:
        self.lock: Any = FORK.RLock()


class ManagerLock(LockRival):
    """A `threading.Lock` in a server process."""

    name = "Manager().Lock"
    kind = "stdlib"

    def create(self, scratch: Path) -> None:
        self._manager = SyncManager(ctx=FORK)
        self._manager.start()
        self.lock: Any = self._manager.Lock()

    def destroy(self) -> None:
        self._manager.shutdown()


class Events(EventMeeting):
    """Two `multiprocessing.Event`s."""

    name = "multiprocessing.Event"
    kind = "stdlib"

    def make(self) -> Any:
        return FORK.Event()


class Condition(ConditionMeeting):
    """A `multiprocessing.Condition`."""

    name = "multiprocessing.Condition"
    kind = "stdlib"

    def make(self) -> Any:
        return FORK.Condition()


class Barrier(BarrierMeeting):
    """A `multiprocessing.Barrier`."""

    name = "multiprocessing.Barrier"
    kind = "stdlib"

    def make(self) -> Any:
        return FORK.Barrier(2)


class BarePipe(MeetingRival):
    """One byte there and one back through two pipes: the cost of waking another process."""

    name = "bare pipe"
    kind = "floor"

    def create(self, scratch: Path) -> None:
        self._there, self._back = FORK.Pipe(duplex=False), FORK.Pipe(duplex=False)

    def ask(self, number: int, cell: memoryview) -> None:
        cell[0] = number
        self._there[1].send_bytes(b".")
        self._back[0].recv_bytes()

    def answer(self, number: int, cell: memoryview) -> None:
        self._there[0].recv_bytes()
        cell[1] = cell[0]
        self._back[1].send_bytes(b".")

    def destroy(self) -> None:
        for end in (*self._there, *self._back):
            end.close()


class PlainDict(DictRival):
    """A plain dict, each worker's own: the floor."""

    name = "dict"
    kind = "floor"

    def create(self, first: dict[str, int], scratch: Path) -> None:
        self.mapping: Any = first


class ManagerDict(DictRival):
    """A dict in a server process."""

    name = "Manager().dict"
    kind = "stdlib"

    def create(self, first: dict[str, int], scratch: Path) -> None:
        self._manager = SyncManager(ctx=FORK)
        self._manager.start()
        self.mapping: Any = self._manager.dict(first)

    def destroy(self) -> None:
        self._manager.shutdown()
