"""Semaphores in the server. The permits that a dead client took of a bounded one come back."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.states.base import Call, Session, State
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
        self.waiting = 0
        self.held: dict[Session, int] = {}

    def do_acquire(self, call: Call, blocking: bool, timeout: float | None) -> bool:
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        with self.changed:
            if not self.free:
                if not blocking:
                    return False
                self.waiting += 1
                try:
                    if not self.await_it(call, lambda: self.free > 0, timeout):
                        return False
                finally:
                    self.waiting -= 1
            self.free -= 1
            if self.bounded:
                self.held[call.session] = self.held.get(call.session, 0) + 1
        call.undo = lambda: self._undo(call.session)
        return True

    def _undo(self, session: Session) -> None:
        with self.changed:
            if self.bounded and not self._drop(session):
                return
            self.free += 1
            self.changed.notify_all()

    def _drop(self, session: Session) -> bool:
        """Strike one permit off what the session holds, if it holds one."""
        if session not in self.held:
            return False
        self.held[session] -= 1
        if not self.held[session]:
            del self.held[session]
        return True

    def do_release(self, call: Call, n: int) -> None:
        if n < 1:
            raise ValueError("n must be one or more")
        with self.changed:
            if self.bounded and self.free + n > self.first:
                raise ValueError("Semaphore released too many times")
            if self.free + n > MOST:
                raise OverflowError(f"a semaphore counts to {MOST}: {self.free} + {n}")
            if self.bounded:
                for _ in range(n):  # any process may release; its own permits go first
                    self._drop(call.session) or self._drop(next(iter(self.held)))
            self.free += n
            self.changed.notify_all()

    def forget(self, session: Session) -> None:
        self.free += self.held.pop(session, 0)
        self.changed.notify_all()

    def do_statistics(self, call: Call) -> SemaphoreStatistics:
        with self.changed:
            holders: dict[int, int] = {}
            for session, count in self.held.items():
                holders[session.pid] = holders.get(session.pid, 0) + count
            bound = self.first if self.bounded else None
            return SemaphoreStatistics(self.name, self.kind, self.free, bound, self.waiting, holders, self.attached())


class BoundedSemaphoreState(SemaphoreState):
    kind = "BoundedSemaphore"
    bounded = True
