"""`wait` and `await_`: waiting for the first of several structures."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from sharedkit._core import readiness, timeouts
from sharedkit.shm import _waiting

__all__ = ["await_", "wait"]


def _deadline(timeout: Any) -> float | None:
    span = timeouts.span(timeout)
    if span is None or span <= 0:
        return span
    timeouts.refuse_too_long(span)
    return time.monotonic() + span


def wait(things: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait until at least one of the `things` is ready; return a list of those that are, in the given order.

    A thing is a structure or a bound method of one. `q.get` is ready when the queue has an item or is shut down,
    `q.put` when it has room, `q.join` when all items are done; an Event when it is set; a Lock, an RLock, a semaphore,
    a Value, `rw.reader` and `rw.writer` (or `rw.acquire_read`, `rw.acquire_write`) when it could be acquired, also
    because its holder has died. Nothing is taken: another thread or process may be faster, so the call that follows
    should not wait (`q.get_nowait()`, `lock.acquire(blocking=False)`). If this wait used up a wake-up, it is passed on.

    `timeout`: in seconds; None: no limit; 0 or less: do not wait. The list is empty at the timeout, and at once if
    there are no things. The structures may belong to the placements `shm` and `thread`, mixed, any number of them.

    Raises TypeError for anything else (a Condition, a Barrier, a structure behind a server, a Queue without a method),
    ClosedError, ValueError, OverflowError if the timeout is longer than threading.TIMEOUT_MAX.
    """
    deadline = _deadline(timeout)
    chosen = list(things)
    return [chosen[i] for i in _waiting.wait_for_any([readiness.waiter_of(each) for each in chosen], deadline)]


async def await_(things: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait as `wait` does, without blocking the event loop. (`await` is a keyword of Python.)"""
    from sharedkit.aio import several

    deadline = _deadline(timeout)
    chosen = list(things)
    return [chosen[i] for i in await several.await_any([readiness.waiter_of(each) for each in chosen], deadline)]
