"""Semaphores behind a server."""

from __future__ import annotations

from types import TracebackType

from sharedkit._core.counts import how_many
from sharedkit._core.semaphore_methods import SemaphoreMethods, checked_value, checked_wait
from sharedkit._core.timeouts import LONGEST, too_long
from sharedkit.manager._exchange import Request, giving, taking
from sharedkit.manager.awaiting import aend
from sharedkit.manager.handle import DEFAULT_SEATS, Structure
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import SemaphoreStatistics

__all__ = ["BoundedSemaphore", "Semaphore"]


class Semaphore(SemaphoreMethods, Structure):
    """Semaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Semaphore`: `acquire` takes one of `value` permits and waits if none is free; `release` adds permits,
    even more than were taken. `acquire` also accepts `block=` for `blocking=`. `with` takes a permit; it does not close
    the handle.

    Raises ValueError for a negative `value`, FileExistsError when `name` is taken and not `exist_ok`, ValueError when
    the existing structure is not a semaphore with the same parameters.
    """

    kind = "Semaphore"

    def __init__(
        self,
        value: int = 1,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        first = checked_value(value)
        self._create(name, exist_ok, persist, seats, {"value": first})

    @taking
    def acquire(
        self, request: Request, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None
    ) -> bool:
        """Take one permit; with `blocking`, wait up to `timeout` seconds (None: for ever).

        Returns whether the permit was taken. Raises ValueError for a timeout together with `blocking=False`.
        """
        willing, timeout = checked_wait(blocking if block is None else block, timeout)
        if timeout is None or timeout <= LONGEST:
            try:
                got: bool = self._call("acquire", willing, timeout, request=request, bound=timeout if willing else 0.0)
            except StandsStill:
                return False
        elif not (got := self._call("acquire", True, 0.0, request=request)):
            raise too_long()
        return got

    async def aacquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit as `acquire` does, without blocking the event loop."""
        willing, timeout = checked_wait(blocking if block is None else block, timeout)
        if timeout is None or timeout <= LONGEST:
            try:
                got: bool = await self._acall("acquire", willing, timeout, bound=timeout if willing else 0.0)
            except StandsStill:
                return False
        elif not (got := await self._acall("acquire", True, 0.0)):
            raise too_long()
        return got

    @giving
    def release(self, request: Request, n: int = 1) -> None:
        """Release `n` permits and wake as many waiters. Raises ValueError if `n` is below 1, or, for a
        BoundedSemaphore, above the number of permits taken; OverflowError past 2**31 - 1.
        """
        self._call("release", how_many(n), request=request)

    @taking
    def __enter__(self, request: Request) -> bool:
        return bool(self._call("acquire", True, None, request=request))

    @giving
    def __exit__(
        self,
        request: Request,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call("release_one", request=request)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await aend(self._ensure_open(), self._ident, "release_one")

    def statistics(self) -> SemaphoreStatistics:
        """Return the free permits, how many each process holds, and how many threads wait: a SemaphoreStatistics."""
        snapshot: SemaphoreStatistics = self._call("statistics")
        return snapshot


class BoundedSemaphore(Semaphore):
    """BoundedSemaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.BoundedSemaphore`: a Semaphore whose number of free permits never exceeds its initial `value`. When a
    process dies, the permits that it held are free again.

    Raises as Semaphore does.
    """

    kind = "BoundedSemaphore"
