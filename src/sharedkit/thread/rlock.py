"""A lock that its thread may take again."""

from __future__ import annotations

import os
import threading
from time import time
from types import TracebackType
from typing import Any

from sharedkit.errors import NotLockedError
from sharedkit.statistics import LockStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Structure
from sharedkit.thread.lock import OnOwnerDied, checked_answer, differs_from
from sharedkit.thread.registry import DEFAULT_SEATS, State

__all__ = ["RLock", "RLockState", "check_wait"]

UNHELD = "cannot release un-acquired lock"


class RLockState(State):
    """`core` is the lock. `count`, how often its thread has taken it, and `since` are written by that thread alone."""

    __slots__ = ("core", "count", "on_owner_died", "owner", "since", "waiters")

    kind = "RLock"

    def __init__(self, name: str, on_owner_died: OnOwnerDied = "warn") -> None:
        super().__init__(name)
        self.core = threading.Lock()
        self.on_owner_died = on_owner_died
        self.owner = 0
        self.count = 0
        self.since = 0.0
        self.waiters: set[int] = set()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        core, me = self.core, threading.get_ident()
        if self.owner == me:
            check_wait(blocking, timeout)
            self.count += 1
            return True
        if not blocking or timeout != -1 or not core.acquire(False):
            if blocking:
                self.waiters.add(me)
            try:
                if not core.acquire(blocking, timeout):
                    return False
            finally:
                self.waiters.discard(me)
        self.owner = me
        self.count = 1
        self.since = time()
        return True

    def release(self) -> None:
        if self.owner != threading.get_ident():
            raise NotLockedError(UNHELD)
        self.count -= 1
        if not self.count:
            self.owner = 0
            self.core.release()

    def locked(self) -> bool:
        return self.core.locked()

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

    def picture(self) -> LockStatistics:
        locked = self.core.locked()
        return LockStatistics(
            name=self.name,
            kind=self.kind,
            owner=os.getpid() if locked else None,
            since=self.since if locked else None,
            waiting=len(self.waiters),
            owner_died=False,
            count=self.count,
            attached=(os.getpid(),),
        )


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


class RLock(Structure[RLockState], kind="RLock"):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.RLock`: the thread that holds it may take it again, and is alone to release it, as often as it has taken
    it. `block=` is `blocking=`, and a `timeout` of None waits for ever as -1 does. `with` takes it; it does not close
    the handle.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal lock.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: OnOwnerDied = "warn",
        seats: int = DEFAULT_SEATS,
    ) -> None:
        answer = checked_answer(on_owner_died)
        super().__init__(
            registry.open_state(
                lambda name: RLockState(name, answer),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                differs=differs_from("RLock", answer),
            )
        )

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock once more, and say whether that came about before `timeout` seconds were over.

        Raises ValueError for a negative `timeout` other than -1, and for one together with `blocking=False`;
        OverflowError for one past threading.TIMEOUT_MAX.
        """
        return self._state.acquire(blocking if block is None else block, -1 if timeout is None else timeout)

    def release(self) -> None:
        """Undo one `acquire`; NotLockedError, a RuntimeError, where this thread does not hold the lock."""
        self._state.release()

    def locked(self) -> bool:
        """Whether some thread holds the lock now."""
        return self._state.locked()

    @property
    def owner(self) -> int | None:
        """This process's id while some thread holds the lock, else None."""
        return os.getpid() if self._state.locked() else None

    @property
    def owner_died(self) -> bool:
        """False: the threads of a process do not die without it."""
        self._state.ensure_open()
        return False

    def mark_consistent(self) -> None:
        """Does nothing, as no owner has died."""
        self._state.ensure_open()

    def _is_owned(self) -> bool:
        return self._state._is_owned()

    def _recursion_count(self) -> int:
        state = self._state
        return state.count if state._is_owned() else 0

    def _release_save(self) -> Any:
        return self._state._release_save()

    def _acquire_restore(self, saved: Any) -> None:
        self._state._acquire_restore(saved)

    def __enter__(self) -> bool:
        return self._state.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.release()

    def statistics(self) -> LockStatistics:
        """How often it is held, since when, and how many threads wait for it, as one frozen picture."""
        return self._state.picture()

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        held = "locked" if self.locked() else "unlocked"
        count = self._state.count
        return f"<{held} sharedkit.RLock object owner={self.owner} count={count} name={self._name!r} at {id(self):#x}>"
