"""The common part of the RWLocks behind a server: the two sides, what a task does with them, and `repr`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Generic, TypeVar

from sharedkit._core import readiness
from sharedkit._core.handle_methods import HandleMethods
from sharedkit.statistics import RWLockStatistics

__all__ = ["RWLockMethods", "SideMethods"]

W = TypeVar("W", bound="RWLockMethods[SideMethods]")
S_co = TypeVar("S_co", bound="SideMethods", covariant=True)


class SideMethods:
    """Reading or writing, with the interface of a Lock; a placement adds the methods that take it and give it back."""

    def __init__(self, whole: RWLockMethods[SideMethods], what: str, locked: Callable[[], bool]) -> None:
        self._whole = whole
        self._what = what
        self._locked = locked

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """As `RWLock.aacquire_read` or `aacquire_write`."""
        return await self._whole._atake(self._what, blocking if block is None else block, timeout)

    def locked(self) -> bool:
        """Whether any thread reads, or writes."""
        return self._locked()

    async def __aenter__(self) -> bool:
        return await self.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._whole._arelease(self._what)


class RWLockMethods(HandleMethods, Generic[S_co]):
    """The rest of an RWLock, built on `_atake`, `_arelease`, `statistics` and the class of its sides."""

    side: ClassVar[Callable[..., SideMethods]]

    @abstractmethod
    async def _atake(self, what: str, blocking: bool, timeout: float | None) -> bool:
        """Begin to "read" or "write", without blocking the event loop."""

    @abstractmethod
    async def _arelease(self, what: str) -> None:
        """End reading or writing, without blocking the event loop."""

    @abstractmethod
    def statistics(self) -> RWLockStatistics:
        """Return the writer, how many threads read and how many wait: an RWLockStatistics."""

    async def aacquire_read(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Begin to read as `acquire_read` does, without blocking the event loop."""
        return await self._atake("read", blocking if block is None else block, timeout)

    async def aacquire_write(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Begin to write as `acquire_write` does, without blocking the event loop."""
        return await self._atake("write", blocking if block is None else block, timeout)

    @property
    def reader(self) -> S_co:
        """The read side, with the interface of a Lock."""
        self._ensure_open()
        return self.side(self, "read", lambda: bool(self.statistics().readers))  # type: ignore[return-value]

    @property
    def writer(self) -> S_co:
        """The write side, with the interface of a Lock."""
        self._ensure_open()
        return self.side(self, "write", lambda: self.statistics().writer is not None)  # type: ignore[return-value]

    @property
    def owner_died(self) -> bool:
        """Whether a writer died while writing, and no later writer has released the lock since."""
        return self.statistics().owner_died

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        snapshot = self.statistics()
        held = f"readers={sum(snapshot.readers.values())}" if snapshot.writer is None else f"writer={snapshot.writer}"
        return f"<sharedkit.RWLock at {id(self):#x} name={self._name!r}: {held}>"


readiness.refuse(SideMethods, readiness.BEHIND_A_SERVER)
