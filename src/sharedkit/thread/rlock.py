"""A lock that its thread may take again."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any

from sharedkit._times import check_wait
from sharedkit.errors import NotLockedError
from sharedkit.thread.mutex import Mutex, MutexState, OnOwnerDied, Take
from sharedkit.thread.waiters import wait

__all__ = ["RLock", "RLockState"]

UNHELD = "cannot release un-acquired lock"


class RLockState(MutexState):
    """`count`, how often its owner has taken it, and `owner`, who that is, are written by that one alone.

    The owner is a thread, by its identifier, or where `aacquire` took the lock a task, by a negative number.
    """

    __slots__ = ("count", "owner")

    kind = "RLock"

    def __init__(self, name: str, on_owner_died: OnOwnerDied = "warn") -> None:
        super().__init__(name, on_owner_died)
        self.owner = 0
        self.count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = threading.get_ident()
        owner = self.owner
        if owner == me or (owner < 0 and owner == _this_task()):
            check_wait(blocking, timeout)
            self.count += 1
            return True
        if not super().acquire(blocking, timeout):
            return False
        self.owner = me
        self.count = 1
        return True

    def aacquire(self, blocking: bool = True, timeout: float = -1) -> Coroutine[Any, Any, bool]:
        return self._aacquire_as(_this_task(), blocking, timeout)

    async def _aacquire_as(self, me: int, blocking: bool, timeout: float) -> bool:
        if not me:
            raise RuntimeError("only a task can wait for an RLock, which it will hold in its own name")
        if self.owner == me:
            check_wait(blocking, timeout)
            self.count += 1
            return True
        return await self.await_turn(lambda deadline: TakeAs(self, me, 1, deadline), blocking, timeout)

    def release(self) -> None:
        owner = self.owner
        if owner != threading.get_ident() and not (owner < 0 and owner == _this_task()):
            raise NotLockedError(UNHELD)
        self.count -= 1
        if not self.count:
            self._free()

    def _free(self) -> None:
        self.owner = 0
        self.core.release()
        if self.tasks.line:
            self.let_tasks_look()

    def times(self, locked: bool) -> int:
        return self.count

    # What a condition asks of its lock, as threading's does.

    def _is_owned(self) -> bool:
        owner = self.owner
        return owner == threading.get_ident() or (owner < 0 and owner == _this_task())

    def _release_save(self) -> tuple[int, int]:
        if not self._is_owned():
            raise NotLockedError(UNHELD)
        return self._release_save_as(self.owner)

    def _release_save_as(self, owner: int) -> tuple[int, int]:
        """The same for its owner, whoever runs now."""
        saved = owner, self.count
        self.count = 0
        self._free()
        return saved

    def _acquire_restore(self, saved: tuple[int, int]) -> None:
        super().acquire()
        self.owner, self.count = saved

    async def _aacquire_restore(self, saved: tuple[int, int]) -> None:
        await wait(TakeAs(self, *saved, None))


class TakeAs(Take):
    """A task's wait for a lock that will be held by `owner`, `count` times."""

    __slots__ = ("count", "owner")

    mutex: RLockState

    def __init__(self, mutex: RLockState, owner: int, count: int, deadline: float | None) -> None:
        super().__init__(mutex, deadline)
        self.owner = owner
        self.count = count

    def look(self, told: bool) -> Any:
        answer = super().look(told)
        if answer is True:
            self.mutex.owner, self.mutex.count = self.owner, self.count
        return answer


def _this_task() -> int:
    """What stands for the running task, below 0, as no thread's identifier is; 0 where none runs in this thread."""
    from sharedkit import aio

    return -aio.name_of_task()


class RLock(Mutex[RLockState], kind="RLock"):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.RLock`: the thread that holds it may take it again, and is alone to release it, as often as it has taken
    it. `block=` is `blocking=`, and a `timeout` of None waits for ever as -1 does. `with` takes it; it does not close
    the handle. What `aacquire` and `async with` take belongs to the running task: two tasks of a thread exclude each
    other, and in that task `acquire` and `release` count on.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal lock.
    """

    __slots__ = ()

    _make = RLockState

    def release(self) -> None:
        """Undo one `acquire`; NotLockedError, a RuntimeError, where this thread or task does not hold the lock."""
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
