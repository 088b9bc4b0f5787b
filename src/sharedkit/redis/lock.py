"""Locks in a Redis server. If a process dies, or is silent for its whole lease, the next waiters get its locks."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, Literal, Protocol

from sharedkit._core.callers import warn_caller
from sharedkit._core.lock_methods import LockMethods, NamedLockMethods
from sharedkit._core.timeouts import check_wait
from sharedkit.errors import NotLockedError, OwnerDiedError, OwnerDiedWarning, SharedkitError
from sharedkit.redis.handle import DEFAULT_SEATS, Asking, Structure, pids
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session
from sharedkit.statistics import LockStatistics

__all__ = ["Lock", "PartLock", "RLock", "death_of", "lend"]

_Taken = tuple[bool, bool]
"""Whether the lock was taken, and whether its last holder died."""


def death_of(name: str) -> str:
    """The text of the warning that the last holder of a lock has died."""
    return f"the process that held the lock of {name!r} has died: check what the lock protects"


class _Holdable(Asking, LockMethods):
    """Acquiring and releasing the lock whose key is `_base`."""

    lua = "lock"
    _reentrant = False

    # --- the caller

    def _who(self) -> bytes:
        """The caller, for an RLock: the running task if it holds the lock, otherwise the thread. Empty for a Lock."""
        if not self._reentrant:
            return b""
        held = _held_by_tasks.get(self._key())
        if held is not None and "asyncio" in sys.modules and held[0] == _name_of_task():
            return held[0]
        return b"t%d" % threading.get_ident()

    def _task(self) -> bytes:
        """The running task, which wants to hold an RLock. Empty for a Lock."""
        if not self._reentrant:
            return b""
        name = _name_of_task()
        if name is None:
            raise RuntimeError("only a task can await an RLock, because the task itself will hold it")
        return name

    def _count(self, who: bytes, times: int) -> None:
        """Add `times`, which may be negative, to the count of how often this caller holds the lock."""
        if who.startswith(b"a"):
            key = self._key()
            held = _held_by_tasks.get(key)
            times += held[1] if held is not None and held[0] == who else 0
            if times > 0:
                _held_by_tasks[key] = (who, times)
            elif held is not None and held[0] == who:
                del _held_by_tasks[key]

    def _key(self) -> tuple[bytes, bytes]:
        return self._ensure_open().sid, self._base

    # --- acquiring

    def _use(self, session: Session, who: bytes, answer: Any, payload: bytes | None, number: int, left: int) -> _Taken:
        """Return the result of an acquisition. Raises OwnerDiedError, or OwnerDiedWarning if warnings are errors."""
        if answer[0] == 0:
            if payload is None:
                return False, False
            if payload == b"refused":
                session.acknowledge(self._base, number)
                raise self._owner_died()
            died, _, fence = payload.partition(b" ")
        elif answer[0] == 1:
            died, fence = answer[1:]
        else:
            return False, False
        if died == b"1":
            # if this raises, `take` gives the lock back
            warn_caller(death_of(self._name), OwnerDiedWarning)
        session.fences[self._base] = int(fence)
        self._count(who, 1)
        if answer[0] == 0:
            session.acknowledge(self._base, number)
        return True, died == b"1"

    def _owner_died(self) -> OwnerDiedError:
        return OwnerDiedError(
            f"the process that held the lock of {self._name!r} has died: repair what it protects, then "
            "mark_consistent()"
        )

    def _acquire(self, blocking: bool, timeout: float | None) -> bool:
        willing = bool(blocking)
        wait = check_wait(willing, timeout)
        session, who = self._ensure_open(), self._who()
        try:
            taken, _ = session.take(
                self.lua, self._base, b"acquire", who, b"%d" % (willing and wait != 0),
                entry=who, timeout=None if wait == -1 else wait,
                use=lambda *came: self._use(session, who, *came), shrinks=False,
            )  # fmt: skip
        except Refused as why:
            raise self._refusal(why) from None
        except SharedkitError as why:
            raise self._told(why) from None
        return bool(taken)

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock; with `blocking`, wait up to `timeout` seconds (-1 or None: for ever).

        Returns whether the lock was taken. Gives an OwnerDiedWarning if the process that held the lock before has died;
        with `on_owner_died="raise"`, raises OwnerDiedError instead. Raises ValueError for another negative timeout, or
        for any timeout with `blocking=False`; OverflowError for one longer than threading.TIMEOUT_MAX; LeaseLostError
        if this process was silent for longer than its lease.
        """
        return self._acquire(blocking if block is None else block, timeout)

    async def _atake(self, blocking: bool, timeout: float | None, who: bytes) -> bool:
        from sharedkit.redis.tasks import atake

        willing = bool(blocking)
        wait = check_wait(willing, timeout)
        session = self._ensure_open()
        try:
            taken, _ = await atake(
                session, self.lua, self._base, b"acquire", who, b"%d" % (willing and wait != 0),
                entry=who, timeout=None if wait == -1 else wait,
                use=lambda *came: self._use_in_task(session, who, *came), shrinks=False,
            )  # fmt: skip
            if isinstance(taken, BaseException):
                await self._arelease(who)
                raise taken
        except Refused as why:
            raise self._refusal(why) from None
        except SharedkitError as why:
            raise self._told(why) from None
        return bool(taken)

    def _use_in_task(
        self, session: Session, who: bytes, answer: Any, payload: bytes | None, number: int, left: int
    ) -> Any:
        """Do as `_use` does; but return an OwnerDiedWarning instead of raising it: then the lock is held."""
        try:
            return self._use(session, who, answer, payload, number, left)
        except OwnerDiedWarning as why:
            self._count(who, 1)
            if answer[0] == 0:
                session.acknowledge(self._base, number)
            return why, True

    # --- releasing

    def release(self) -> None:
        """Release the lock. Raises NotLockedError, which is a RuntimeError and a ValueError, if the lock is not held,
        or if it is an RLock that this thread does not hold. A release that has begun is completed, whatever a signal
        handler raises.
        """
        session, who = self._ensure_open(), self._who()
        try:
            left = session.call(self.lua, self._base, b"release", who, shrinks=True)
        except Refused as why:
            raise self._refusal(why) from None
        except SharedkitError as why:
            raise self._told(why) from None
        self._released(session, who, left)

    async def _arelease(self, who: bytes) -> None:
        from sharedkit.redis.tasks import acall

        session = self._ensure_open()
        self._count(who, -1)
        try:
            left = await acall(session, self.lua, self._base, b"release", who, shrinks=True)
        except Refused as why:
            raise self._refusal(why) from None
        self._released(session, b"", left)

    def _released(self, session: Session, who: bytes, left: int) -> None:
        if left == 0:
            session.fences.pop(self._base, None)
        self._count(who, -1)

    def _refusal(self, why: Refused) -> Exception:
        if why.code == "SKNOTLOCKED":
            return NotLockedError(f"cannot release un-acquired lock {self._name!r}")
        return self._owner_died() if why.code == "SKOWNERDIED" else why

    def __enter__(self) -> bool:
        return self._acquire(True, -1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    # --- inspecting

    @property
    def fence(self) -> int | None:
        """A number that grows with each new holder; None if this process does not hold the lock.

        Pass it to a store outside of the server with each write, and let the store refuse a write with a smaller number
        than before: this also keeps out a holder that was silent for its lease while another process took the lock.
        Raises LeaseLostError if this process was silent for longer than its lease.
        """
        return self._ensure_open().fences.get(self._base)

    @property
    def owner(self) -> int | None:
        """The process id of the holder, on its machine; None when the lock is free."""
        return self.statistics().owner

    def mark_consistent(self) -> None:
        """Declare that the data that the lock protects is consistent again: `owner_died` is false from now on."""
        self._call(b"mark_consistent", shrinks=True)

    def statistics(self) -> LockStatistics:
        """Return the holder, how often and since when it holds, and how many threads wait: a LockStatistics."""
        return self._looked_at()[0]

    def _looked_at(self) -> tuple[LockStatistics, bytes, bytes]:
        holder, who, count, since, died, _, waiting, sessions = self._read(b"statistics")
        return (
            LockStatistics(
                self._name,
                "RLock" if self._reentrant else "Lock",
                pids([holder])[0] if holder else None,
                int(since) / 1000 if since else None,
                waiting,
                died == b"1",
                int(count),
                pids(sessions),
            ),
            holder,
            who,
        )


class _Named(_Holdable, NamedLockMethods, Structure):
    """A lock that is a structure of its own."""

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: Literal["warn", "raise"] = "warn",
        seats: int = DEFAULT_SEATS,
    ) -> None:
        if on_owner_died not in ("warn", "raise"):
            raise ValueError(f"on_owner_died must be 'warn' or 'raise': {on_owner_died!r}")
        raises = b"1" if on_owner_died == "raise" else b"0"
        self._create(name, exist_ok, persist, seats, {"on_owner_died": on_owner_died}, raises, b"%d" % self._reentrant)


