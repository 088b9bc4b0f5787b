"""The common part of the locks behind a server: what a task does with them, and what their statistics say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any

from sharedkit._core import readiness
from sharedkit._core.coroutines import coroutine_function, outlive
from sharedkit._core.handle_methods import StructureMethods
from sharedkit.statistics import LockStatistics

__all__ = ["LockMethods", "NamedLockMethods", "TaskLockMethods"]


class TaskLockMethods:
    """What a task does with a lock or a condition, built on `_atake` and `_arelease`. A placement has its own names of
    callers."""

    @abstractmethod
    def _who(self) -> Any:
        """The caller, for an RLock: the running task if it holds the lock, otherwise the thread."""

    @abstractmethod
    def _task(self) -> Any:
        """The caller, if it is a task that wants to hold an RLock. Raises RuntimeError if it is no task."""

    @abstractmethod
    async def _atake(self, blocking: bool, timeout: float | None, who: Any) -> bool:
        """Take the lock for `who`, without blocking the event loop."""

    @abstractmethod
    async def _arelease(self, who: Any) -> None:
        """Release the lock that `who` holds, without blocking the event loop."""

    @coroutine_function
    def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> Coroutine[Any, Any, bool]:
        """Take the lock as `acquire` does, without blocking the event loop; a coroutine.

        The holder of an RLock is then the calling task.
        """
        return self._atake(blocking if block is None else block, timeout, self._task())

    def __aenter__(self) -> Coroutine[Any, Any, bool]:
        return self.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):
            await outlive()
        await self._arelease(self._who())


class LockMethods(TaskLockMethods):
    """The rest of a lock, built on `statistics`, too."""

    @abstractmethod
    def statistics(self) -> LockStatistics:
        """Return the holder, how often and since when it holds, and how many threads wait: a LockStatistics."""

    def locked(self) -> bool:
        """Whether the lock is held now."""
        return self.statistics().count > 0

    @property
    def owner_died(self) -> bool:
        """Whether a holder died while it held the lock, and no later holder has released it since."""
        return self.statistics().owner_died


class NamedLockMethods(LockMethods, StructureMethods):
    """A lock that is a structure of its own."""

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        snapshot = self.statistics()
        held = "locked" if snapshot.count else "unlocked"
        count = f" count={snapshot.count}" if self.kind == "RLock" else ""
        return (
            f"<{held} sharedkit.{self.kind} object owner={snapshot.owner}{count} name={self._name!r} at {id(self):#x}>"
        )


readiness.refuse(TaskLockMethods, readiness.BEHIND_A_SERVER)
