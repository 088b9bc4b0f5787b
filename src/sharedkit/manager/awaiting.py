"""Calls of a server that a task of an event loop awaits. No thread waits with it."""

from __future__ import annotations

import asyncio
from typing import Any

from sharedkit.manager.requests import Pending
from sharedkit.manager.session import Link

__all__ = ["acall"]


async def acall(link: Link, ident: int, method: str, *args: Any, thread: int = 0, insist: bool = False) -> Any:
    """`Link.call`, awaited. `thread` is who asks, where that matters: a number of the task's own for an RLock.

    A task that is cancelled leaves its wait in the server at once, and what it had been given there goes back. With
    `insist` it goes on only when the server has said so, as a wait in a condition must, which has its lock then.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not answered.done():
            answered.set_result(None)

    def done(pending: Pending) -> None:
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:  # the loop is closed: nobody will come for it
            pending.cancel()

    pending = link.begin(ident, method, args, done, thread)
    try:
        await asyncio.shield(answered) if insist else await answered
    except asyncio.CancelledError:
        pending.cancel()
        while insist and not answered.done():
            try:
                await asyncio.shield(answered)
            except asyncio.CancelledError:
                continue
        raise
    return pending.result()
