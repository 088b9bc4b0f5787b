"""A barrier in the server, in generations of parties. It breaks if a client dies in it, but not if a client leaves."""

from __future__ import annotations

from threading import BrokenBarrierError
from typing import Any

from sharedkit.manager.protocol import Cancelled
from sharedkit.manager.states.base import Call, Line, Session, State, Wait, Waiting
from sharedkit.statistics import BarrierState as Phase
from sharedkit.statistics import BarrierStatistics

__all__ = ["BarrierState"]


class _Generation:
    """The `parties` that meet once; they wait in `inside`. The process of `actor` calls the action for them."""

    def __init__(self) -> None:
        self.parties: dict[int, Session] = {}
        self.inside = Line(lambda: False)  # released by the last party, or by the call that breaks it
        self.actor: tuple[Session, int] | None = None
        self.broken = False


class BarrierState(State):
    kind = "Barrier"

    def __init__(self, name: str, spec: dict[str, Any], timeout: float | None) -> None:
        super().__init__(name, spec)
        self.count: int = spec["parties"]
        self.timeout = timeout
        self.current = _Generation()
        self.outside = Line(lambda: self.current.actor is None or self.current.broken)
        self.lines = (self.outside,)

    def do_wait(self, call: Call, timeout: float | None, acts: bool) -> Waiting[tuple[int, bool]]:
        """The party's number, and whether it must call the action and report that by `acted`."""
        timeout = self.timeout if timeout is None else timeout
        if not self.outside.ready() and not (yield Wait(self.outside, timeout)):
            self._break()
        mine = self.current
        if mine.broken:
            raise BrokenBarrierError
        number = next(each for each in range(self.count) if each not in mine.parties)
        mine.parties[number] = call.session
        if len(mine.parties) == self.count:
            if acts:
                mine.actor = call.session, call.thread
                return number, True
            self._pass()
            return number, False
        try:
            if not (yield Wait(mine.inside, timeout)):
                self._break()
        except Cancelled:
            if call.session.dead or call.channel.closed:
                self._break()
            else:
                mine.parties.pop(number, None)
            raise
        if mine.broken:
            raise BrokenBarrierError
        return number, False

    def undo_wait(self, call: Call, result: tuple[int, bool], *args: Any) -> None:
        """Handle an actor that will not call the action: if it has left, it counts as not arrived; if it has died, the
        barrier breaks."""
        mine = self.current
        if not result[1] or mine.actor != (call.session, call.thread):
            return
        if call.session.dead or call.channel.closed:
            self._break()
        else:
            mine.actor = None
            del mine.parties[result[0]]

    def _pass(self) -> None:
        mine, self.current = self.current, _Generation()
        mine.inside.release()

    def _break(self) -> None:
        mine = self.current
        mine.broken = True
        mine.parties.clear()
        mine.actor = None
        mine.inside.release()

    def do_acted(self, call: Call, fine: bool) -> None:
        if self.current.actor != (call.session, call.thread):
            raise BrokenBarrierError
        if fine:
            self._pass()
        else:
            self._break()

    def do_reset(self, call: Call) -> None:
        mine, self.current = self.current, _Generation()
        mine.broken = True
        mine.inside.release()

    def do_timeout(self, call: Call) -> float | None:
        return self.timeout

    def do_abort(self, call: Call) -> None:
        self._break()

    def forget(self, session: Session) -> None:
        if session in self.current.parties.values():
            self._break()

    def do_statistics(self, call: Call) -> BarrierStatistics:
        now = self.current
        owners = tuple(session.pid for session in now.parties.values())
        phase: Phase = "broken" if now.broken else "filling" if now.actor is None else "acting"
        return BarrierStatistics(self.name, self.kind, self.count, len(owners), phase, owners, self.attached())
