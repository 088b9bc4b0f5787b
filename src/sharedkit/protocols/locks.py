"""What is held: locks and semaphores. `with` takes and gives back; it does not close the handle."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Protocol

from sharedkit.protocols.handle import Handle, Structure
from sharedkit.statistics import LockStatistics, RWLockStatistics, SemaphoreStatistics

__all__ = ["BoundedSemaphore", "Lock", "Lockable", "RLock", "RWLock", "Semaphore"]


class Lockable(Protocol):
    """The face of `threading.Lock`, with `block=` for `blocking=` and None for a timeout of -1."""

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take it, and say whether that came about in time."""

    async def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool: ...

    def release(self) -> None:
        """Let it go; NotLockedError, a RuntimeError and a ValueError, where it is not held."""

    def locked(self) -> bool:
        """Whether somebody holds it now."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Lock(Lockable, Structure, Protocol):
    """`threading.Lock`: any thread may release it. Held by one that dies, it goes to the next, who is told."""

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: Literal["warn", "raise"] = "warn",
        seats: int = 192,
    ) -> None: ...

    @property
    def owner(self) -> int | None:
        """Process id of the holder; None when it is free."""

    @property
    def owner_died(self) -> bool:
        """Whether the one who held it before died holding it, and nobody has released it in order since."""

    def mark_consistent(self) -> None:
        """Say that what the lock protects is in order again: `owner_died` is false from now on."""

    def statistics(self) -> LockStatistics: ...


class RLock(Lockable, Structure, Protocol):
    """`threading.RLock`: the thread that holds it may take it again, and it alone may release it.

    What `aacquire` takes belongs to the task that calls it, so that two tasks of a thread exclude each other; in that
    task `acquire` and `release` mean it as well.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: Literal["warn", "raise"] = "warn",
        seats: int = 192,
    ) -> None: ...

    @property
    def owner(self) -> int | None:
        """Process id of the holder; None when it is free."""

    @property
    def owner_died(self) -> bool:
        """Whether the one who held it before died holding it, and nobody has released it in order since."""

    def mark_consistent(self) -> None:
        """Say that what the lock protects is in order again: `owner_died` is false from now on."""

    def statistics(self) -> LockStatistics: ...


class Semaphore(Structure, Protocol):
    """`threading.Semaphore`: permits that nobody owns, so that it serves as a signal, too."""

    def __init__(
        self,
        value: int = 1,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def acquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit, and say whether that came about in time."""

    async def aacquire(
        self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None
    ) -> bool: ...

    def release(self, n: int = 1) -> None:
        """Give `n` permits back; ValueError below 1."""

    def get_value(self) -> int:
        """How many permits are free now, as `multiprocessing.Semaphore` calls it."""

    def locked(self) -> bool:
        """Whether no permit is free now, as `multiprocessing.Semaphore` calls it from Python 3.14 on."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def statistics(self) -> SemaphoreStatistics: ...


class BoundedSemaphore(Semaphore, Protocol):
    """`threading.BoundedSemaphore`: more releases than acquisitions are a ValueError.

    The permits of a process that dies come back.
    """


class RWLock(Handle, Protocol):
    """A lock that many hold to read or one to write; who wants to write goes before who wants to read.

    It cannot be upgraded, and who reads must not begin to read again: a writer that came between waits for the
    first reading to end, and the second for the writer.
    """

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = 192
    ) -> None: ...

    def acquire_read(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to read, beside others; whether that came about in time."""

    async def aacquire_read(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool: ...

    def release_read(self) -> None:
        """End reading; NotLockedError where this process does not read."""

    def acquire_write(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to write, alone; whether that came about in time."""

    async def aacquire_write(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool: ...

    def release_write(self) -> None:
        """End writing; NotLockedError where nobody writes."""

    @property
    def reader(self) -> Lockable:
        """Reading, with the face of a Lock."""

    @property
    def writer(self) -> Lockable:
        """Writing, with the face of a Lock."""

    @property
    def owner_died(self) -> bool:
        """Whether a writer died writing, and no other has ended in order since."""

    def statistics(self) -> RWLockStatistics: ...
