"""Calls to a server that a task of an event loop awaits. No thread waits for the answer."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Full
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedkit.aio.undelivered import add_undelivered
from sharedkit.errors import ShutDown
from sharedkit.manager.client import Client
from sharedkit.manager.protocol import Packed
from sharedkit.manager.requests import Pending
from sharedkit.manager.stopped_server import StandsStill, Watch

if TYPE_CHECKING:
    import asyncio

__all__ = ["ASKERS", "Askers", "acall", "aend", "aput", "asleep", "keep"]

LEAVE = 10.0  # seconds that a cancelled task gives the server to take back the result of its call


def keep(pending: Pending) -> None:
    """Do nothing with a result that no task reads: what the request did stays done."""


def _begin(
    client: Client,
    ident: int,
    method: str,
    args: tuple[Any, ...],
    thread: int,
    leave: Callable[[Pending], object] = Pending.cancel,
    loop: asyncio.AbstractEventLoop | None = None,
    watch: Watch | None = None,
) -> tuple[Pending, asyncio.Future[None]]:
    """Send a request. The future is done when the answer is there; code that reads the answer then calls `_seen`.

    If the loop does not run when the answer comes, or ends before it is read, `leave` gives the result back for others.
    """
    import asyncio  # imported at the first wait, not with the package

    if loop is None:
        loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not answered.done():
            answered.set_result(None)

    def done(pending: Pending) -> None:
        if not loop.is_running():
            leave(pending)
        elif leave is not keep:
            add_undelivered(_Unseen(pending, loop, leave))
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(wake)

    return client.begin(ident, method, args, done, thread, watch), answered


async def _answer(answered: asyncio.Future[None], watch: Watch | None) -> None:
    """Wait for the answer. Raises StandsStill if the time limit of the watch is over and the server stands still."""
    import asyncio

    if watch is None:
        await asyncio.shield(answered)
        return
    seconds = watch.patience()
    while not (await asyncio.wait([answered], timeout=seconds))[0]:
        seconds = watch.look()


class _Unseen:
    """An answer that its task has not read yet."""

    __slots__ = ("leave", "loop", "pending")

    def __init__(self, pending: Pending, loop: asyncio.AbstractEventLoop, leave: Callable[[Pending], object]) -> None:
        self.pending, self.loop, self.leave = pending, loop, leave

    def reclaim(self) -> bool:
        with _looking:
            if self.pending.seen:
                return False
            if self.loop.is_running():
                return True
            self.pending.seen = True
            self.leave(self.pending)
            return False


_looking = threading.Lock()
"""Guards the decision whether an answer is seen or left; its task goes on after that decision."""


def _in_child() -> None:
    global _looking
    _looking = threading.Lock()


os.register_at_fork(after_in_child=_in_child)


def _seen(pending: Pending) -> None:
    """Record that the task now reads the answer, or that it has cancelled the request and needs no answer."""
    with _looking:
        pending.seen = True


async def acall(
    client: Client,
    ident: int,
    method: str,
    *args: Any,
    thread: int = 0,
    leave: Callable[[Pending], object] = Pending.cancel,
    bound: float | None = None,
) -> Any:
    """Await `Client.call`. `thread` is the caller, if the method depends on it: for an RLock, a number of the task.

    A cancelled task goes on when the server has taken back the result of this call, or after `LEAVE` seconds. If the
    loop does not run when the answer comes, `leave` takes the result back; if the loop runs again, the call is made
    again.
    """
    import asyncio

    watch = None if bound is None else Watch(client, bound)
    while True:
        pending, answered = _begin(client, ident, method, args, thread, leave, watch=watch)
        try:
            await _answer(answered, watch)
        except StandsStill:
            pending.void()
            _seen(pending)
            raise
        except asyncio.CancelledError:
            pending.cancel()
            _seen(pending)
            await _leave(client, pending, answered)
            raise
        _seen(pending)
        if not pending.gives_back:
            return pending.result()


async def _leave(client: Client, pending: Pending, answered: asyncio.Future[None], hold_out: bool = False) -> None:
    """Wait until the server has finished a call that was left. A further cancellation ends the wait, unless
    `hold_out`."""
    import asyncio

    from sharedkit.aio import waiters

    async def done() -> None:
        await asyncio.shield(answered)
        if not pending.cancelled or pending.gives_back:  # the undo has only just been sent
            _, back = _begin(client, 0, "undone", (), 0, keep)
            await back

    leaving = asyncio.ensure_future(done())
    until = monotonic() + LEAVE

    async def left() -> None:
        await asyncio.wait([leaving], timeout=until - monotonic())

    try:
        await (waiters.insist(left) if hold_out else left())
    finally:
        if leaving.done():  # not by a callback: its loop may be closed, and would run none
            _look(leaving)
        else:
            leaving.add_done_callback(_look)


def _look(leaving: asyncio.Future[None]) -> None:
    """Retrieve the outcome, so that asyncio does not report it."""
    if not leaving.cancelled():
        leaving.exception()


async def aput(client: Client, ident: int, packed: list[Packed], block: bool, timeout: float | None) -> None:
    """Await `Queue.put_many`. The attribute `put` of Full, ShutDown and CancelledError is the number of items put.

    A cancelled put, even if cancelled several times, waits up to `LEAVE` seconds for that number; without an answer,
    the exception has no `put`. Items that went in while the loop did not run are taken back, except those that another
    client has taken; they are put again if the loop runs again.
    """
    import asyncio

    before = 0
    bound = timeout if block else 0.0
    watch = None if bound is None else Watch(client, bound)
    while True:
        left = _LeftPut(client, ident, packed, asyncio.get_running_loop())
        pending, answered = _begin(client, ident, "put_many", (packed, block, timeout, True), 0, left, watch=watch)
        try:
            try:
                await _answer(answered, watch)
            except StandsStill as still:
                pending.cancel()
                if still.is_over():
                    with suppress(StandsStill):
                        await _answer(answered, Watch(client, 0.0))
                pending.void()
                _seen(pending)
                if not pending.done_at_last:
                    raise
                pending.result()
                return
            except asyncio.CancelledError:
                pending.cancel()
                _seen(pending)
                await _leave(client, pending, answered, hold_out=True)
                raise
            _seen(pending)
            if not left.asked:
                pending.result()
                return
        except (asyncio.CancelledError, Full, ShutDown) as error:
            if not pending.over:
                raise  # the server does not say how many items went in
            vars(error)["put"] = before + pending.put(len(packed)) - await left.back()
            raise
        went = len(packed) - await left.back()
        before, packed = before + went, packed[went:]
        if not packed:
            return


class _LeftPut:
    """Handles a put whose loop does not run when the answer comes."""

    def __init__(self, client: Client, ident: int, packed: list[Packed], loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._ident, self._packed, self._loop = client, ident, packed, loop
        self.asked: tuple[Pending, asyncio.Future[None]] | None = None

    def __call__(self, pending: Pending) -> None:
        if type(pending.answer) is list and not pending.voided:
            request = self._packed, pending.answer
            self.asked = _begin(self._client, self._ident, "take_back", request, 0, keep, self._loop)

    async def back(self) -> int:
        """Return how many items the queue has given back, counted from the last one."""
        import asyncio

        from sharedkit.aio import waiters

        if self.asked is None:
            return 0
        pending, answered = self.asked
        await waiters.insist(lambda: asyncio.shield(answered))
        return int(pending.result())


async def asleep(client: Client, condition: int, lock: int, timeout: float | None, thread: int) -> tuple[bool, bool]:
    """Wait for a condition; return whether a notification came, and whether an owner of the lock died meanwhile.

    The wait ends with the lock held, whatever happens. If the notification and the lock come while the loop does not
    run, they go to others. If the loop then runs again, the task takes the lock again, and the wait ends as if it had
    been notified: the code that waits for a condition checks its predicate in any case.
    """
    from sharedkit.aio import waiters

    task = waiters.hold()
    try:
        return await _asleep(client, condition, lock, timeout, thread)
    finally:
        waiters.let_go(task)


async def _asleep(client: Client, condition: int, lock: int, timeout: float | None, thread: int) -> tuple[bool, bool]:
    import asyncio

    pending, answered = _begin(client, condition, "wait", (timeout,), thread, Pending.abandon)
    try:
        await asyncio.shield(answered)
    except asyncio.CancelledError:
        pending.cancel()
        await _with_lock(client, lock, pending, answered, thread)
        raise
    _seen(pending)
    if not pending.abandoned:
        told, died, _ = pending.result()
        return told, died
    return True, await _with_lock(client, lock, pending, answered, thread)


async def _with_lock(client: Client, lock: int, pending: Pending, answered: asyncio.Future[None], thread: int) -> bool:
    """Wait until the server has ended the wait, and hold the lock as often as before, despite any cancellations.

    If the lock had to be taken again, returns whether an owner of the lock died.
    """
    import asyncio

    from sharedkit.aio import waiters

    cancelled: asyncio.CancelledError | None = None
    count: int | None = None
    while True:
        try:
            await waiters.insist(lambda: asyncio.shield(answered))  # noqa: B023
        except asyncio.CancelledError as error:
            cancelled = error
        _seen(pending)
        if not pending.abandoned:
            break
        if count is None:
            count = pending.answer[-1] if type(pending.answer) is tuple else pending.answer
        pending, answered = _begin(client, lock, "acquire_restore", (count,), thread, Pending.abandon)
    died = bool(pending.result()) if count is not None else False
    if cancelled is not None:
        raise cancelled
    return died


async def aend(client: Client, ident: int, method: str, thread: int = 0) -> None:
    """Send the request that ends an `async with` block. It never waits in the server, and it completes even if the task
    is cancelled meanwhile; the cancellation is raised afterwards.
    """
    import asyncio

    from sharedkit.aio import waiters

    pending, answered = _begin(client, ident, method, (), thread, keep)
    await waiters.insist(lambda: asyncio.shield(answered))
    pending.result()


class Askers:
    """The re-entrant locks that tasks of this process hold, and how often. In requests, a task has a number below 0."""

    def __init__(self) -> None:
        self._held: dict[tuple[Client, int], tuple[int, int]] = {}

    def task(self) -> int:
        """The number of the running task. Raises RuntimeError if no task runs."""
        from sharedkit.aio import waiters

        name = waiters.name_of_task()
        if not name:
            raise RuntimeError("only a task can await an RLock, because the task itself will hold it")
        return -name

    def now(self, lock: tuple[Client, int]) -> int:
        """The caller: the running task if it holds the lock by `aacquire`; else 0, which stands for the thread."""
        held = self._held.get(lock)
        if held is None or "asyncio" not in sys.modules:
            return 0
        from sharedkit.aio import waiters

        return held[0] if held[0] == -waiters.name_of_task() else 0

    def lend(self, lock: tuple[Client, int], name: int) -> int:
        """Record that the task releases the lock for a while; returns how often it has held the lock."""
        held = self._held.get(lock)
        if held is None or held[0] != name:
            return 0
        del self._held[lock]
        return held[1]

    def count(self, lock: tuple[Client, int], name: int, times: int) -> None:
        """Add `times`, which may be negative, to the count of how often the task holds the lock."""
        if name < 0:
            held = self._held.get(lock)
            times += held[1] if held is not None and held[0] == name else 0
            if times > 0:
                self._held[lock] = (name, times)
            elif held is not None and held[0] == name:
                del self._held[lock]


ASKERS = Askers()
