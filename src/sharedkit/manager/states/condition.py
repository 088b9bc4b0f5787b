"""A condition in the server, under the mutex of its lock. Who dies or leaves in it hands its notification on."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.states.base import Call, Session, State
from sharedkit.manager.states.lock import LockState, RLockState
from sharedkit.manager.wire import Cancelled
from sharedkit.statistics import ConditionStatistics

__all__ = ["ConditionState"]


class _Waiter:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.told = False


class ConditionState(State):
    """`waiters` in the order in which they came, those that were `told` among them until they are back."""

    kind = "Condition"

    def __init__(self, name: str, spec: dict[str, Any], lock: LockState | None) -> None:
        super().__init__(name, spec)
        self.own = lock is None
        self.lock: LockState = RLockState(name, {"on_owner_died": "warn"}) if lock is None else lock
        self.changed = self.lock.changed
        self.waiters: list[_Waiter] = []

    def parts(self) -> tuple[State, ...]:
        return (self.lock,)

    def do_lock(self, call: Call) -> int:
        """The number of the lock."""
        return self.lock.ident

    def do_wait(self, call: Call, timeout: float | None) -> tuple[bool, bool]:
        """Whether a notification came, and whether an owner of the lock died meanwhile."""
        with self.changed:
            if not self.lock.owned_by(call):
                raise RuntimeError("cannot wait on un-acquired lock")
            waiter = _Waiter(call.session)
            self.waiters.append(waiter)
            count, _ = self.lock.release_all()
            left = False
            try:
                try:
                    self.await_it(call, lambda: waiter.told, timeout)
                except Cancelled:
                    left = True
                torn = self.lock.take_again(call, count)
            except Cancelled:
                left = True
                raise
            finally:
                self.waiters.remove(waiter)
                if left and waiter.told:
                    self._notify(1)
            if left:
                raise Cancelled
            return waiter.told, torn

    def do_notify(self, call: Call, n: int | None) -> None:
        with self.changed:
            if not self.lock.owned_by(call):
                raise RuntimeError("cannot notify on un-acquired lock")
            self._notify(len(self.waiters) if n is None else n)

    def _notify(self, n: int) -> None:
        asleep = [waiter for waiter in self.waiters if not waiter.told and not waiter.session.dead]
        for waiter in asleep[: max(0, n)]:
            waiter.told = True
        self.changed.notify_all()

    def do_statistics(self, call: Call) -> ConditionStatistics:
        lock = self.lock.picture()
        told = sum(waiter.told for waiter in self.waiters)
        return ConditionStatistics(self.name, self.kind, lock, len(self.waiters) - told, told, self.attached())
