"""What is waited for: events, conditions and barriers."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from sharedkit.protocols.handle import Handle, Structure
from sharedkit.statistics import BarrierStatistics, ConditionStatistics, EventStatistics

__all__ = ["Barrier", "Condition", "Event"]

T = TypeVar("T")


class Event(Handle, Protocol):
    """`threading.Event`: a flag to wait for. `set` never waits for those whom it wakes."""

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = 192
    ) -> None: ...

    def is_set(self) -> bool: ...

    def isSet(self) -> bool:
        """`is_set`, with a DeprecationWarning."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or was meanwhile; False where that does not come in time."""

    async def await_(self, timeout: float | None = None) -> bool: ...

    def statistics(self) -> EventStatistics: ...


class Condition(Structure, Protocol):
    """`threading.Condition` over a Lock or RLock of the same placement, or an RLock of its own; `with` takes it."""

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool: ...

    async def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool: ...

    def release(self) -> None: ...

    def locked(self) -> bool:
        """Whether somebody holds its lock now, as `threading.Condition` says from Python 3.14 on."""

    def wait(self, timeout: float | None = None) -> bool:
        """Let the lock go, wait to be notified and take it again; False where that does not come in time."""

    async def await_(self, timeout: float | None = None) -> bool:
        """As `wait`. Cancelled, it takes the lock again before it ends, and hands on a notification that has come."""

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until `predicate()` is true, and answer what it answered last."""

    async def await_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T: ...

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` of those that wait; RuntimeError without the lock."""

    def notify_all(self) -> None: ...

    def notifyAll(self) -> None:
        """`notify_all`, with a DeprecationWarning."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def statistics(self) -> ConditionStatistics: ...


class Barrier(Handle, Protocol):
    """`threading.Barrier`; a process that dies waiting breaks it."""

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
        """Wait for the others; a number of one's own below `parties`. Raises threading.BrokenBarrierError."""

    async def await_(self, timeout: float | None = None) -> int:
        """As `wait`. A task that is cancelled has not come."""

    def reset(self) -> None:
        """Make it empty and whole again; those that wait get a BrokenBarrierError."""

    def abort(self) -> None:
        """Break it until `reset()`."""

    @property
    def parties(self) -> int: ...

    @property
    def n_waiting(self) -> int: ...

    @property
    def broken(self) -> bool: ...

    def statistics(self) -> BarrierStatistics: ...
