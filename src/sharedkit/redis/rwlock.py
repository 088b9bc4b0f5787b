"""A lock for many readers or one writer, in a Redis server."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from sharedkit._core.callers import warn_caller
from sharedkit._core.rwlock_methods import RWLockMethods, SideMethods
from sharedkit._core.timeouts import check_wait
from sharedkit.errors import NotLockedError, OwnerDiedWarning, SharedkitError
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, pids
from sharedkit.redis.lock import death_of
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session
from sharedkit.statistics import RWLockStatistics

__all__ = ["RWLock"]


class _Side(SideMethods):
    """Reading or writing, with the interface of a Lock."""

    _whole: RWLock

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """As `RWLock.acquire_read` or `acquire_write`."""
        return self._whole._take(self._what, blocking if block is None else block, timeout)

    def release(self) -> None:
        """As `RWLock.release_read` or `release_write`."""
        self._whole._end(self._what)

    def __enter__(self) -> bool:
        return self._whole._take(self._what, True, -1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole._end(self._what)


class RWLock(RWLockMethods[_Side], Handle):
    """RWLock(*, name=None, exist_ok=False, persist=False, seats=192)

    A lock that many readers or one writer can hold: `with rw.reader:`, `with rw.writer:`. While a writer waits, no new
    reader begins to read. A read lock cannot be upgraded, and a reader must not acquire it a second time. A lock held
    by a process that has died, or was silent for its lease, is free. After a writer has died, every reader and writer
    gets an OwnerDiedWarning, and `owner_died` is true, until another writer has released the lock. `with` on the handle
    itself closes it.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    RWLock with the same `seats` and `persist`.
    """

    kind = "RWLock"
    lua = "rwlock"
    side = _Side

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = DEFAULT_SEATS
    ) -> None:
        self._create(name, exist_ok, persist, seats, {})

    def _use(self, session: Session, answer: Any, payload: bytes | None, number: int, left: int) -> bool:
        """Whether the side was taken. Raises OwnerDiedWarning if warnings are errors; then it goes back."""
        if answer[0] == 3 or (answer[0] == 0 and payload is None):
            return False
        if (answer[1] if answer[0] == 1 else payload) in (b"1", b"1 r", b"1 w"):
            warn_caller(death_of(self._name), OwnerDiedWarning)
        if answer[0] == 0:
            session.acknowledge(self._base, number)
        return True

    def _use_in_task(self, session: Session, answer: Any, payload: bytes | None, number: int, left: int) -> Any:
        """Do as `_use` does; but return an OwnerDiedWarning instead of raising it: then the side is held."""
        try:
            return self._use(session, answer, payload, number, left)
        except OwnerDiedWarning as why:
            if answer[0] == 0:
                session.acknowledge(self._base, number)
            return why

    def _take(self, what: str, blocking: bool, timeout: float | None) -> bool:
        willing = bool(blocking)
        wait = check_wait(willing, timeout)
        session = self._ensure_open()
        try:
            got = session.take(
                self.lua, self._base, b"acquire_" + what.encode(), b"%d" % (willing and wait != 0),
                timeout=None if wait == -1 else wait,
                use=lambda *came: self._use(session, *came), shrinks=False,
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        return bool(got)

    async def _atake(self, what: str, blocking: bool, timeout: float | None) -> bool:
        from sharedkit.redis.tasks import atake

        willing = bool(blocking)
        wait = check_wait(willing, timeout)
        session = self._ensure_open()
        try:
            got = await atake(
                session, self.lua, self._base, b"acquire_" + what.encode(), b"%d" % (willing and wait != 0),
                timeout=None if wait == -1 else wait,
                use=lambda *came: self._use_in_task(session, *came), shrinks=False,
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        if isinstance(got, BaseException):
            await self._arelease(what)
            raise got
        return bool(got)

    def _end(self, what: str) -> None:
        try:
            self._call(b"release_" + what.encode(), shrinks=True)
        except Refused as why:
            raise self._refusal(why, what) from None

    async def _arelease(self, what: str) -> None:
        from sharedkit.redis.tasks import acall

        try:
            await acall(self._ensure_open(), self.lua, self._base, b"release_" + what.encode(), shrinks=True)
        except Refused as why:
            raise self._refusal(why, what) from None

    def _refusal(self, why: Refused, what: str) -> Exception:
        if why.code != "SKNOTLOCKED":
            return why
        return NotLockedError(f"release of a {what} lock of {self._name!r} that this process does not hold")

    def acquire_read(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to read, together with other readers; wait as `Lock.acquire` does. Returns whether the lock was taken.

        Raises as `Lock.acquire` does.
        """
        return self._take("read", blocking if block is None else block, timeout)

    def release_read(self) -> None:
        """End reading, in any thread; NotLockedError if this process does not hold a read lock."""
        self._end("read")

    def acquire_write(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Begin to write, alone; wait as `Lock.acquire` does. Returns whether the lock was taken.

        Raises as `Lock.acquire` does.
        """
        return self._take("write", blocking if block is None else block, timeout)

    def release_write(self) -> None:
        """End writing; NotLockedError if this process does not hold the write lock."""
        self._end("write")

    def statistics(self) -> RWLockStatistics:
        """Return the writer, how many threads read and how many wait: an RWLockStatistics."""
        writer, since, fields, to_read, to_write, died, sessions = self._read(b"statistics")
        readers: dict[int, int] = {}
        for field, count in zip(fields[::2], fields[1::2], strict=True):
            if field.startswith(b"r:"):
                (pid,) = pids([field[2:]])
                readers[pid] = readers.get(pid, 0) + int(count)
        return RWLockStatistics(
            name=self._name,
            kind=self.kind,
            writer=pids([writer])[0] if writer else None,
            since=int(since) / 1000 if since else None,
            readers=readers,
            waiting_readers=to_read,
            waiting_writers=to_write,
            owner_died=died == b"1",
            attached=pids(sessions),
        )
