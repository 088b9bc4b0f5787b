"""A flag in the server."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.states.base import Call, Line, State, Wait, Waiting
from sharedkit.statistics import EventStatistics

__all__ = ["EventState"]


class EventState(State):
    """A waiting client goes on when the flag is set, even if the next request clears the flag at once."""

    kind = "Event"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.flag = False
        self.waiting = Line(lambda: self.flag)
        self.lines = (self.waiting,)

    def do_is_set(self, call: Call) -> bool:
        return self.flag

    def do_set(self, call: Call) -> None:
        self.flag = True

    def do_clear(self, call: Call) -> None:
        self.flag = False

    def do_wait(self, call: Call, timeout: float | None) -> Waiting[bool]:
        return self.flag or (yield Wait(self.waiting, timeout))

    def do_statistics(self, call: Call) -> EventStatistics:
        return EventStatistics(self.name, self.kind, self.flag, len(self.waiting), self.attached())
