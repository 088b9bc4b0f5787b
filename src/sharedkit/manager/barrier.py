"""A barrier behind a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import BrokenBarrierError
from typing import Any

from sharedkit._core.barrier_methods import BarrierMethods, checked_parties
from sharedkit._core.timeouts import span
from sharedkit.errors import ServerGoneError
from sharedkit.manager.awaiting import ASKERS
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.requests import Pending
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import BarrierStatistics

__all__ = ["Barrier"]

_UNKNOWN = object()


class Barrier(BarrierMethods, Handle):
    """Barrier(parties, action=None, timeout=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Barrier`: `wait` returns when `parties` threads are in it. Before that, the last party to arrive calls
    its handle's `action`, which is pickled with the handle. `timeout`, in seconds, applies to a `wait` whose own
    timeout is None. A process that dies inside breaks the barrier. `with` closes the handle.

    Raises ValueError for `parties` below 1, FileExistsError when `name` is taken and not `exist_ok`, ValueError when
    the existing structure differs in more than its action.
    """

    kind = "Barrier"
    _limit: Any = _UNKNOWN  # the timeout of a `wait` without its own

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        wanted = checked_parties(parties)
        limit = span(timeout)
        self._action = action
        self._limit = limit
        self._create(name, exist_ok, persist, seats, {"parties": wanted, "timeout": limit}, limit)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come; return a number from 0 to `parties - 1`, a different one for each party.

        Raises threading.BrokenBarrierError when the time is over, which breaks the barrier for all parties, and when
        the barrier is reset or aborted meanwhile, or already broken. If the action raises, the barrier breaks, and its
        exception is raised here.
        """
        timeout = self._time(timeout)
        try:
            number, acts = self._call("wait", timeout, self._action is not None, bound=self._bound(timeout))
        except StandsStill as still:
            raise self._broken_by(still) from None
        if acts and self._action is not None:
            try:
                self._action()
            except BaseException:
                self._call("acted", False)
                raise
            self._call("acted", True)
        return int(number)

    async def await_(self, timeout: float | None = None) -> int:
        """Wait as `wait` does, without blocking the event loop. (`await` is a Python keyword.)

        The action runs in the event loop and should be short.
        """
        me = ASKERS.task()
        timeout = self._time(timeout)
        bound = self._bound(timeout)
        try:
            number, acts = await self._acall(
                "wait", timeout, self._action is not None, thread=me, leave=_left, bound=bound
            )
        except StandsStill as still:
            raise self._broken_by(still) from None
        if acts and self._action is not None:
            try:
                self._action()
            except BaseException:
                self._call("acted", False, thread=me)
                raise
            self._call("acted", True, thread=me)
        return int(number)

    def _bound(self, timeout: float | None) -> float | None:
        """The time limit of a wait in seconds: its own, or the barrier's; None: no limit."""
        if timeout is not None:
            return timeout
        if self._limit is _UNKNOWN:
            self._limit = self._call("timeout")
        limit: float | None = self._limit
        return limit

    def _broken_by(self, still: StandsStill) -> BrokenBarrierError:
        """Break the barrier for all because the time of this wait is over; the server does so as soon as it goes on."""
        with suppress(ServerGoneError):
            self._ensure_open().begin(self._ident, "abort", (), lambda _: None)
        return BrokenBarrierError(str(still))

    def reset(self) -> None:
        """Make the barrier empty and unbroken again; waiting threads get a BrokenBarrierError."""
        self._call("reset")

    def abort(self) -> None:
        """Break the barrier until `reset()`: threads that wait or arrive get a BrokenBarrierError."""
        self._call("abort")

    def statistics(self) -> BarrierStatistics:
        """Return the parties that have come and the state of the barrier: a BarrierStatistics."""
        snapshot: BarrierStatistics = self._call("statistics")
        return snapshot


def _left(pending: Pending) -> None:
    """Handle an answer that no task reads: a party that has passed stays passed. A party that was to call the action,
    and never will, counts as not arrived."""
    if pending.answer is not None and pending.answer[1]:
        pending.cancel()
