"""A barrier behind a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from operator import index
from threading import BrokenBarrierError
from typing import Any

from sharedkit._core.timeouts import LONGEST, span, too_long
from sharedkit.errors import ServerGoneError
from sharedkit.manager.awaiting import ASKERS
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.requests import Pending
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import BarrierStatistics

__all__ = ["Barrier"]

_UNKNOWN = object()


class Barrier(Handle):
    """Barrier(parties, action=None, timeout=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Barrier`: `wait` returns when `parties` threads are in it; the last to come has called its handle's
    `action` before, which travels with the handle. `timeout` is what `wait` takes for its own where it is given none.
    A process that dies in it breaks it. `with` closes the handle.

    Raises ValueError for `parties` below 1, FileExistsError when the name is taken, ValueError when what is there is
    not a barrier of as many parties.
    """

    kind = "Barrier"
    _action: Callable[[], object] | None = None
    _limit: Any = _UNKNOWN  # what `wait` takes for its time where it is given none

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
        wanted = index(parties)
        if wanted < 1:
            raise ValueError(f"parties must be > 0: {wanted}")
        limit = span(timeout)
        self._action = action
        self._limit = limit
        self._create(name, exist_ok, persist, seats, {"parties": wanted, "timeout": limit}, limit)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come; a number from 0 to `parties - 1`, to each its own.

        Raises threading.BrokenBarrierError when the time is over, which breaks the barrier for everybody, and when it
        is reset or aborted meanwhile, or broken already; and what the action raises, which breaks it, too.
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
        """Wait as `wait` does, without blocking the event loop. (`await` is a word of the language.)

        The action is called in the loop, and should be short.
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

    def _time(self, timeout: float | None) -> float | None:
        """A timeout that the server can wait for. TypeError, ValueError, OverflowError where it would have to."""
        number = span(timeout)
        if number is None or number <= LONGEST:
            return number
        picture = self.statistics()
        if picture.state == "broken" or picture.waiting + 1 >= picture.parties:
            return LONGEST  # nobody waits for it
        raise too_long()

    def _bound(self, timeout: float | None) -> float | None:
        """How many seconds a wait may take: its own, or the barrier's; None for ever."""
        if timeout is not None:
            return timeout
        if self._limit is _UNKNOWN:
            self._limit = self._call("timeout")
        limit: float | None = self._limit
        return limit

    def _broken_by(self, still: StandsStill) -> BrokenBarrierError:
        """Whose time is over breaks it for all, as soon as the server goes on."""
        with suppress(ServerGoneError):
            self._ensure_open().begin(self._ident, "abort", (), lambda _: None)
        return BrokenBarrierError(str(still))

    def reset(self) -> None:
        """Make it empty and whole; threads that wait get a BrokenBarrierError."""
        self._call("reset")

    def abort(self) -> None:
        """Break it: threads that wait, and all that come until `reset()`, get a BrokenBarrierError."""
        self._call("abort")

    @property
    def parties(self) -> int:
        """How many have to come."""
        return self.statistics().parties

    @property
    def n_waiting(self) -> int:
        """How many have come."""
        return self.statistics().waiting

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self.statistics().state == "broken"

    def statistics(self) -> BarrierStatistics:
        """Who has come and in what state it is, as one frozen picture."""
        picture: BarrierStatistics = self._call("statistics")
        return picture

    def __reduce__(self) -> tuple[Any, ...]:
        arrive, arguments = super().__reduce__()
        return (arrive, arguments) if self._action is None else (_acting, (arrive, arguments, self._action))

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        picture = self.statistics()
        shown = "broken" if picture.state == "broken" else f"waiters={picture.waiting}/{picture.parties}"
        return f"<sharedkit.Barrier at {id(self):#x} name={self._name!r}: {shown}>"


def _left(pending: Pending) -> None:
    """Who has passed has passed; who should call the action and never will has not come."""
    if pending.answer is not None and pending.answer[1]:
        pending.cancel()


def _acting(arrive: Callable[..., Barrier], arguments: tuple[Any, ...], action: Callable[[], object]) -> Barrier:
    """A barrier that arrives together with its action."""
    barrier = arrive(*arguments)
    barrier._action = action
    return barrier