class Lock(_Named):
    """Lock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.Lock`: any thread of any process may release it. If the process that holds it dies, or is silent for its
    whole lease, the next waiter takes the lock over, finds `owner_died` true and gets an OwnerDiedWarning. With
    `on_owner_died="raise"`, every `acquire` then raises OwnerDiedError instead of taking the lock, until
    `mark_consistent()`. A process that was silent and then goes on gets LeaseLostError; `fence` keeps it from writing
    to other stores. `with` takes the lock; it does not close the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    Lock with the same parameters.
    """

    kind = "Lock"

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock as `acquire` does, without blocking the event loop."""
        return await self._atake(blocking if block is None else block, timeout, b"")


class RLock(_Named):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.RLock`: the thread that holds it may take it again; only that thread may release it, as often as it has
    taken it. The holder is a thread of a process, or the task that runs in that thread; its death has the same effect
    as for a Lock. `with` takes the lock; it does not close the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    RLock with the same parameters.
    """

    kind = "RLock"
    _reentrant = True

    def _is_owned(self) -> bool:
        _, holder, who = self._looked_at()
        return holder == self._ensure_open().sid and who == self._who()

    def _recursion_count(self) -> int:
        snapshot, holder, who = self._looked_at()
        return snapshot.count if holder == self._ensure_open().sid and who == self._who() else 0

    def _release_save(self) -> int:
        count = self._recursion_count()
        for _ in range(max(count, 1)):  # if this caller does not hold the lock, `release` raises
            self.release()
        return count

    def _acquire_restore(self, saved: int) -> None:
        for _ in range(saved):
            self.acquire()


