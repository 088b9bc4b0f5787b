"""A condition behind a server."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from sharedkit._core.condition_methods import ConditionMethods
from sharedkit._core.counts import perhaps_a_name
from sharedkit._core.timeouts import check_wait, refuse_too_long, span
from sharedkit.manager._exchange import Request, giving, taking
from sharedkit.manager.awaiting import ASKERS, asleep
from sharedkit.manager.client import Client
from sharedkit.manager.handle import DEFAULT_SEATS, Structure
from sharedkit.manager.lock import Lock, PartLock, RLock, bound_of, warn_if
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import ConditionStatistics

__all__ = ["Condition"]


class Condition(ConditionMethods, Structure):
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

    def _wake(self, n: int | None) -> None:
        self._call("notify", n, thread=self._who())

    def statistics(self) -> ConditionStatistics:
        """Return the state of the lock, and how many threads wait or must take it again: a ConditionStatistics."""
        snapshot: ConditionStatistics = self._call("statistics")
        return snapshot

    def _called(self) -> str:
        return f"{self._core():#x}"
