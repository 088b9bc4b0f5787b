"""Semaphores in the server. If a client dies, the permits of a bounded one that it held are free again."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.states.base import Call, Line, Session, State, Wait, Waiting
from sharedkit.statistics import SemaphoreStatistics

__all__ = ["BoundedSemaphoreState", "SemaphoreState"]

MOST = (1 << 31) - 1


class SemaphoreState(State):
    kind = "Semaphore"
    bounded = False

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.first: int = spec["value"]
        self.free = self.first
        self.held: dict[Session, int] = {}
        self.waiting = Line(lambda: self.free > 0)
        self.lines = (self.waiting,)

    def do_acquire(self, call: Call, blocking: bool, timeout: float | None) -> bool | Waiting[bool]:
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        if self.free:
            return self._take(call)
        return self._take_waiting(call, timeout) if blocking else False

    def _take_waiting(self, call: Call, timeout: float | None) -> Waiting[bool]:
        return (yield Wait(self.waiting, timeout)) and self._take(call)

    def _take(self, call: Call) -> bool:
        self.free -= 1
        if self.bounded:
            self.held[call.session] = self.held.get(call.session, 0) + 1
        return True

    def undo_acquire(self, call: Call, got: bool, *args: Any) -> None:
        if got and (not self.bounded or self._drop(call.session)):
            self.free += 1

    def _drop(self, session: Session) -> bool:
        """Remove one permit from those that the session holds; returns whether it held one."""
        if session not in self.held:
            return False
        self.held[session] -= 1
        if not self.held[session]:
            del self.held[session]
        return True

    def do_release_one(self, call: Call) -> None:
        self.do_release(call, 1)

    def do_release(self, call: Call, n: int) -> None:
        if n < 1:
            raise ValueError("n must be one or more")
        if self.bounded and self.free + n > self.first:
            raise ValueError("Semaphore released too many times")
        if self.free + n > MOST:
            raise OverflowError(f"a semaphore counts to {MOST}: {self.free} + {n}")
        if self.bounded:
            for _ in range(n):  # any process may release; the permits of the caller's own session are removed first
                self._drop(call.session) or self._drop(next(iter(self.held)))
        self.free += n

    def forget(self, session: Session) -> None:
        self.free += self.held.pop(session, 0)

    def do_statistics(self, call: Call) -> SemaphoreStatistics:
        holders: dict[int, int] = {}
        for session, count in self.held.items():
            holders[session.pid] = holders.get(session.pid, 0) + count
        bound = self.first if self.bounded else None
        return SemaphoreStatistics(self.name, self.kind, self.free, bound, len(self.waiting), holders, self.attached())


class BoundedSemaphoreState(SemaphoreState):
    kind = "BoundedSemaphore"
    bounded = True
