"""Lock and RLock in the server. If a client dies, the next waiter gets its lock and learns of the death."""

from __future__ import annotations

from time import time
from typing import Any

from sharedkit._core.timeouts import check_wait
from sharedkit.errors import NotLockedError, OwnerDiedError
from sharedkit.manager.protocol import Cancelled
from sharedkit.manager.states.base import Call, Line, Session, State, Wait, Waiting
from sharedkit.statistics import LockStatistics

__all__ = ["LockState", "RLockState"]


class LockState(State):
    """`owner` is the session that holds the lock, `thread` is its thread; `poisoned` is true after an owner's death."""

    kind = "Lock"
    reentrant = False

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.owner: Session | None = None
        self.thread = 0
        self.count = 0
        self.since = 0.0
        self.poisoned = False
        self.waiting = Line(lambda: self.owner is None)
        self.lines = (self.waiting,)

    def owned_by(self, call: Call) -> bool:
        """Whether this thread holds the lock. For a Lock, which any thread may release: whether any thread holds it."""
        return self.owner is not None

    def do_acquire(self, call: Call, blocking: bool, timeout: float) -> tuple[bool, bool] | Waiting[tuple[bool, bool]]:
        """Whether the lock was taken, and whether its last owner died while it held the lock."""
        check_wait(blocking, timeout)
        if self.reentrant and self.owned_by(call):
            self.count += 1
            return True, False
        if self.owner is None:
            return self._take_free(call)
        return self._take_waiting(call, None if timeout == -1 else timeout) if blocking else (False, False)

    def _take_waiting(self, call: Call, timeout: float | None) -> Waiting[tuple[bool, bool]]:
        if not (yield Wait(self.waiting, timeout)):
            return False, False
        return self._take_free(call)

    def _take_free(self, call: Call) -> tuple[bool, bool]:
        self._refuse_torn()
        self._take(call, 1)
        return True, self.poisoned

    def undo_acquire(self, call: Call, got: tuple[bool, bool], *args: Any) -> None:
        if got[0] and self.owner is call.session and self.thread == call.thread:
            self.count -= 1
            if not self.count:
                self.owner = None

    def _refuse_torn(self) -> None:
        if self.poisoned and self.owner is None and self.spec["on_owner_died"] == "raise":
            raise OwnerDiedError(
                f"the owner of {self.kind} {self.name!r} died holding it; repair what it protects, "
                "then call mark_consistent()"
            )

    def _take(self, call: Call, count: int) -> None:
        self.owner, self.thread, self.count, self.since = call.session, call.thread, count, time()

    def do_release(self, call: Call) -> None:
        self.check_owned(call)
        self.count -= 1
        if not self.count:
            self.poisoned = False
            self.owner = None

    def check_owned(self, call: Call) -> None:
        """Raise NotLockedError if this thread may not release the lock."""
        if self.owner is None:
            raise NotLockedError("release unlocked lock")

    def release_all(self) -> int:
        """Release the lock for a condition; returns how often it was held."""
        saved, self.count = self.count, 0
        self.poisoned = False
        self.owner = None
        return saved

    def is_nobodys(self, call: Call) -> bool:
        """Whether the call's client has ended or closed its last handle, so that it would never release the lock."""
        return call.session.dead or call.channel.closed or call.session not in self.refs

    def take_again(self, call: Call, count: int) -> Waiting[tuple[bool, bool]]:
        """Wait for the lock again, for a condition; its client leaves only with the lock.

        Returns whether an owner died meanwhile, and whether the client has left the wait.
        """
        left = False
        while self.owner is not None:
            try:
                yield Wait(self.waiting)
            except Cancelled:
                if self.is_nobodys(call):
                    raise
                left = True
        self._take(call, count)
        return self.poisoned, left

    def do_mark_consistent(self, call: Call) -> None:
        self.poisoned = False

    def do_is_owned(self, call: Call) -> bool:
        return self.owned_by(call)

    def do_release_save(self, call: Call) -> int:
        self.check_owned(call)
        return self.release_all()

    def do_acquire_restore(self, call: Call, count: int) -> Waiting[bool]:
        poisoned, left = yield from self.take_again(call, count)
        if left:
            raise Cancelled
        return poisoned

    def undo_acquire_restore_whole(self, call: Call, result: None, *args: Any) -> None:
        """Release the lock, because its holder will never continue."""
        if self.owner is call.session and self.thread == call.thread:
            self.release_all()

    def forget(self, session: Session) -> None:
        if self.owner is session:
            self.poisoned = True
            self.owner, self.count = None, 0

    def do_statistics(self, call: Call) -> LockStatistics:
        return self.snapshot()

    def snapshot(self) -> LockStatistics:
        """The result of `statistics()`."""
        owner = self.owner
        return LockStatistics(
            name=self.name,
            kind=self.kind,
            owner=None if owner is None else owner.pid,
            since=None if owner is None else self.since,
            waiting=len(self.waiting),
            owner_died=self.poisoned,
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
