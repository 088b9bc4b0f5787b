"""A barrier in the server: one generation of parties after the other. Who dies or leaves in it breaks it."""

from __future__ import annotations

from threading import BrokenBarrierError
from typing import Any

from sharedkit.manager.states.base import Call, Session, State
from sharedkit.manager.wire import Cancelled
from sharedkit.statistics import BarrierState as Phase
from sharedkit.statistics import BarrierStatistics

__all__ = ["BarrierState"]


class _Generation:
    """The `parties` that meet once; `actor` calls the action for them, in its own process."""

    def __init__(self) -> None:
        self.parties: list[Session] = []
        self.actor: Call | None = None
        self.over = False
        self.broken = False


class BarrierState(State):
    kind = "Barrier"

    def __init__(self, name: str, spec: dict[str, Any], timeout: float | None) -> None:
        super().__init__(name, spec)
        self.count: int = spec["parties"]
        self.timeout = timeout
        self.current = _Generation()
        self.draining = 0

    def do_wait(self, call: Call, timeout: float | None, acts: bool) -> tuple[int, bool]:
        """The party's number, and whether it has to call the action and say so by `acted`."""
        timeout = self.timeout if timeout is None else timeout
        with self.changed:
            if not self.await_it(call, lambda: self.current.actor is None or self.current.broken, timeout):
                self._break()
            mine = self.current
            if mine.broken:
                raise BrokenBarrierError
            number = len(mine.parties)
            mine.parties.append(call.session)
            if number + 1 == self.count:
                if acts:
                    mine.actor = call
                    return number, True
                self._pass()
                return number, False
            self.draining += 1
            try:
                if not self.await_it(call, lambda: mine.over or mine.broken, timeout):
                    self._break()
            except Cancelled:
                if not mine.over:
                    self._break()
                raise
            finally:
                self.draining -= 1
            if mine.broken:
                raise BrokenBarrierError
            return number, False

    def _pass(self) -> None:
        self.current.over = True
        self.current = _Generation()
        self.changed.notify_all()

    def _break(self) -> None:
        self.current.broken = True
        self.current.parties.clear()
        self.current.actor = None
        self.changed.notify_all()

    def do_acted(self, call: Call, fine: bool) -> None:
        with self.changed:
            if self.current.actor is not call:
                raise BrokenBarrierError
            if fine:
                self._pass()
            else:
                self._break()

    def do_reset(self, call: Call) -> None:
        with self.changed:
            self.current.broken = True
            self.current = _Generation()
            self.changed.notify_all()

    def do_abort(self, call: Call) -> None:
        with self.changed:
            self._break()

    def forget(self, session: Session) -> None:
        if session in self.current.parties:
            self._break()

    def do_statistics(self, call: Call) -> BarrierStatistics:
        with self.changed:
            now = self.current
            owners = tuple(session.pid for session in now.parties)
            phase: Phase = "filling"
            if now.broken:
                phase = "broken"
            elif now.actor is not None:
                phase = "acting"
            elif self.draining > len(now.parties):
                phase = "draining"
            return BarrierStatistics(self.name, self.kind, self.count, len(owners), phase, owners, self.attached())
