"""Lock and RLock in the server. What a dead client held goes to the next, with word of it."""

from __future__ import annotations

from time import time
from typing import Any

from sharedkit.errors import NotLockedError, OwnerDiedError
from sharedkit.manager.states.base import Call, Session, State, check_wait
from sharedkit.manager.wire import Cancelled
from sharedkit.statistics import LockStatistics

__all__ = ["LockState", "RLockState"]


class LockState(State):
    """`owner` is the session that took it and `thread` which of its threads; `torn` from an owner's death on."""

    kind = "Lock"
    reentrant = False

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.owner: Session | None = None
        self.thread = 0
        self.count = 0
        self.since = 0.0
        self.waiting = 0
        self.torn = False

    def owned_by(self, call: Call) -> bool:
        """Whether this thread has it; for a Lock, which any thread may release, whether anybody has."""
        return self.owner is not None

    def do_acquire(self, call: Call, blocking: bool, timeout: float) -> tuple[bool, bool]:
        """Whether it was taken, and whether the one who had it before died with it."""
        check_wait(blocking, timeout)
        with self.changed:
            if self.reentrant and self.owned_by(call):
                self.count += 1
                return True, False
            self._refuse_torn()
            if self.owner is not None:
                if not blocking or not self._await_free(call, None if timeout == -1 else timeout):
                    return False, False
                self._refuse_torn()
            self._take(call, 1)
            call.undo = lambda: self._undo(call)
            return True, self.torn

    def _refuse_torn(self) -> None:
        if self.torn and self.owner is None and self.spec["on_owner_died"] == "raise":
            raise OwnerDiedError(
                f"the owner of {self.kind} {self.name!r} died holding it; repair what it protects, "
                "then call mark_consistent()"
            )

    def _await_free(self, call: Call, timeout: float | None) -> bool:
        self.waiting += 1
        try:
            return self.await_it(call, lambda: self.owner is None, timeout)
        finally:
            self.waiting -= 1

    def _take(self, call: Call, count: int) -> None:
        if call.session.dead:
            raise Cancelled
        self.owner, self.thread, self.count, self.since = call.session, call.thread, count, time()

    def _free(self) -> None:
        self.owner, self.count = None, 0
        self.changed.notify_all()

    def _undo(self, call: Call) -> None:
        with self.changed:
            if self.owner is call.session and self.thread == call.thread:
                self._free()

    def do_release(self, call: Call) -> None:
        with self.changed:
            self.check_owned(call)
            self.count -= 1
            if not self.count:
                self.torn = False
                self._free()

    def check_owned(self, call: Call) -> None:
        """NotLockedError where this thread may not release it."""
        if self.owner is None:
            raise NotLockedError("release unlocked lock")

    def release_all(self) -> tuple[int, bool]:
        """Let go of it however often it was taken, for a condition. `changed` is held."""
        saved = self.count, self.torn
        self.torn = False
        self._free()
        return saved

    def take_again(self, call: Call, count: int) -> bool:
        """Wait for it, for a condition, whose client may not leave without it; whether an owner died meanwhile."""
        self.waiting += 1
        try:
            while self.owner is not None:
                if call.session.dead:
                    raise Cancelled
                call.waiting_in = self
                self.changed.wait()
        finally:
            call.waiting_in = None
            self.waiting -= 1
        self._take(call, count)
        return self.torn

    def do_mark_consistent(self, call: Call) -> None:
        with self.changed:
            self.torn = False
            self.changed.notify_all()

    def do_is_owned(self, call: Call) -> bool:
        with self.changed:
            return self.owned_by(call)

    def do_release_save(self, call: Call) -> int:
        with self.changed:
            self.check_owned(call)
            return self.release_all()[0]

    def do_acquire_restore(self, call: Call, count: int) -> bool:
        with self.changed:
            return self.take_again(call, count)

    def forget(self, session: Session) -> None:
        if self.owner is session:
            self.torn = True
            self._free()

    def do_statistics(self, call: Call) -> LockStatistics:
        return self.picture()

    def picture(self) -> LockStatistics:
        with self.changed:
            owner = self.owner
            return LockStatistics(
                name=self.name,
                kind=self.kind,
                owner=None if owner is None else owner.pid,
                since=None if owner is None else self.since,
                waiting=self.waiting,
                owner_died=self.torn,
                count=self.count,
                attached=self.attached(),
            )


class RLockState(LockState):
    kind = "RLock"
    reentrant = True

    def owned_by(self, call: Call) -> bool:
        return self.owner is call.session and self.thread == call.thread

    def check_owned(self, call: Call) -> None:
        if not self.owned_by(call):
            raise NotLockedError("cannot release un-acquired lock")
