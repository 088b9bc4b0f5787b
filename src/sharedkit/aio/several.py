"""Waiting until one of several waits has its answer, from a task or from a thread that is woken by the watcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from sharedkit._core.watcher import PENDING
from sharedkit.aio.waiters import Parker, Waiter

__all__ = ["await_any", "wait_for_any"]


class _Wakes:
    """The wake-up of one of the waits: it notes which one, and wakes the task or thread."""

    __slots__ = ("fired", "index", "parker")

    def __init__(self, index: int, fired: list[int], parker: Any) -> None:
        self.index = index
        self.fired = fired
        self.parker = parker

    def __call__(self) -> bool:
        self.fired.append(self.index)
        return bool(self.parker())

    @property
    def alive(self) -> bool:
        return bool(self.parker.alive)

    @property
    def closed(self) -> bool:
        return bool(self.parker.closed)


class _ThreadParker:
    """A thread that waits."""

    alive = True
    closed = False

    def __init__(self) -> None:
        self.event = Event()

    def __call__(self) -> bool:
        self.event.set()
        return True

    def sleep(self, deadline: float | None) -> None:
        """Sleep until woken, at the latest until the deadline."""
        self.event.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        self.event.clear()


def _step(waiters: Sequence[Waiter], which: Sequence[int], wake: Callable[[int], Any]) -> set[int]:
    """Poll these waits; returns the indexes of those that have their answer."""
    return {i for i in which if waiters[i].step(wake(i)) is not PENDING}


class _Several:
    """Waits, of which those that may have changed are polled."""

    def __init__(self, waiters: Sequence[Waiter], parker: Any) -> None:
        self.waiters = waiters
        self.fired: list[int] = []
        self.wakes = [_Wakes(i, self.fired, parker) for i in range(len(waiters))]
        self.begun = False

    def poll(self) -> set[int]:
        """Poll all waits the first time, and later those that were woken. If one has its answer, poll all others."""
        if not self.begun:
            self.begun = True
            return _step(self.waiters, range(len(self.waiters)), self.wakes.__getitem__)
        n = len(self.fired)  # another thread may append meanwhile
        woken = set(self.fired[:n])
        del self.fired[:n]
        return _step(self.waiters, sorted(woken), self.wakes.__getitem__)

    def rest(self, ready: set[int]) -> list[int]:
        """The indexes of all waits that have their answer now."""
        others = [i for i in range(len(self.waiters)) if i not in ready]
        return sorted(ready | _step(self.waiters, others, lambda _: None))

    def cancel(self) -> None:
        """End all waits."""
        for each in self.waiters:
            each.cancel()


def _over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


async def await_any(waiters: Sequence[Waiter], deadline: float | None) -> list[int]:
    """Wait until one has its answer, or until the deadline; the indexes of all that have it."""
    parker = Parker(asyncio.get_running_loop())
    several = _Several(waiters, parker)
    try:
        while not (ready := several.poll()) and waiters and not _over(deadline):
            await parker.sleep(deadline)
        return several.rest(ready) if ready else []
    finally:
        several.cancel()


def wait_for_any(waiters: Sequence[Waiter], deadline: float | None) -> list[int]:
    """The same for a thread."""
    parker = _ThreadParker()
    several = _Several(waiters, parker)
    try:
        while not (ready := several.poll()) and waiters and not _over(deadline):
            parker.sleep(deadline)
        return several.rest(ready) if ready else []
    finally:
        several.cancel()