class _Whole(Protocol):
    """The structure that a lock is a part of: a condition."""

    _name: str

    @property
    def lock(self) -> Any: ...
    def _ensure_open(self) -> Session: ...
    def _told(self, why: SharedkitError) -> SharedkitError: ...


class PartLock(_Holdable):
    """The lock that comes with another structure, with the methods of a Lock. It is closed when the whole is.

    Library, key and name of the lock may be the whole's own; otherwise `of` is the handle on the lock.
    """

    def __init__(self, whole: _Whole, lua: str, base: bytes, kind: str, name: str, of: Structure | None = None) -> None:
        self._whole, self._of_handle = whole, of
        self.lua = lua
        self._base = base
        self._name = name
        self._reentrant = kind == "RLock"

    def _ensure_open(self) -> Session:
        session = self._whole._ensure_open()
        return session if self._of_handle is None else self._of_handle._ensure_open()

    def _told(self, why: SharedkitError) -> SharedkitError:
        return self._whole._told(why)

    def __reduce__(self) -> tuple[Any, ...]:
        return _lock_of, (self._whole,)

    def __repr__(self) -> str:
        return f"<lock of {self._whole!r}>"


def _lock_of(whole: _Whole) -> Any:
    return whole.lock


_held_by_tasks: dict[tuple[bytes, bytes], tuple[bytes, int]] = {}
"""The re-entrant locks that tasks of this process hold, and how often."""


def _name_of_task() -> bytes | None:
    from sharedkit.aio import waiters

    name = waiters.name_of_task()
    return b"a%d" % name if name else None


def lend(lock: tuple[bytes, bytes], who: bytes) -> int:
    """Record that the task releases the lock for a while; returns how often it has held the lock."""
    held = _held_by_tasks.get(lock)
    if held is None or held[0] != who:
        return 0
    del _held_by_tasks[lock]
    return held[1]
