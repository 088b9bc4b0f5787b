"""Semaphores in a Redis server."""

from __future__ import annotations

from types import TracebackType

from sharedkit._core.counts import how_many
from sharedkit._core.semaphore_methods import MOST, SemaphoreMethods, checked_value, checked_wait
from sharedkit._core.timeouts import LONGEST, too_long
from sharedkit.errors import SharedkitError
from sharedkit.redis.handle import DEFAULT_SEATS, Structure, pids
from sharedkit.redis.refusals import Refused
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
    lua = "semaphore"
    _bounded = b"0"

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
        self._create(name, exist_ok, persist, seats, {"value": first}, b"%d" % first, self._bounded)

    def acquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit; with `blocking`, wait up to `timeout` seconds (None: for ever).

        Returns whether the permit was taken. Raises ValueError for a timeout together with `blocking=False`.
        """
        willing, timeout = checked_wait(blocking if block is None else block, timeout)
        session = self._ensure_open()
        far = timeout is not None and timeout > LONGEST
        try:
            got = session.take(
                self.lua, self._base, b"acquire", _willing(willing, timeout),
                timeout=timeout, use=lambda *came: self._use_grant(session, *came), shrinks=False,
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        if far and not got:
            raise too_long()
        return bool(got)

    async def aacquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit as `acquire` does, without blocking the event loop."""
        from sharedkit.redis.tasks import atake

        willing, timeout = checked_wait(blocking if block is None else block, timeout)
        session = self._ensure_open()
        far = timeout is not None and timeout > LONGEST
        try:
            got = await atake(
                session, self.lua, self._base, b"acquire", _willing(willing, timeout),
                timeout=timeout, use=lambda *came: self._use_grant(session, *came), shrinks=False,
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        if far and not got:
            raise too_long()
        return bool(got)

    def release(self, n: int = 1) -> None:
        """Release `n` permits and wake as many waiters. Raises ValueError if `n` is below 1, or, for a
        BoundedSemaphore, above the number of permits taken; OverflowError past 2**31 - 1.
        """
        count = self._checked_count(n)
        try:
            self._call(b"release", count, shrinks=True)
        except Refused as why:
            raise self._refusal(why, n) from None

    def _checked_count(self, n: int) -> bytes:
        self._ensure_open()
        count = how_many(n)
        if count < 1:
            raise ValueError("n must be one or more")
        return b"%d" % min(count, 1 << 40)

    def _refusal(self, why: Refused, n: int) -> Exception:
        if why.code == "SKTOOMANY":
            return ValueError(f"Semaphore released too many times: {self._name!r} began with {self._spec['value']}")
        return OverflowError(f"a semaphore counts to {MOST}: {self._name!r}") if why.code == "SKOVERFLOW" else why

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from sharedkit.redis.tasks import acall

        try:
            await acall(self._ensure_open(), self.lua, self._base, b"release", b"1", shrinks=True)
        except Refused as why:
            raise self._refusal(why, 1) from None

    def statistics(self) -> SemaphoreStatistics:
        """Return the free permits, how many each process holds, and how many threads wait: a SemaphoreStatistics."""
        value, bound, fields, waiting, sessions = self._read(b"statistics")
        holders: dict[int, int] = {}
        for field, held in zip(fields[::2], fields[1::2], strict=True):
            if field.startswith(b"p:"):
                (pid,) = pids([field[2:]])
                holders[pid] = holders.get(pid, 0) + int(held)
        most = int(bound) if bound else None
        return SemaphoreStatistics(self._name, self.kind, int(value), most, waiting, holders, pids(sessions))


def _willing(blocking: bool, timeout: float | None) -> bytes:
    """Whether the server lets the call wait: not for a timeout that is over or longer than any thread can wait."""
    return b"%d" % (blocking and (timeout is None or 0 < timeout <= LONGEST))


class BoundedSemaphore(Semaphore):
    """BoundedSemaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.BoundedSemaphore`: a Semaphore whose number of free permits never exceeds its initial `value`. When a
    process dies, or is silent for a lease, the permits that it held are free again.

    Raises as Semaphore does.
    """

    kind = "BoundedSemaphore"
    _bounded = b"1"
