"""A queue in the server, of items that it never unpickles.

If a client has left or died before its answer could be sent, the item goes back to the front. An item that was sent
belongs to that client, and is lost if the client dies.
"""

from __future__ import annotations

from collections import deque
from queue import Empty, Full
from time import monotonic
from typing import Any

from sharedkit.errors import ShutDown
from sharedkit.manager.protocol import Cancelled, Packed, same
from sharedkit.manager.states.base import Call, Line, State, Wait, Waiting
from sharedkit.manager.states.ranked import Ranked
from sharedkit.statistics import QueueState as Phase
from sharedkit.statistics import QueueStatistics

__all__ = ["LifoQueueState", "PriorityQueueState", "QueueState"]


class QueueState(State):
    """`phase` only moves from left to right through its three values. A queue with another order has another store."""

    kind = "Queue"

    def __init__(self, name: str, spec: dict[str, Any], maxsize: int) -> None:
        super().__init__(name, spec)
        self.maxsize = maxsize
        self.items: Any = self._store()  # has a length
        self.unfinished = 0
        self.drops = spec.get("overflow") == "drop_oldest"
        self.dropped = 0
        self.phase: Phase = "open"
        self.getters = Line(lambda: bool(self.items) or self.phase != "open")
        self.putters = Line(lambda: self._room() > 0 or self.phase != "open")
        self.joiners = Line(lambda: not self.unfinished)
        self.lines = (self.getters, self.putters, self.joiners)

    # --- the store: a queue with another order overrides this part

    def _store(self) -> Any:
        """A store of entries: items in the order in which they came."""
        return deque()

    def _add(self, entries: list[Any]) -> None:
        """Put all entries; there is room. If one raises TypeError, only those before it are in the queue."""
        self.items.extend(entries)
        self.unfinished += len(entries)

    def _take(self, most: int | None) -> list[Any]:
        """Take entries; at least one is there."""
        count = len(self.items) if most is None else min(most, len(self.items))
        return [self.items.popleft() for _ in range(count)]

    def _give_back(self, taken: list[Any]) -> None:
        """Put entries back to the front, in their old order."""
        self.items.extendleft(reversed(taken))

    def _strike(self, mark: int, entry: Any) -> bool:
        """Remove the entry that got this mark when it was put, if it is still there; returns whether it was."""
        place = next((i for i, each in enumerate(self.items) if id(each) == mark and same(each, entry)), None)
        if place is not None:
            del self.items[place]
        return place is not None

    # --- requests

    def _room(self) -> float:
        return self.maxsize - len(self.items) if self.maxsize > 0 else float("inf")

    def do_put_many(
        self, call: Call, items: list[Packed], block: bool, timeout: float | None, marks: bool = False
    ) -> list[int] | Waiting[list[int] | None] | None:
        """Put items. If `marks` is true, the answer has a mark for each item, for `take_back`."""
        if self.drops and self.phase == "open":
            self._put_dropping(items)
            return [id(item) for item in items] if marks else None
        if self.phase != "open" or self._room() < len(items):
            return self._put_waiting(items, block, timeout, marks)
        before = len(self.items)
        try:
            self._add(items)
        except TypeError as error:
            vars(error)["put"] = len(self.items) - before
            raise
        return [id(item) for item in items] if marks else None

    def _put_dropping(self, items: list[Packed]) -> None:
        """Put all items; each one that finds the queue full drops the oldest ones."""
        for item in items:
            gone = len(self.items) + 1 - self.maxsize if self.maxsize > 0 else 0
            if gone > 0:
                self._take(gone)
                self.dropped += gone
                self.unfinished = max(0, self.unfinished - gone)
            self._add([item])

    def _put_waiting(
        self, items: list[Packed], block: bool, timeout: float | None, marks: bool
    ) -> Waiting[list[int] | None]:
        put = 0
        deadline = None if timeout is None or not block else monotonic() + timeout
        try:
            if self.phase != "open":
                raise ShutDown
            while put < len(items):
                if self._room() <= 0:
                    yield from self._await_room(block, deadline, first=put > 0)
                room = int(min(len(items) - put, self._room()))
                before = len(self.items)
                try:
                    self._add(items[put : put + room])
                finally:
                    put += len(self.items) - before
            return [id(item) for item in items] if marks else None
        except (Full, ShutDown, TypeError) as error:
            vars(error)["put"] = put
            raise
        except Cancelled:
            raise Cancelled(put) from None

    def do_take_back(self, call: Call, items: list[Packed], marks: list[int]) -> int:
        """Remove the last ones of these items, down to the first that a client has taken; returns how many they were.

        If another item has got the same mark since, it is removed only if it is equal, which does no harm.
        """
        back = 0
        for item, mark in zip(reversed(items), reversed(marks), strict=True):
            if not self._strike(mark, item):
                break
            back += 1
        self.unfinished = max(0, self.unfinished - back)
        return back

    def _await_room(self, block: bool, deadline: float | None, first: bool) -> Waiting[None]:
        if not block:
            raise Full
        remaining = None if deadline is None else deadline - monotonic()
        if not (yield Wait(self.putters, remaining, first)):
            raise Full
        if self.phase != "open":
            raise ShutDown

    def do_get_many(
        self, call: Call, most: int | None, block: bool, timeout: float | None
    ) -> list[Packed] | Waiting[list[Packed]]:
        if self.items:
            return self._take(most)
        if self.phase != "open":
            raise ShutDown
        if not block:
            raise Empty
        return self._take_waiting(most, timeout)

    def _take_waiting(self, most: int | None, timeout: float | None) -> Waiting[list[Packed]]:
        if not (yield Wait(self.getters, timeout)):
            raise Empty
        if not self.items:
            raise ShutDown
        return self._take(most)

    def undo_get_many(self, call: Call, taken: list[Packed], *args: Any) -> None:
        if self.phase == "shutdown-immediate":
            self.unfinished = max(0, self.unfinished - len(taken))
        else:
            self._give_back(taken)

    def do_clear(self, call: Call) -> int:
        """Drop all items, which count as done; returns how many they were."""
        count = len(self.items)
        self.items = self._store()
        self.unfinished = max(0, self.unfinished - count)
        return count

    def do_task_done(self, call: Call) -> None:
        if not self.unfinished:
            raise ValueError("task_done() called too many times")
        self.unfinished -= 1

    def do_join(self, call: Call) -> Waiting[None]:
        if self.unfinished:
            yield Wait(self.joiners)

    def do_shutdown(self, call: Call, immediate: bool) -> None:
        if immediate:
            self.phase = "shutdown-immediate"
            self.unfinished = max(0, self.unfinished - len(self.items))
            self.items.clear()
        elif self.phase == "open":
            self.phase = "shutdown"

    def do_qsize(self, call: Call) -> int:
        return len(self.items)

    def do_set_maxsize(self, call: Call, maxsize: int) -> None:
        self.maxsize = maxsize

    def do_get_maxsize(self, call: Call) -> int:
        return self.maxsize

    def do_get_overflow(self, call: Call) -> str:
        return "drop_oldest" if self.drops else "block"

    def do_statistics(self, call: Call) -> QueueStatistics:
        return QueueStatistics(
            name=self.name,
            kind=self.kind,
            maxsize=max(0, self.maxsize),
            qsize=len(self.items),
            unfinished_tasks=self.unfinished,
            capacity_bytes=None,
            used_bytes=None,
            state=self.phase,
            attached=self.attached(),
            waiting_getters=len(self.getters),
            waiting_putters=len(self.putters),
            dropped=self.dropped,
        )


