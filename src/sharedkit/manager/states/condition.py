"""A condition in the server, over a lock there. If a notified client dies or leaves, another gets the notification."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.protocol import Cancelled
from sharedkit.manager.states.base import Call, Line, Session, State, Wait, Waiting
from sharedkit.manager.states.lock import LockState, RLockState
from sharedkit.statistics import ConditionStatistics

__all__ = ["ConditionState"]


class ConditionState(State):
    """`asleep` holds the waiters in their order; `returning` counts those that were notified and wait for the lock."""

    kind = "Condition"

    def __init__(self, name: str, spec: dict[str, Any], lock: LockState | None) -> None:
        super().__init__(name, spec)
        self.lock: LockState = RLockState(name, {"on_owner_died": "warn"}) if lock is None else lock
        self.asleep = Line(
            lambda: False
        )  # not ready by itself: a notification, the end of its time or a cancel ends the wait
        self.returning = 0

    def parts(self) -> tuple[State, ...]:
        return (self.lock,)

    def settle(self) -> None:
        self.lock.settle()

    def do_lock(self, call: Call) -> int:
        """The number of the lock."""
        return self.lock.ident

    def do_wait(self, call: Call, timeout: float | None) -> Waiting[tuple[bool, bool, int]]:
        """Whether a notification came, whether an owner of the lock died meanwhile, and how often the lock is held."""
        if not self.lock.owned_by(call):
            raise RuntimeError("cannot wait on un-acquired lock")
        count = self.lock.release_all()
        notified = left = False
        try:
            notified = yield Wait(self.asleep, timeout)
        except Cancelled:
            if self.lock.is_nobodys(call):
                raise
            left = True
        self.returning += notified
        try:
            poisoned, late = yield from self.lock.take_again(call, count)
        except Cancelled:
            self._pass_on(notified)
            raise
        finally:
            self.returning -= notified
        if left or late:
            self._pass_on(notified)
            raise Cancelled(count)
        return notified, poisoned, count

    def undo_wait(self, call: Call, result: tuple[bool, bool, int], *args: Any) -> None:
        """Pass the notification on. A living client that has left its wait keeps the lock."""
        self._pass_on(result[0])
        if call.channel.closed and self.lock.owner is call.session and self.lock.thread == call.thread:
            self.lock.release_all()

    def undo_wait_whole(self, call: Call, result: None, *args: Any) -> None:
        """Release the lock, too, which the client holds since the end of a wait that it has left."""
        self.lock.undo_acquire_restore_whole(call, result)

    def do_notify(self, call: Call, n: int | None) -> None:
        if not self.lock.owned_by(call):
            raise RuntimeError("cannot notify on un-acquired lock")
        self._notify(len(self.asleep) if n is None else n)

    def _notify(self, n: int) -> None:
        """Let the first `n` waiters wait for the lock. Waiters whose client has just died are not counted."""
        while n > 0:
            call = next((each for each in self.asleep.calls if each.session.is_open()), None)
            if call is None:
                return
            n -= 1
            call.go_on(True)

    def _pass_on(self, notified: bool) -> None:
        if notified:
            self._notify(1)

    def forget(self, session: Session) -> None:
        """Do nothing: the session's waits have ended before, and the lock releases its holds itself, as a part."""

    def do_statistics(self, call: Call) -> ConditionStatistics:
        lock = self.lock.snapshot()
        return ConditionStatistics(self.name, self.kind, lock, len(self.asleep), self.returning, self.attached())
