"""Locks behind a server. If a client dies, the next waiters get its locks, with an OwnerDiedWarning."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Protocol

from sharedkit._core.callers import warn_caller
from sharedkit._core.lock_methods import LockMethods, NamedLockMethods
from sharedkit._core.timeouts import check_wait
from sharedkit.errors import ClosedError, GoneError, OwnerDiedWarning
from sharedkit.manager._exchange import Request, call, giving, taking
from sharedkit.manager.arguments import plain
from sharedkit.manager.awaiting import ASKERS, acall, aend
from sharedkit.manager.client import Client
from sharedkit.manager.handle import DEFAULT_SEATS, Structure
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import LockStatistics

__all__ = ["Lock", "PartLock", "RLock", "bound_of", "warn_if"]


def bound_of(blocking: bool, wait: float) -> float | None:
    """The time limit in seconds of an `acquire`, from the result of `check_wait`; None: no limit."""
    return 0.0 if not blocking else None if wait == -1 else wait


def warn_if(died: bool, name: str) -> None:
    """Warn that the last holder of the lock died while it held the lock."""
    if died:
        text = f"the process that held the lock of {name!r} has died: check what the lock protects"
        warn_caller(text, OwnerDiedWarning)


class _Taken(LockMethods):
    """Acquiring and releasing; a subclass's `_ask` sends a request about the lock."""

    def _ask(
        self,
        method: str,
        *args: Any,
        patience: float | None = 0.1,
        request: Request | None = None,
        who: int | None = None,
        bound: float | None = None,
    ) -> Any:
        raise NotImplementedError

    async def _aask(self, method: str, *args: Any, thread: int = 0, bound: float | None = None) -> Any:
        raise NotImplementedError

    def _who(self) -> int:
        """The caller: a number below 0 for a task that holds the RLock; else 0, which stands for the thread."""
        return 0

    def _task(self) -> int:
        """The caller, if it is a task that wants to hold the lock."""
        return 0

    def _count(self, who: int, times: int) -> None:
        """Add `times`, which may be negative, to the count of how often this caller holds the lock."""

    def _called(self) -> str:
        raise NotImplementedError

    def _take(self, request: Request, blocking: bool, timeout: float | None) -> bool:
        who = self._who()
        willing = bool(blocking)
        wait = check_wait(willing, timeout)
        try:
            got, died = self._ask("acquire", willing, wait, request=request, who=who, bound=bound_of(willing, wait))
        except StandsStill:
            return False
        warn_if(died, self._called())  # if the warning is raised as an error, `taking` gives the lock back
        if who:
            self._count(who, int(got))
        return bool(got)

    @taking
    def acquire(
        self, request: Request, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Take the lock; with `blocking`, wait up to `timeout` seconds (-1 or None: for ever).

        Returns whether the lock was taken. Gives an OwnerDiedWarning if the process that held the lock before has died;
        with `on_owner_died="raise"`, raises OwnerDiedError instead. Raises ValueError for another negative timeout, or
        for any timeout with `blocking=False`; OverflowError for one longer than threading.TIMEOUT_MAX.
        """
        return self._take(request, blocking if block is None else block, timeout)

    async def _atake(self, blocking: bool, timeout: float | None, who: int) -> bool:
        wait = check_wait(bool(blocking), timeout)
        try:
            got, died = await self._aask(
                "acquire", bool(blocking), wait, thread=who, bound=bound_of(bool(blocking), wait)
            )
        except StandsStill:
            return False
        self._count(who, int(got))
        try:
            warn_if(died, self._called())
        except BaseException:
            await self._arelease(self._who())
            raise
        return bool(got)

    @giving
    def release(self, request: Request) -> None:
        """Release the lock. Raises NotLockedError, which is a RuntimeError and a ValueError, if the lock is not held,
        or if it is an RLock that this thread does not hold. A release that has begun is completed, whatever a signal
        handler raises.
        """
        self._give(request)

    def _give(self, request: Request) -> None:
        if request.note is None:
            request.note = self._who()
        who = request.note
        self._ask("release", request=request, who=who)
        if who:
            self._count(who, -1)

    @taking
    def __enter__(self, request: Request) -> bool:
        return self._take(request, True, -1)

    @giving
    def __exit__(
        self,
        request: Request,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give(request)

    @property
    def owner(self) -> int | None:
        """The process id of the holder; None when the lock is free."""
        return self.statistics().owner

    def mark_consistent(self) -> None:
        """Declare that the data that the lock protects is consistent again: `owner_died` is false from now on."""
        self._ask("mark_consistent")

    def statistics(self) -> LockStatistics:
        """Return the holder, how often and since when it holds, and how many threads wait: a LockStatistics."""
        snapshot: LockStatistics = self._ask("statistics")
        return snapshot


class _Named(_Taken, NamedLockMethods, Structure):
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
        self._create(name, exist_ok, persist, seats, {"on_owner_died": on_owner_died})

    def _ask(
        self,
        method: str,
        *args: Any,
        patience: float | None = 0.1,
        request: Request | None = None,
        who: int | None = None,
        bound: float | None = None,
    ) -> Any:
        thread = self._who() if who is None else who
        return self._call(method, *args, patience=patience, thread=thread, request=request, bound=bound)

    async def _aask(self, method: str, *args: Any, thread: int = 0, bound: float | None = None) -> Any:
        return await self._acall(method, *args, thread=thread, bound=bound)

    async def _arelease(self, who: int) -> None:
        self._count(who, -1)
        await aend(self._ensure_open(), self._ident, "release", who)

    def _called(self) -> str:
        return self._name


class Lock(_Named):
    """Lock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.Lock`: any thread of any process may release it. If the process that holds it dies, the next waiter takes
    the lock over, finds `owner_died` true and gets an OwnerDiedWarning. With `on_owner_died="raise"`, every `acquire`
    then raises OwnerDiedError instead of taking the lock, until `mark_consistent()`. `with` takes the lock; it does not
    close the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    Lock with the same parameters.
    """

    kind = "Lock"

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock as `acquire` does, without blocking the event loop."""
        return await self._atake(blocking if block is None else block, timeout, 0)


class RLock(_Named):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.RLock`: the thread that holds it may take it again; only that thread may release it, as often as it has
    taken it. The holder is a thread of a process, or the task that runs in that thread; its death has the same effect
    as for a Lock. `with` takes the lock; it does not close the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    RLock with the same parameters.
    """

    kind = "RLock"

    def _who(self) -> int:
        return ASKERS.now(self._key())

    def _task(self) -> int:
        return ASKERS.task()

    def _count(self, who: int, times: int) -> None:
        ASKERS.count(self._key(), who, times)

    def _key(self) -> tuple[Any, int]:
        return self._ensure_open(), self._ident

    def _is_owned(self) -> bool:
        return bool(self._ask("is_owned"))

    def _recursion_count(self) -> int:
        return self.statistics().count if self._is_owned() else 0

    def _release_save(self) -> int:
        who = self._who()
        count: int = self._ask("release_save", who=who)
        self._count(who, -count)
        return count

    def _acquire_restore(self, saved: int) -> None:
        warn_if(self._ask("acquire_restore", saved, patience=None), self._name)


class _Whole(Protocol):
    """The structure that a lock is a part of: an array, a condition or a value."""

    _name: str

    @property
    def lock(self) -> Any: ...
    def _ensure_open(self) -> Client: ...
    def _is_closed(self, why: ClosedError) -> Exception: ...


class PartLock(_Taken):
    """The lock that comes with an array or a condition, with the methods of a Lock. It is closed when the whole is."""

    def __init__(self, whole: _Whole, ident: int, owned: bool = False) -> None:
        self._whole = whole
        self._ident = ident
        self._owned = owned  # whether the lock may be an RLock, which has an owner

    def _key(self) -> tuple[Client, int]:
        return self._whole._ensure_open(), self._ident

    def _who(self) -> int:
        return ASKERS.now(self._key()) if self._owned else 0

    def _task(self) -> int:
        return ASKERS.task() if self._owned else 0

    def _count(self, who: int, times: int) -> None:
        ASKERS.count(self._key(), who, times)

    def _ask(
        self,
        method: str,
        *args: Any,
        patience: float | None = 0.1,
        request: Request | None = None,
        who: int | None = None,
        bound: float | None = None,
    ) -> Any:
        client, ident = self._key()
        args, thread = plain(Lock.kind, method, args), self._who() if who is None else who
        try:
            if request is not None:
                return request.ask(client, ident, method, args, patience, thread, bound)
            return call(client, ident, method, args, patience, thread, bound)
        except ClosedError as why:
            raise self._whole._is_closed(why) from None
        except GoneError:
            self._whole._ensure_open()  # another thread may have closed it since the check above
            raise

    async def _aask(self, method: str, *args: Any, thread: int = 0, bound: float | None = None) -> Any:
        return await acall(*self._key(), method, *plain(Lock.kind, method, args), thread=thread, bound=bound)

    async def _arelease(self, who: int) -> None:
        self._count(who, -1)
        await aend(*self._key(), "release", who)

    def _called(self) -> str:
        return self._whole._name

    def __reduce__(self) -> tuple[Any, ...]:
        return _lock_of, (self._whole,)

    def __repr__(self) -> str:
        return f"<lock of {self._whole!r}>"


def _lock_of(whole: _Whole) -> Any:
    return whole.lock
