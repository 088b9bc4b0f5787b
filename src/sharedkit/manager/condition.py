"""A condition behind a server."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar

from sharedkit._core.coroutines import coroutine_function
from sharedkit._core.counts import how_many_to_notify, perhaps_a_name
from sharedkit._core.lock_methods import TaskLockMethods
from sharedkit._core.timeouts import check_wait, refuse_too_long, span
from sharedkit.manager._exchange import Request, giving, taking
from sharedkit.manager.awaiting import ASKERS, asleep
from sharedkit.manager.client import Client
from sharedkit.manager.handle import DEFAULT_SEATS, Structure
from sharedkit.manager.lock import Lock, PartLock, RLock, bound_of, warn_if
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import ConditionStatistics

__all__ = ["Condition"]

T = TypeVar("T")


class Condition(TaskLockMethods, Structure):
    """Condition(lock=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Condition` over `lock`, a Lock or RLock of the same server, or over an RLock of its own. A notification
    for a client that died goes to the next waiter. `with` takes the lock; it does not close the handle.

    Raises TypeError for another lock, FileExistsError when `name` is taken and not `exist_ok`, ValueError when the
    existing structure is not a condition over the same lock with the same `seats` and `persist`.
    """

    kind = "Condition"

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        if lock is not None and (not isinstance(lock, Lock | RLock) or lock.home is not self.home):
            what = f"lock must be a Lock or RLock of the same server or None, not {type(lock).__name__}"
            raise TypeError(what + perhaps_a_name(lock))
        if lock is not None:
            lock._ensure_open()
        self._create(name, exist_ok, persist, seats, {"lock": None if lock is None else lock._ident})

    def _core(self, bound: float | None = None) -> int:
        """The number of the lock; the first call asks the server, within `bound` seconds."""
        if not hasattr(self, "_lock_ident"):
            self._lock_ident: int = self._call("lock", bound=bound)
        return self._lock_ident

    def _key(self) -> tuple[Client, int]:
        return self._ensure_open(), self._core()

    def _who(self) -> int:
        """The caller: a number below 0 for the task that holds the lock, else 0, which stands for the thread."""
        return ASKERS.now(self._key())

    def _task(self) -> int:
        return ASKERS.task()

    @property
    def lock(self) -> PartLock:
        """The lock of the condition."""
        return PartLock(self, self._core(), owned=True)

    @taking
    def acquire(
        self, request: Request, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool:
        """Take the lock, as its own `acquire` does."""
        willing = bool(blocking if block is None else block)
        try:
            self._core(bound_of(willing, check_wait(willing, timeout)))
        except StandsStill:
            return False
        return self.lock._take(request, willing, timeout)

    async def _atake(self, blocking: bool, timeout: float | None, who: int) -> bool:
        try:
            self._core(bound_of(bool(blocking), check_wait(bool(blocking), timeout)))
        except StandsStill:
            return False
        return await self.lock._atake(blocking, timeout, who)

    @giving
    def release(self, request: Request) -> None:
        """Release the lock; RuntimeError if it is not held. A release that has begun is completed, as for a Lock."""
        self.lock._give(request)

    def locked(self) -> bool:
        """Whether the lock is held now."""
        return self.lock.locked()

    @taking
    def __enter__(self, request: Request) -> bool:
        return self.lock._take(request, True, -1)

    @giving
    def __exit__(
        self,
        request: Request,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock._give(request)

    async def _arelease(self, who: int) -> None:
        await self.lock._arelease(who)

    def _is_owned(self) -> bool:
        return bool(self.lock._ask("is_owned"))

    @taking
    def wait(self, request: Request, timeout: float | None = None) -> bool:
        """Release the lock, wait up to `timeout` seconds (None: for ever) to be notified, and take the lock again.

        Returns whether it was notified. Raises RuntimeError if the caller does not hold the lock.
        """
        timeout = span(timeout)
        refuse_too_long(timeout)
        told, died, _ = self._call("wait", timeout, patience=None, thread=self._who(), request=request)
        warn_if(died, self._name)
        return bool(told)

    @coroutine_function
    def await_(self, timeout: float | None = None) -> Coroutine[Any, Any, bool]:
        """Wait as `wait` does, without blocking the event loop; a coroutine. (`await` is a Python keyword.)

        The calling task must hold the lock. It holds the lock again afterwards, even when it is cancelled. If a
        notification has already come to a cancelled task, it goes to the next waiter.
        """
        timeout = span(timeout)
        refuse_too_long(timeout)
        return self._await(self._who(), timeout)

    async def _await(self, thread: int, timeout: float | None) -> bool:
        refuse_too_long(timeout)
        key = self._key()
        times = ASKERS.lend(key, thread)
        try:
            told, died = await asleep(key[0], self._ident, key[1], timeout, thread)
        except BaseException:
            ASKERS.count(key, thread, times)
            raise
        ASKERS.count(key, thread, times)
        warn_if(died, self._name)
        return bool(told)

    @coroutine_function
    def await_for(self, predicate: Callable[[], T], timeout: float | None = None) -> Coroutine[Any, Any, T]:
        """Wait as `wait_for` does, without blocking the event loop; a coroutine."""
        from sharedkit.aio import waiters

        return waiters.wait_for(partial(self._await, self._who()), predicate, timeout)

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
        self._call("notify", how_many_to_notify(n), thread=self._who())

    def notify_all(self) -> None:
        """Wake all waiters. Raises RuntimeError if the caller does not hold the lock."""
        self._call("notify", None, thread=self._who())

    def notifyAll(self) -> None:
        """Deprecated name of `notify_all`; gives a DeprecationWarning."""
        warnings.warn("notifyAll() is deprecated, use notify_all() instead", DeprecationWarning, stacklevel=2)
        self.notify_all()

    def statistics(self) -> ConditionStatistics:
        """Return the state of the lock, and how many threads wait or must take it again: a ConditionStatistics."""
        snapshot: ConditionStatistics = self._call("statistics")
        return snapshot

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        snapshot = self.statistics()
        lock = snapshot.lock
        held = f"{'locked' if lock.count else 'unlocked'} sharedkit.{lock.kind} object owner={lock.owner}"
        if lock.kind == "RLock":
            held += f" count={lock.count}"
        return f"<Condition(<{held} at {self._core():#x}>, {snapshot.waiting}) name={self._name!r}>"
