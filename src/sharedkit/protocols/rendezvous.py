"""Structures that threads wait for: events, conditions and barriers."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from sharedkit.protocols.handle import Handle, Structure
from sharedkit.statistics import BarrierStatistics, ConditionStatistics, EventStatistics

__all__ = ["Barrier", "Condition", "Event"]

T = TypeVar("T")


class Event(Handle, Protocol):
    """`threading.Event`: a flag to wait for. `set` never waits for the waiters that it wakes."""

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = 192
    ) -> None: ...

    def is_set(self) -> bool:
        """Whether the flag is set."""

    def isSet(self) -> bool:
        """Return `is_set()` and give a DeprecationWarning."""

    def set(self) -> None:
        """Set the flag and wake all waiters."""

    def clear(self) -> None:
        """Clear the flag."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, or was set after the call began; False if that does not happen in time."""

    async def await_(self, timeout: float | None = None) -> bool:
        """Wait as `wait` does, without blocking the event loop."""

    def statistics(self) -> EventStatistics:
        """Return whether the flag is set, and how many threads wait."""


class Condition(Structure, Protocol):
    """`threading.Condition` over a Lock or RLock of the same placement or its own RLock; `with` takes the lock."""

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, as its own `acquire` does."""

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock as `acquire` does, without blocking the event loop."""

    def release(self) -> None:
        """Release the lock, as its own `release` does."""

    def locked(self) -> bool:
        """Whether the lock is held now; `threading.Condition` has this method from Python 3.14 on."""

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait to be notified and take the lock again; False if no notification comes in time."""

    async def await_(self, timeout: float | None = None) -> bool:
        """Wait as `wait` does. A cancelled task takes the lock again before it ends.

        If the cancelled task has been notified, another waiter gets the notification.
        """

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until `predicate()` is true; return its last result."""

    async def await_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait as `wait_for` does, without blocking the event loop."""

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters; RuntimeError if the caller does not hold the lock."""

    def notify_all(self) -> None:
        """Wake all waiters; RuntimeError if the caller does not hold the lock."""

    def notifyAll(self) -> None:
        """Call `notify_all()` and give a DeprecationWarning."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def statistics(self) -> ConditionStatistics:
        """Return the lock's statistics, and how many threads wait or have been notified."""


class Barrier(Handle, Protocol):
    """`threading.Barrier`; a process that dies while it waits breaks the barrier."""

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the other parties; return a number below `parties` that is different for each party.

        Raises threading.BrokenBarrierError.
        """

    async def await_(self, timeout: float | None = None) -> int:
        """Wait as `wait` does. A cancelled task counts as not arrived."""

    def reset(self) -> None:
        """Make the barrier empty and unbroken again; waiting threads get a BrokenBarrierError."""

    def abort(self) -> None:
        """Break the barrier until `reset()`."""

    @property
    def parties(self) -> int:
        """How many must come."""

    @property
    def n_waiting(self) -> int:
        """How many have come and wait for the others."""

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken, until `reset()`."""

    def statistics(self) -> BarrierStatistics:
        """Return how many parties have come, and which processes they belong to."""
