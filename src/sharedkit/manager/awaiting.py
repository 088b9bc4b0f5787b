"""Calls of a server that a task of an event loop awaits. No thread waits with it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sharedkit.manager.requests import Pending
from sharedkit.manager.session import PATIENCE, Link

if TYPE_CHECKING:
    import asyncio

__all__ = ["ASKERS", "Askers", "acall", "aend"]


LASTING = ("put_many", "wait")  # what was put stays put; a wait in a condition ends with its lock


def _begin(
    link: Link, ident: int, method: str, args: tuple[Any, ...], thread: int
) -> tuple[Pending, asyncio.Future[None]]:
    """Send a request; the future is done when its answer is there.

    Where its loop does not run then, the answer is given back, for others; should it run again, `left` says so.
    """
    import asyncio  # with the first wait, not with the package

    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not answered.done():
            answered.set_result(None)

    def done(pending: Pending) -> None:
        if not loop.is_running() and method not in LASTING:
            pending.cancel()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(wake)

    return link.begin(ident, method, args, done, thread), answered


async def acall(
    link: Link, ident: int, method: str, *args: Any, thread: int = 0, insist: bool = False, puts: int | None = None
) -> Any:
    """`Link.call`, awaited. `thread` is who asks, where that matters: a number of the task's own for an RLock.

    A task that is cancelled goes on when the server has given back what this call had been given there, or after
    `PATIENCE`; with `insist` not before, as a wait in a condition must not, which has its lock then. `puts`: how many
    items it puts in all; a CancelledError then says in its attribute `put` how many went in.
    """
    import asyncio

    while True:
        pending, answered = _begin(link, ident, method, args, thread)
        try:
            await asyncio.shield(answered)
        except asyncio.CancelledError as error:
            pending.cancel()
            await _leave(link, pending, answered, insist)
            if puts is not None:
                vars(error)["put"] = pending.put(puts)
            raise
        if not pending.left:
            return pending.result()


async def _leave(link: Link, pending: Pending, answered: asyncio.Future[None], insist: bool) -> None:
    """See that the server has done with a call that was left. Cancelled once more, leave that, too, but if `insist`."""
    import asyncio

    from sharedkit import aio

    async def done() -> None:
        await asyncio.shield(answered)
        if not pending.cancelled or pending.gives_back:  # what it gives back has only just been sent
            _, back = _begin(link, 0, "undone", (), 0)
            await back

    if insist:
        await aio.insist(lambda: asyncio.shield(answered))
        return
    leaving = asyncio.ensure_future(done())
    try:
        await asyncio.wait([leaving], timeout=PATIENCE)
    finally:
        leaving.add_done_callback(_look)


def _look(leaving: asyncio.Future[None]) -> None:
    """Nobody needs to know how it ended."""
    if not leaving.cancelled():
        leaving.exception()


async def aend(link: Link, ident: int, method: str, thread: int = 0) -> None:
    """The same of what ends an `async with` block: it waits for nothing, and comes through also when the task is
    cancelled meanwhile, which goes on then.
    """
    import asyncio

    from sharedkit import aio

    pending, answered = _begin(link, ident, method, (), thread)
    await aio.insist(lambda: asyncio.shield(answered))
    pending.result()


class Askers:
    """Which re-entrant locks tasks of this process hold, and how often each: they ask in their own names, below 0."""

    def __init__(self) -> None:
        self._held: dict[tuple[Link, int], tuple[int, int]] = {}

    def task(self) -> int:
        """The name of the running task. RuntimeError where there is none."""
        from sharedkit import aio

        name = aio.name_of_task()
        if not name:
            raise RuntimeError("only a task can wait for an RLock, which it will hold in its own name")
        return -name

    def now(self, lock: tuple[Link, int]) -> int:
        """Who asks: the running task, if it holds the lock by `aacquire`; else 0, which is the thread."""
        held = self._held.get(lock)
        if held is None or "asyncio" not in sys.modules:
            return 0
        from sharedkit import aio

        return held[0] if held[0] == -aio.name_of_task() else 0

    def count(self, lock: tuple[Link, int], name: int, times: int) -> None:
        """It holds the lock so many times more, or less below 0."""
        if name < 0:
            held = self._held.get(lock)
            times += held[1] if held is not None and held[0] == name else 0
            if times > 0:
                self._held[lock] = (name, times)
            elif held is not None and held[0] == name:
                del self._held[lock]


ASKERS = Askers()
