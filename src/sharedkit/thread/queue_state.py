"""What the handles of a queue for threads share, and how one waits for it: as a thread, or as a task by a `Turn`."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty, Full
from time import monotonic
from typing import Any, Generic, TypeVar

from sharedkit._times import check_span, not_negative, span
from sharedkit.errors import ShutDown
from sharedkit.statistics import QueueState
from sharedkit.thread.registry import State
from sharedkit.thread.waiters import NOT_YET, Turn, Waiters, deadline_in

__all__ = ["Get", "GetMany", "Join", "PutMany", "SharedQueue", "remaining"]

T = TypeVar("T")


class SharedQueue(State, Generic[T]):
    """`state` only moves from left to right through its three values, under `mutex` like everything here."""

    __slots__ = ("all_done", "items", "maxsize", "mutex", "not_empty", "not_full", "state", "unfinished")

    kind = "Queue"

    def __init__(self, name: str, maxsize: int) -> None:
        super().__init__(name)
        self.maxsize = maxsize
        self.items: deque[T] = deque()
        self.unfinished = 0
        self.state: QueueState = "open"
        self.mutex = threading.Lock()
        self.not_empty = Waiters(self.mutex)
        self.not_full = Waiters(self.mutex)
        self.all_done = Waiters(self.mutex)

    def await_item(self, block: bool, timeout: float | None) -> None:
        """Return when there is an item; Empty or ShutDown when none comes in time. The mutex is held."""
        deadline: float | None = None
        while not self.items:
            if self.state != "open":
                raise ShutDown
            if not block:
                raise Empty
            if deadline is None and timeout is not None:
                timeout = not_negative(timeout)
                check_span(timeout)
                deadline = monotonic() + timeout
            left = remaining(deadline)
            if left == 0:
                raise Empty
            self.not_empty.wait(left)

    def await_room(self, block: bool, timeout: float | None) -> None:
        """Return when there is room; Full or ShutDown when none comes in time. The mutex is held."""
        deadline: float | None = None
        while 0 < self.maxsize <= len(self.items):
            if not block:
                raise Full
            if deadline is None and timeout is not None:
                timeout = not_negative(timeout)
                check_span(timeout)
                deadline = monotonic() + timeout
            left = remaining(deadline)
            if left == 0:
                raise Full
            self.not_full.wait(left)
            if self.state != "open":
                raise ShutDown

    # Steps that are one critical section; the mutex is held.

    def add(self, batch: list[T], start: int) -> int:
        """Put as much of the batch from `start` on as there is room for; how much that was."""
        room = len(batch) - start
        if self.maxsize > 0:
            room = max(0, min(room, self.maxsize - len(self.items)))
        self.items.extend(batch[start : start + room])
        self.unfinished += room
        if self.not_empty.line:
            self.not_empty.notify(room)
        return room

    def take(self, most: int | None) -> list[T]:
        """The oldest items, all that are there or `most` of them."""
        items = self.items
        if most is None or most >= len(items):
            taken = list(items)
            items.clear()
        else:
            taken = [items.popleft() for _ in range(most)]
        if self.not_full.line:
            self.not_full.notify(len(taken))
        return taken


class _QueueTurn(Turn, Generic[T]):
    """`block` and `timeout` as the method was given them."""

    __slots__ = ("queue", "timeout")

    def __init__(self, queue: SharedQueue[T], waiters: Waiters, block: bool, timeout: float | None) -> None:
        self.queue = queue
        self.timeout = span(timeout) if block else None
        super().__init__(waiters, deadline_in(self.timeout) if block else 0.0, waiters)

    def check(self) -> None:
        """ValueError for a negative timeout, which comes after ShutDown as in queue.Queue."""
        if self.timeout is not None:
            not_negative(self.timeout)


class GetMany(_QueueTurn[T]):
    """Up to `most` items, all that are there where it is None."""

    __slots__ = ("most",)

    def __init__(self, queue: SharedQueue[T], block: bool, timeout: float | None, most: int | None) -> None:
        super().__init__(queue, queue.not_empty, block, timeout)
        self.most = most

    def look(self, told: bool) -> Any:
        queue = self.queue
        if queue.items:
            self.check()
            return queue.take(self.most)
        if queue.state != "open":
            raise ShutDown
        self.check()
        check_span(self.timeout)
        if self.over:
            raise Empty
        return NOT_YET


class Get(GetMany[T]):
    """One item."""

    __slots__ = ()

    def __init__(self, queue: SharedQueue[T], block: bool, timeout: float | None) -> None:
        super().__init__(queue, block, timeout, 1)

    def look(self, told: bool) -> Any:
        taken = super().look(told)
        return taken if taken is NOT_YET else taken[0]


class PutMany(_QueueTurn[T]):
    """Room for a batch, of which `put` items are in."""

    __slots__ = ("batch", "put")

    def __init__(self, queue: SharedQueue[T], block: bool, timeout: float | None, batch: list[T]) -> None:
        super().__init__(queue, queue.not_full, block, timeout)
        self.batch = batch
        self.put = 0

    def look(self, told: bool) -> Any:
        queue = self.queue
        if queue.state != "open":
            raise ShutDown
        self.check()
        self.put += queue.add(self.batch, self.put)
        if self.put == len(self.batch):
            return None
        check_span(self.timeout)
        if self.over:
            raise Full
        return NOT_YET


class Join(Turn):
    """All items done."""

    __slots__ = ("queue",)

    def __init__(self, queue: SharedQueue[Any]) -> None:
        super().__init__(queue.all_done, None)
        self.queue = queue

    def look(self, told: bool) -> Any:
        return NOT_YET if self.queue.unfinished else None


def remaining(deadline: float | None) -> float | None:
    """Seconds until `deadline`, never below 0; None for no deadline."""
    return None if deadline is None else max(0.0, deadline - monotonic())
