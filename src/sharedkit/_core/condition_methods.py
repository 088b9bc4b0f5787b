"""The common part of the conditions behind a server: notifying, waiting for a predicate, what a task does."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from sharedkit._core.coroutines import coroutine_function
from sharedkit._core.counts import how_many_to_notify
from sharedkit._core.handle_methods import StructureMethods
from sharedkit._core.lock_methods import TaskLockMethods
from sharedkit._core.timeouts import await_for, refuse_too_long, span
from sharedkit.statistics import ConditionStatistics

__all__ = ["ConditionMethods"]

T = TypeVar("T")


class ConditionMethods(TaskLockMethods, StructureMethods):
    """The rest of a condition, built on the methods below."""

    @abstractmethod
    def _wake(self, n: int | None) -> None:
        """Wake the first `n` waiters, or all if n is None. Raises RuntimeError if the caller does not hold the lock."""

    @abstractmethod
    async def _await(self, who: Any, timeout: float | None) -> bool:
        """Do as `wait` does, for the caller `who`, without blocking the event loop. Raises OverflowError."""

    @abstractmethod
    def _called(self) -> str:
        """What tells the lock from others, in `repr`."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait up to `timeout` seconds (None: for ever) to be notified, and take the lock again."""

    @abstractmethod
    def statistics(self) -> ConditionStatistics:
        """Return the state of the lock, and how many threads wait or must take it again: a ConditionStatistics."""

    @coroutine_function
    def await_(self, timeout: float | None = None) -> Coroutine[Any, Any, bool]:
        """Wait as `wait` does, without blocking the event loop; a coroutine. (`await` is a Python keyword.)

        The calling task must hold the lock. It holds the lock again afterwards, even when it is cancelled. If a
        notification has already come to a cancelled task, it goes to the next waiter.
        """
        timeout = span(timeout)
        refuse_too_long(timeout)
        return self._await(self._who(), timeout)

    @coroutine_function
    def await_for(self, predicate: Callable[[], T], timeout: float | None = None) -> Coroutine[Any, Any, T]:
        """Wait as `wait_for` does, without blocking the event loop; a coroutine."""
        return await_for(partial(self._await, self._who()), predicate, timeout)

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until `predicate()` is true, up to `timeout` seconds (None: for ever); return its last result."""
        self._ensure_open()
        remaining = span(timeout)
        deadline = None if remaining is None else monotonic() + remaining
        result = predicate()
        while not result:
            self.wait(remaining)
            result = predicate()
            if deadline is not None and (remaining := deadline - monotonic()) <= 0:
                break
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the `n` waiters that have waited longest, or all if there are fewer.

        Raises RuntimeError if the caller does not hold the lock.
        """
        self._wake(how_many_to_notify(n))

    def notify_all(self) -> None:
        """Wake all waiters. Raises RuntimeError if the caller does not hold the lock."""
        self._wake(None)

    def notifyAll(self) -> None:
        """Deprecated name of `notify_all`; gives a DeprecationWarning."""
        warnings.warn("notifyAll() is deprecated, use notify_all() instead", DeprecationWarning, stacklevel=2)
        self.notify_all()

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        snapshot = self.statistics()
        lock = snapshot.lock
        held = f"{'locked' if lock.count else 'unlocked'} sharedkit.{lock.kind} object owner={lock.owner}"
        if lock.kind == "RLock":
            held += f" count={lock.count}"
        return f"<Condition(<{held} at {self._called()}>, {snapshot.waiting}) name={self._name!r}>"