class LifoQueueState(QueueState):
    """A queue that gives out the last item first."""

    kind = "LifoQueue"

    def _take(self, most: int | None) -> list[Any]:
        count = len(self.items) if most is None else min(most, len(self.items))
        return [self.items.pop() for _ in range(count)]

    def _give_back(self, taken: list[Any]) -> None:
        self.items.extend(reversed(taken))


class PriorityQueueState(QueueState):
    """A queue that gives out the item of the least rank first. An entry is a rank, which the client derived from the
    item as a plain value, and the item, which the server never unpickles."""

    kind = "PriorityQueue"

    def _store(self) -> Any:
        return Ranked()

    def _add(self, entries: list[tuple[Any, Packed]]) -> None:
        for entry in entries:
            self.items.put(entry)
            self.unfinished += 1

    def _take(self, most: int | None) -> list[Any]:
        count = len(self.items) if most is None else min(most, len(self.items))
        return [self.items.take() for _ in range(count)]

    def _give_back(self, taken: list[tuple[Any, Packed]]) -> None:
        for entry in reversed(taken):
            try:
                self.items.put(entry, before_equals=True)
            except TypeError:  # the item cannot be compared with later ones, and must not be lost
                self.items.put_first(entry)

    def _strike(self, mark: int, entry: tuple[Any, Packed]) -> bool:
        return bool(self.items.remove(lambda each: id(each) == mark and same(each[1], entry[1])))
