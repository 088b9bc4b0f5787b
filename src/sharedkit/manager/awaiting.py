"""Calls of a server that a task of an event loop awaits. No thread waits with it."""

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

__all__ = ["ASKERS", "Askers", "acall", "aend", "aput", "asleep", "keep", "outlive"]

LEAVE = 10.0  # seconds that a cancelled task gives the server to take back what it had given


def keep(pending: Pending) -> None:
    """What is done stays done though nobody may ever hear of it."""


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
    """Send a request; the future is done when its answer is there, and who has looked at that says so by `_seen`.

    Where its loop does not run then, or ends before anybody has looked, `leave` gives back what came, for others.
    """
    import asyncio  # with the first wait, not with the package

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
    """Wait for it. StandsStill where the time of the watch is over and the server stands still."""
    import asyncio

    if watch is None:
        await asyncio.shield(answered)
        return
    seconds = watch.patience()
    while not (await asyncio.wait([answered], timeout=seconds))[0]:
        seconds = watch.look()


class _Unseen:
    """An answer that its task has not looked at yet."""

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
"""An answer is either seen or left, and its task goes on when that is decided."""


def _in_child() -> None:
    global _looking
    _looking = threading.Lock()


os.register_at_fork(after_in_child=_in_child)


def _seen(pending: Pending) -> None:
    """Its task looks at the answer now, or has cancelled the request and cares no more."""
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
    """`Client.call`, awaited. `thread` is who asks, where that matters: a number of the task's own for an RLock.

    A task that is cancelled goes on when the server has taken back what this call had been given there, or after
    `LEAVE` seconds. `leave` does that where the loop does not run when the answer comes; should it run again, the call
    is made anew.
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
    """See that the server has done with a call that was left. Cancelled once more, leave that, too, or `hold_out`."""
    import asyncio

    from sharedkit.aio import waiters

    async def done() -> None:
        await asyncio.shield(answered)
        if not pending.cancelled or pending.gives_back:  # what it gives back has only just been sent
            _, back = _begin(client, 0, "undone", (), 0, keep)
            await back

    leaving = asyncio.ensure_future(done())
    until = monotonic() + LEAVE

    async def left() -> None:
        await asyncio.wait([leaving], timeout=until - monotonic())

    try:
        await (waiters.insist(left) if hold_out else left())
    finally:
        if leaving.done():  # perhaps its loop is closed, and calls nothing back
            _look(leaving)
        else:
            leaving.add_done_callback(_look)


def _look(leaving: asyncio.Future[None]) -> None:
    """Nobody needs to know how it ended."""
    if not leaving.cancelled():
        leaving.exception()


async def aput(client: Client, ident: int, packed: list[Packed], block: bool, timeout: float | None) -> None:
    """`Queue.put_many`, awaited. Full, ShutDown and CancelledError say in their attribute `put` how many went in.

    Cancelled, also more than once, it waits up to `LEAVE` seconds to know that; without an answer there is no `put`.
    What went in while the loop did not run is taken back as far as nobody has it yet, and put anew should it run again.
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
                raise  # the server does not say how many
            vars(error)["put"] = before + pending.put(len(packed)) - await left.back()
            raise
        went = len(packed) - await left.back()
        before, packed = before + went, packed[went:]
        if not packed:
            return


class _LeftPut:
    """What becomes of a put whose loop does not run when it is answered."""

    def __init__(self, client: Client, ident: int, packed: list[Packed], loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._ident, self._packed, self._loop = client, ident, packed, loop
        self.asked: tuple[Pending, asyncio.Future[None]] | None = None

    def __call__(self, pending: Pending) -> None:
        if type(pending.answer) is list and not pending.voided:
            request = self._packed, pending.answer
            self.asked = _begin(self._client, self._ident, "take_back", request, 0, keep, self._loop)

    async def back(self) -> int:
        """How many items, the last ones, the queue has given back."""
        import asyncio

        from sharedkit.aio import waiters

        if self.asked is None:
            return 0
        pending, answered = self.asked
        await waiters.insist(lambda: asyncio.shield(answered))
        return int(pending.result())


async def asleep(client: Client, condition: int, lock: int, timeout: float | None, thread: int) -> tuple[bool, bool]:
    """A condition's wait: whether a notification came, and whether an owner of the lock died meanwhile.

    It ends with the lock, whatever happens. What came while the loop did not run went to others, the lock, too; then,
    should it run again, the lock is taken anew, and the wait ends as if it had been notified: who waits for a condition
    looks again in any case.
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
    if not pending.forsaken:
        told, died, _ = pending.result()
        return told, died
    return True, await _with_lock(client, lock, pending, answered, thread)


async def _with_lock(client: Client, lock: int, pending: Pending, answered: asyncio.Future[None], thread: int) -> bool:
    """Wait for the end of a wait, and see that the lock is held as often as before, however often this is cancelled.

    Whether an owner of it died, where it had to be taken anew.
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
        if not pending.forsaken:
            break
        if count is None:
            count = pending.answer[-1] if type(pending.answer) is tuple else pending.answer
        pending, answered = _begin(client, lock, "acquire_restore", (count,), thread, Pending.abandon)
    died = bool(pending.result()) if count is not None else False
    if cancelled is not None:
        raise cancelled
    return died


async def outlive(error: BaseException | None) -> None:
    """Goes on only in a block that ends in order: one whose task was forgotten, and that is collected, may have lost
    its lock to others, whoever runs now. Python says of it that it has ignored GeneratorExit."""
    if isinstance(error, GeneratorExit):
        import asyncio

        await asyncio.sleep(0)


async def aend(client: Client, ident: int, method: str, thread: int = 0) -> None:
    """The same of what ends an `async with` block: it waits for nothing, and comes through also when the task is
    cancelled meanwhile, which goes on then.
    """
    import asyncio

    from sharedkit.aio import waiters

    pending, answered = _begin(client, ident, method, (), thread, keep)
    await waiters.insist(lambda: asyncio.shield(answered))
    pending.result()


class Askers:
    """Which re-entrant locks tasks of this process hold, and how often each: they ask in their own names, below 0."""

    def __init__(self) -> None:
        self._held: dict[tuple[Client, int], tuple[int, int]] = {}

    def task(self) -> int:
        """The name of the running task. RuntimeError where there is none."""
        from sharedkit.aio import waiters

        name = waiters.name_of_task()
        if not name:
            raise RuntimeError("only a task can wait for an RLock, which it will hold in its own name")
        return -name

    def now(self, lock: tuple[Client, int]) -> int:
        """Who asks: the running task, if it holds the lock by `aacquire`; else 0, which is the thread."""
        held = self._held.get(lock)
        if held is None or "asyncio" not in sys.modules:
            return 0
        from sharedkit.aio import waiters

        return held[0] if held[0] == -waiters.name_of_task() else 0

    def lend(self, lock: tuple[Client, int], name: int) -> int:
        """It lets the lock go for a while, for others; how often it has held it."""
        held = self._held.get(lock)
        if held is None or held[0] != name:
            return 0
        del self._held[lock]
        return held[1]

    def count(self, lock: tuple[Client, int], name: int, times: int) -> None:
        """It holds the lock so many times more, or less below 0."""
        if name < 0:
            held = self._held.get(lock)
            times += held[1] if held is not None and held[0] == name else 0
            if times > 0:
                self._held[lock] = (name, times)
            elif held is not None and held[0] == name:
                del self._held[lock]


ASKERS = Askers()
