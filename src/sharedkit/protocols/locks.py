"""Locks and semaphores. `with` acquires and releases; it does not close the handle."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Protocol

from sharedkit.protocols.handle import Handle, Structure
from sharedkit.statistics import LockStatistics, RWLockStatistics, SemaphoreStatistics

__all__ = ["BoundedSemaphore", "Lock", "Lockable", "RLock", "RWLock", "Semaphore"]


class Lockable(Protocol):
    """The interface of `threading.Lock`; also accepts `block=` for `blocking=` and None for a timeout of -1."""

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock; return whether it was taken in time."""

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock as `acquire` does, without blocking the event loop."""

    def release(self) -> None:
        """Release the lock; NotLockedError, which is a RuntimeError and a ValueError, if it is not held."""

    def locked(self) -> bool:
        """Whether the lock is held now."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Lock(Lockable, Structure, Protocol):
    """`threading.Lock`: any thread may release it.

    If a process dies while it holds the lock, the next waiter takes the lock over and gets an OwnerDiedWarning; with
    `on_owner_died="raise"` every `acquire` raises OwnerDiedError instead, until `mark_consistent()`.
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
        """The process id of the holder; None when the lock is free."""

    @property
    def owner_died(self) -> bool:
        """Whether a holder died while it held the lock, and no later holder has released it since."""

    def mark_consistent(self) -> None:
        """Declare that the data that the lock protects is consistent again: `owner_died` is false from now on."""

    def statistics(self) -> LockStatistics:
        """Return the holder, since when it holds, how many threads wait, and whether a holder died."""


class RLock(Lockable, Structure, Protocol):
    """`threading.RLock`: the thread that holds it may take it again, and only that thread may release it.

    A lock taken by `aacquire` belongs to the calling task, so two tasks of one thread exclude each other. In that task
    `acquire` and `release` act on the task's lock as well.
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
        """The process id of the holder; None when the lock is free."""

    @property
    def owner_died(self) -> bool:
        """Whether a holder died while it held the lock, and no later holder has released it since."""

    def mark_consistent(self) -> None:
        """Declare that the data that the lock protects is consistent again: `owner_died` is false from now on."""

    def statistics(self) -> LockStatistics:
        """Return the holder, since when it holds and how often, how many threads wait, and whether a holder died."""


class Semaphore(Structure, Protocol):
    """`threading.Semaphore`: permits have no owner, so it can also be used for signalling."""

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
        """Take one permit; return whether it was taken in time."""

    async def aacquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit as `acquire` does, without blocking the event loop."""

    def release(self, n: int = 1) -> None:
        """Release `n` permits; ValueError if `n` is below 1."""

    def get_value(self) -> int:
        """Return how many permits are free now, as in `multiprocessing.Semaphore`."""

    def locked(self) -> bool:
        """Whether no permit is free now. `multiprocessing.Semaphore` has this method from Python 3.14 on."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def statistics(self) -> SemaphoreStatistics:
        """Return the free permits, the bound, how many threads wait, and of a bounded semaphore the holders."""


class BoundedSemaphore(Semaphore, Protocol):
    """`threading.BoundedSemaphore`: more releases than acquisitions raise ValueError.

    When a process dies, the permits that it held are free again.
    """


class RWLock(Handle, Protocol):
    """A lock that many readers or one writer can hold; the process holds it, not the thread.

    Waiting writers go before waiting readers, but writers that never pause do not keep readers out. In the process's
    own memory and in shared memory, a reader that has waited for 1 ms goes before the next writer; behind a server, the
    readers that wait when a writer ends go before the next writer. A read lock cannot be upgraded, and a reader must
    not acquire it a second time: if a writer arrives in between, the writer waits for the first read to end, and the
    second read waits for the writer. After a writer has died, every reader and writer gets an OwnerDiedWarning until
    another writer has released the lock.
    """

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = 192
    ) -> None: ...

    def acquire_read(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to read, together with other readers; return whether that succeeded in time."""

    async def aacquire_read(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Begin to read as `acquire_read` does, without blocking the event loop."""

    def release_read(self) -> None:
        """End reading; NotLockedError if this process does not hold a read lock."""

    def acquire_write(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to write, alone; return whether that succeeded in time."""

    async def aacquire_write(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Begin to write as `acquire_write` does, without blocking the event loop."""

    def release_write(self) -> None:
        """End writing; NotLockedError if this process does not hold the write lock."""

    @property
    def reader(self) -> Lockable:
        """The read side, with the interface of a Lock."""

    @property
    def writer(self) -> Lockable:
        """The write side, with the interface of a Lock."""

    @property
    def owner_died(self) -> bool:
        """Whether a writer died while writing, and no later writer has released the lock since."""

    def statistics(self) -> RWLockStatistics:
        """Return the writer, the readers, how many threads wait, and whether a writer died."""
