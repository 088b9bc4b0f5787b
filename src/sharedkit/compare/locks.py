"""The workload `locks`: every worker takes one lock, again and again, and adds 1 to an unprotected number meanwhile."""

from __future__ import annotations

import asyncio
import multiprocessing.sharedctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import repeat
from typing import Any

from sharedkit.compare.crew import Clock
from sharedkit.compare.entry import AWAITED, PLACEMENTS, Entry, Placement, SharedStateWorkload, in_redis, managed
from sharedkit.compare.numbers import counted
from sharedkit.compare.tasks import in_a_loop
from sharedkit.compare.workload import Lap, Mismatch

__all__ = ["LocksWorkload"]

Shared = tuple[Any, Any]
"""A lock, and a number in shared memory without a lock of its own."""


def _number() -> Any:
    return multiprocessing.sharedctypes.RawValue("q", 0)


def _add(shared: Shared, _rank: int, amount: int, clock: Clock) -> None:
    lock, number = shared
    with clock:
        for _ in repeat(None, amount):
            with lock:
                number.value += 1


async def _add_awaited(shared: Shared, _rank: int, amount: int, clock: Clock) -> None:
    lock, number = shared
    with clock:
        for _ in repeat(None, amount):
            async with lock:
                number.value += 1


def _read(shared: Shared) -> int:
    return int(shared[1].value)


def _with(make: Callable[[Any], Any]) -> Callable[[Any], AbstractContextManager[Shared]]:
    """`Entry.make` for a lock of the standard library."""

    @contextmanager
    def made(context: Any) -> Iterator[Shared]:
        yield make(context), _number()

    return made


def _with_ours(placement: Placement, kind: str) -> Callable[[Any], AbstractContextManager[Shared]]:
    """`Entry.make` for a lock of sharedkit, which is closed in the end; `with` on the lock would acquire it."""

    @contextmanager
    def made(_context: Any) -> Iterator[Shared]:
        with closing(getattr(placement.context, kind)()) as lock:
            yield lock, _number()

    return made


class LocksWorkload(SharedStateWorkload):
    """An amount is one acquisition by every worker."""

    name = "locks"
    unit = "acquisitions"
    smallest = 100
    largest = 100_000_000

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        return f"{counted(self.settings.workers, 'worker', 'add')} 1 to a number, under one lock"

    def entries(self) -> list[Entry]:
        """The standard library's locks, then sharedkit's in every placement."""
        roles = [_add] * self.settings.workers

        def theirs(where: str, name: str, make: Any) -> Entry:
            return Entry(where, name, "stdlib", make, roles, _read)

        def ours(placement: Placement, kind: str) -> Entry:
            made = _with_ours(placement, kind)
            return Entry(placement.where, placement.name(kind), "sharedkit", made, roles, _read, placement)

        tasks: list[Any] = [_add_awaited] * self.settings.workers
        loops = [in_a_loop(_add_awaited)] * self.settings.workers
        return [
            theirs("processes", "multiprocessing.Lock", _with(lambda context: context.Lock())),
            theirs("processes", "multiprocessing.RLock", _with(lambda context: context.RLock())),
            theirs("processes", "Manager().Lock", managed(lambda manager: (manager.Lock(), _number()))),
            theirs("threads", "threading.Lock", _with(lambda _context: threading.Lock())),
            theirs("threads", "threading.RLock", _with(lambda _context: threading.RLock())),
            Entry("asyncio", "asyncio.Lock", "stdlib", _with(lambda _context: asyncio.Lock()), tasks, _read),
            *(ours(placement, kind) for kind in ("Lock", "RLock") for placement in PLACEMENTS),
            *(ours(placement, "Lock") for placement in in_redis(self.settings)),
            Entry("asyncio", "sharedkit Lock", "sharedkit", _with_ours(AWAITED, "Lock"), tasks, _read),
            Entry("processes", "sharedkit Lock, awaited", "sharedkit", _with_ours(AWAITED, "Lock"), loops, _read),
        ]

    def operations(self, amount: int) -> int:
        """The number of acquisitions."""
        return amount * self.settings.workers

    def verify(self, amount: int, lap: Lap) -> str:
        """Check that no addition is lost: a lock that lets two workers in at once loses some."""
        counted, expected = lap.after - lap.before, self.operations(amount)
        if counted != expected:
            raise Mismatch(f"the number grew by {counted:,} in {expected:,} acquisitions")
        return "exact"

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return "every lock let one worker in at a time"
