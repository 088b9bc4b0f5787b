"""A lock for many readers or one writer, behind a server."""

from __future__ import annotations

from types import TracebackType

from sharedkit._core.rwlock_methods import RWLockMethods, SideMethods
from sharedkit._core.timeouts import check_wait
from sharedkit.manager._exchange import Request, giving, taking
from sharedkit.manager.awaiting import aend
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.lock import bound_of, warn_if
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import RWLockStatistics

__all__ = ["RWLock"]


class _Side(SideMethods):
    """Reading or writing, with the interface of a Lock."""

    _whole: RWLock

    @taking
    def acquire(
        self, request: Request, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """As `RWLock.acquire_read` or `acquire_write`."""
        return self._whole._take(request, self._what, blocking if block is None else block, timeout)

    @giving
    def release(self, request: Request) -> None:
        """As `RWLock.release_read` or `release_write`."""
        self._whole._call(f"release_{self._what}", request=request)

    @taking
    def __enter__(self, request: Request) -> bool:
        return self._whole._take(request, self._what, True, -1)

    @giving
    def __exit__(
        self,
        request: Request,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._whole._call(f"release_{self._what}", request=request)


class RWLock(RWLockMethods[_Side], Handle):
    """RWLock(*, name=None, exist_ok=False, persist=False, seats=192)

    A lock that many readers or one writer can hold: `with rw.reader:`, `with rw.writer:`. While a writer waits, no new
    reader begins to read. A read lock cannot be upgraded, and a reader must not acquire it a second time. A lock held
    by a dead process is free. After a writer has died, every reader and writer gets an OwnerDiedWarning, and
    `owner_died` is true, until another writer has released the lock. `with` on the handle itself closes it.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    RWLock with the same `seats` and `persist`.
    """

    kind = "RWLock"
    side = _Side

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = DEFAULT_SEATS
    ) -> None:
        self._create(name, exist_ok, persist, seats, {})

    def _take(self, request: Request, what: str, blocking: bool, timeout: float | None) -> bool:
        willing = bool(blocking)
        wait = check_wait(willing, timeout)
        try:
            got, died = self._call(f"acquire_{what}", willing, wait, request=request, bound=bound_of(willing, wait))
        except StandsStill:
            return False
        warn_if(died, self._name)  # if the warning is raised as an error, `taking` gives the lock back
        return bool(got)

    async def _atake(self, what: str, blocking: bool, timeout: float | None) -> bool:
        wait = check_wait(bool(blocking), timeout)
        try:
            got, died = await self._acall(f"acquire_{what}", bool(blocking), wait, bound=bound_of(bool(blocking), wait))
        except StandsStill:
            return False
        try:
            warn_if(died, self._name)
        except BaseException:
            await self._arelease(what)
            raise
        return bool(got)

    async def _arelease(self, what: str) -> None:
        await aend(self._ensure_open(), self._ident, f"release_{what}")

    @taking
    def acquire_read(
        self, request: Request, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Begin to read, together with other readers; wait as `Lock.acquire` does. Returns whether the lock was taken.

        Raises as `Lock.acquire` does.
        """
        return self._take(request, "read", blocking if block is None else block, timeout)

    @giving
    def release_read(self, request: Request) -> None:
        """End reading, in any thread; NotLockedError if this process does not hold a read lock."""
        self._call("release_read", request=request)

    @taking
    def acquire_write(
        self, request: Request, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Begin to write, alone; wait as `Lock.acquire` does. Returns whether the lock was taken.

        Raises as `Lock.acquire` does.
        """
        return self._take(request, "write", blocking if block is None else block, timeout)

    @giving
    def release_write(self, request: Request) -> None:
        """End writing; NotLockedError if this process does not hold the write lock."""
        self._call("release_write", request=request)

    def statistics(self) -> RWLockStatistics:
        """Return the writer, how many threads read and how many wait: an RWLockStatistics."""
        snapshot: RWLockStatistics = self._call("statistics")
        return snapshot
