"""A lock that its thread may take again."""

from __future__ import annotations

import threading
from typing import Any

from sharedkit.errors import NotLockedError
from sharedkit.thread.mutex import Mutex, MutexState, OnOwnerDied

__all__ = ["RLock", "RLockState", "check_wait"]

UNHELD = "cannot release un-acquired lock"


class RLockState(MutexState):
    """`count`, how often its thread has taken it, and `owner`, who that is, are written by that thread alone."""

    __slots__ = ("count", "owner")

    kind = "RLock"

    def __init__(self, name: str, on_owner_died: OnOwnerDied = "warn") -> None:
        super().__init__(name, on_owner_died)
        self.owner = 0
        self.count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = threading.get_ident()
        if self.owner == me:
            check_wait(blocking, timeout)
            self.count += 1
            return True
        if not super().acquire(blocking, timeout):
            return False
        self.owner = me
        self.count = 1
        return True

    def release(self) -> None:
        if self.owner != threading.get_ident():
            raise NotLockedError(UNHELD)
        self.count -= 1
        if not self.count:
            self.owner = 0
            self.core.release()

    def times(self, locked: bool) -> int:
        return self.count

    # What a condition asks of its lock, as threading's does.

    def _is_owned(self) -> bool:
        return self.owner == threading.get_ident()

    def _release_save(self) -> int:
        if self.owner != threading.get_ident():
            raise NotLockedError(UNHELD)
        count, self.count, self.owner = self.count, 0, 0
        self.core.release()
        return count

    def _acquire_restore(self, count: int) -> None:
        self.acquire()
        self.count = count


def check_wait(blocking: bool, timeout: float) -> None:
    """The same errors for what makes no sense, whether or not one has to wait."""
    if timeout == -1:
        return
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")


class RLock(Mutex[RLockState], kind="RLock"):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.RLock`: the thread that holds it may take it again, and is alone to release it, as often as it has taken
    it. `block=` is `blocking=`, and a `timeout` of None waits for ever as -1 does. `with` takes it; it does not close
    the handle.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal lock.
    """

    __slots__ = ()

    _make = RLockState

    def release(self) -> None:
        """Undo one `acquire`; NotLockedError, a RuntimeError, where this thread does not hold the lock."""
        self._state.release()

    def _is_owned(self) -> bool:
        return self._state._is_owned()

    def _recursion_count(self) -> int:
        state = self._state
        return state.count if state._is_owned() else 0

    def _release_save(self) -> Any:
        return self._state._release_save()

    def _acquire_restore(self, saved: Any) -> None:
        self._state._acquire_restore(saved)

    def _count(self) -> str:
        return f" count={self._state.count}"
