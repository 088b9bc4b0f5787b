"""The waits of tasks for a condition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sharedkit.aio import waiters
from sharedkit.errors import ServerGoneError
from sharedkit.redis.asleep import LUA, Nap, Woken, payload_of
from sharedkit.redis.operation import Operation
from sharedkit.redis.tasks import TaskWait, asked, atake, finish, undo_later

__all__ = ["asleep"]


async def asleep(nap: Nap) -> Woken:
    """Wait in a task. If the task is cancelled, the lock is taken again before CancelledError goes on.

    If the notification and the lock come while the loop does not run, they go to others. If the loop then runs
    again, the task takes the lock again, and the wait ends as if it had been notified: the code that waits for a
    condition checks its predicate in any case.
    """
    session, made = nap.session, nap.made
    wait = TaskWait(session, made, asyncio.get_running_loop())
    made.acks = session._take_acks(nap.base)
    session.waits[made.number] = wait
    task = waiters.hold()
    try:
        session.line.submit(made, nap.request, wait.answers)
        cancelled, began, granted = await _until_over(nap, wait)
        wait.see()
        if wait.gone_back:
            woken, again = await _restored(nap, wait)
            cancelled = again or cancelled
        elif began:
            woken = nap.woken(granted or payload_of(wait))
        else:  # it was left before it began: the lock was never released
            wait.free_lane()
            finish(session, made, wait.answer)
    except ServerGoneError:
        undo_later(session, made)
        raise
    except GeneratorExit:
        wait.abandon()
        raise
    finally:
        waiters.let_go(task)
        session.waits.pop(made.number, None)
    if cancelled is not None:
        raise cancelled
    return woken


async def _until_over(nap: Nap, wait: TaskWait) -> tuple[asyncio.CancelledError | None, bool, bytes]:
    """Whether the task was cancelled, whether the wait has begun, and what a request said that it was granted."""
    cancelled: asyncio.CancelledError | None = None
    request: tuple[bytes, ...]
    rejoined, timeout = False, None if nap.timeout is None else max(0.0, nap.timeout)
    while True:
        if rejoined or cancelled is None:
            try:
                await asyncio.wait([wait.answered], timeout=timeout)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None and not rejoined:
            rejoined = True
            request = b"rejoin", b"%d" % nap.made.lane, nap.number
        elif wait.over:
            return cancelled, not isinstance(wait.answer, Exception), b""
        elif timeout is not None:
            request = b"over", nap.number
        else:
            continue
        timeout = None
        said: list[Any] = []
        try:
            await asked(lambda tell: _submit(nap, request, said, tell))  # noqa: B023
        except asyncio.CancelledError as error:
            cancelled = error
        answer = finish(nap.session, nap.made, said[0])
        if rejoined and request[0] == b"rejoin":
            began, answer = answer
            if not began:
                return cancelled, False, b""
        if answer and (rejoined or cancelled is None):
            return cancelled, True, bytes(answer)


def _submit(nap: Nap, request: tuple[bytes, ...], said: list[Any], tell: Callable[[Any], object]) -> None:
    def done(answer: Any) -> None:
        said.append(answer)
        tell(answer)

    nap.session.line.submit(Operation(LUA, nap.base, 0, True), request, done)


async def _restored(nap: Nap, wait: TaskWait) -> tuple[Woken, asyncio.CancelledError | None]:
    """Take the lock as often as it was held before the wait, and whether the task was cancelled meanwhile."""
    depth, came = payload_of(wait).split(b" ")[3], list[Woken]()

    def use(answer: Any, payload: bytes | None, number: int, left: int) -> Woken:
        died, fence = answer[1:3] if payload is None else payload.split(b" ")[:2]
        if payload is not None:
            nap.session.acknowledge(nap.base, number)
        return nap.holds(True, died, fence)

    async def again() -> None:
        came.append(await atake(nap.session, LUA, nap.base, b"restore", depth, nap.who, timeout=None, use=use))

    try:
        await waiters.insist(again)
    except asyncio.CancelledError as error:
        return came[0], error
    return came[0], None
