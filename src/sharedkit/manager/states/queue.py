"""A queue in the server, of items that it never unpickles.

An item that was taken goes back to the front if the client has left or died before the answer could be sent. One that
was sent is in the hand of that client, and ends with it.
"""

from __future__ import annotations

from collections import deque
from queue import Empty, Full
from time import monotonic
from typing import Any

from sharedkit.errors import ShutDown
from sharedkit.manager.states.base import Call, State
from sharedkit.statistics import QueueState as Phase
from sharedkit.statistics import QueueStatistics

__all__ = ["QueueState"]


class QueueState(State):
    """`phase` only moves from left to right through its three values."""

    kind = "Queue"

    def __init__(self, name: str, spec: dict[str, Any], maxsize: int) -> None:
        super().__init__(name, spec)
        self.maxsize = maxsize
        self.items: deque[bytes] = deque()
        self.unfinished = 0
        self.phase: Phase = "open"
        self.getters = 0
        self.putters = 0

    def _room(self) -> bool:
        return not 0 < self.maxsize <= len(self.items)

    def do_put_many(self, call: Call, items: list[bytes], block: bool, timeout: float | None) -> None:
        put = 0
        deadline = None if timeout is None or not block else monotonic() + timeout
        with self.changed:
            try:
                if self.phase != "open":
                    raise ShutDown
                while put < len(items):
                    if not self._room():
                        self._await_room(call, block, deadline)
                    room = len(items) - put
                    if self.maxsize > 0:
                        room = min(room, self.maxsize - len(self.items))
                    self.items.extend(items[put : put + room])
                    self.unfinished += room
                    put += room
                    self.changed.notify_all()
            except (Full, ShutDown) as error:
                vars(error)["put"] = put
                raise

    def _await_room(self, call: Call, block: bool, deadline: float | None) -> None:
        if not block:
            raise Full
        remaining = None if deadline is None else deadline - monotonic()
        self.putters += 1
        try:
            if not self.await_it(call, lambda: self._room() or self.phase != "open", remaining):
                raise Full
        finally:
            self.putters -= 1
        if self.phase != "open":
            raise ShutDown

    def do_get_many(self, call: Call, most: int | None, block: bool, timeout: float | None) -> list[bytes]:
        with self.changed:
            if not self.items:
                if self.phase != "open":
                    raise ShutDown
                if not block:
                    raise Empty
                self.getters += 1
                try:
                    if not self.await_it(call, lambda: bool(self.items) or self.phase != "open", timeout):
                        raise Empty
                finally:
                    self.getters -= 1
                if not self.items:
                    raise ShutDown
            count = len(self.items) if most is None else min(most, len(self.items))
            taken = [self.items.popleft() for _ in range(count)]
            self.changed.notify_all()
        call.undo = lambda: self._give_back(taken)
        return taken

    def _give_back(self, taken: list[bytes]) -> None:
        with self.changed:
            if self.phase == "shutdown-immediate":
                self.unfinished = max(0, self.unfinished - len(taken))
            else:
                self.items.extendleft(reversed(taken))
            self.changed.notify_all()

    def do_task_done(self, call: Call) -> None:
        with self.changed:
            if not self.unfinished:
                raise ValueError("task_done() called too many times")
            self.unfinished -= 1
            self.changed.notify_all()

    def do_join(self, call: Call) -> None:
        with self.changed:
            self.await_it(call, lambda: not self.unfinished, None)

    def do_shutdown(self, call: Call, immediate: bool) -> None:
        with self.changed:
            if immediate:
                self.phase = "shutdown-immediate"
                self.unfinished = max(0, self.unfinished - len(self.items))
                self.items.clear()
            elif self.phase == "open":
                self.phase = "shutdown"
            self.changed.notify_all()

    def do_set_maxsize(self, call: Call, maxsize: int) -> None:
        with self.changed:
            self.maxsize = maxsize
            self.changed.notify_all()

    def do_get_maxsize(self, call: Call) -> int:
        return self.maxsize

    def do_statistics(self, call: Call) -> QueueStatistics:
        with self.changed:
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
                waiting_getters=self.getters,
                waiting_putters=self.putters,
            )
