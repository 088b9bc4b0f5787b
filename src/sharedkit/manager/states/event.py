"""A flag in the server."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.states.base import Call, State
from sharedkit.statistics import EventStatistics

__all__ = ["EventState"]


class EventState(State):
    """`sets` counts how often it was set, so that who waits then returns though it is cleared at once."""

    kind = "Event"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.flag = False
        self.sets = 0
        self.waiting = 0

    def do_is_set(self, call: Call) -> bool:
        return self.flag

    def do_set(self, call: Call) -> None:
        with self.changed:
            self.flag = True
            self.sets += 1
            self.changed.notify_all()

    def do_clear(self, call: Call) -> None:
        with self.changed:
            self.flag = False

    def do_wait(self, call: Call, timeout: float | None) -> bool:
        with self.changed:
            if self.flag:
                return True
            seen = self.sets
            self.waiting += 1
            try:
                return self.await_it(call, lambda: self.sets != seen, timeout)
            finally:
                self.waiting -= 1

    def do_statistics(self, call: Call) -> EventStatistics:
        return EventStatistics(self.name, self.kind, self.flag, self.waiting, self.attached())
