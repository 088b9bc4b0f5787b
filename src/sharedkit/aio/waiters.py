"""Waiting from an event loop: what stands behind every method that begins with `a`.

A *waiter*, which the placement makes, is one wait. It looks whether it can go on, and where it cannot, it has itself
woken; nothing is taken but by the task that asked, in the very step in which it gets it, so that a cancelled wait has
taken nothing. The tasks of one loop that wait for the same thing stand in a *line*: only the first looks, the others
sleep. So ten thousand waits cost one wake-up for each thing that comes, and they are served in the order of their
arrival.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from asyncio import CancelledError
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Protocol, TypeVar
from weakref import ReferenceType, WeakKeyDictionary

from sharedkit._core.background import background
from sharedkit._core.timeouts import span, too_long
from sharedkit._core.watcher import PENDING, stand_in_line
from sharedkit.aio.tasks import hold, let_go, name_of_task, names_task
from sharedkit.errors import ShutDown

__all__ = [
    "PENDING",
    "CancelledError",
    "PutMany",
    "Sleep",
    "Waiter",
    "hold",
    "in_thread",
    "insist",
    "iterate",
    "leave",
    "let_go",
    "name_of_task",
    "names_task",
    "sleep",
    "wait",
    "wait_for",
    "wait_to_put",
    "wake_next",
    "without_waiting",
]

T = TypeVar("T")


class Wake(Protocol):
    """Brings a task that waits to look again; from any thread, as often as one likes."""

    def __call__(self) -> bool:
        """Whether it comes soon. Where its loop does not run now, it comes when that runs again, if ever."""

    @property
    def alive(self) -> bool:
        """Whether its loop runs now."""

    @property
    def closed(self) -> bool:
        """Whether its loop is closed, so that it never comes."""


class Waiter(Protocol):
    """One wait of one task."""

    key: Hashable
    """Tasks of a loop whose waiters have equal keys wait in line; None: this one waits for itself."""

    deadline: float | None
    """When to give up, as `time.monotonic()` counts; None for never, 0 for at once."""

    wakes_next: Hashable
    """Key of those who may go on when this one has its answer: of their loop, they look at once. None: nobody."""

    def step(self, wake: Wake | None) -> Any:
        """Look once, and never wait: the answer of the method, or what it raises, or PENDING.

        `wake` is called after PENDING, from any thread and at least once, when it makes sense to look again; it may be
        called needlessly. None: PENDING will be followed by another step at once, or by `cancel`.
        """

    def cancel(self) -> None:
        """The end, once `step` has answered PENDING: `wake` is needed no more. If no answer came since, what had been
        promised goes to others."""


class _Parker:
    """A task that waits; only its own loop touches `future`."""

    __slots__ = ("called", "future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future = loop.create_future()
        self.called = False

    def wake(self) -> None:
        """From its own loop, or while that is collected."""
        self.called = False
        if not self.future.done() and not self.loop.is_closed():
            self.future.set_result(None)

    def __call__(self) -> bool:
        """As `Wake` says. Called once, it need not be called again before it is roused."""
        if not self.called:
            self.called = True
            try:
                self.loop.call_soon_threadsafe(self.wake)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise
                with _lines_lock:  # its lines hold the parkers, which hold the loop
                    _lines.pop(self.loop, None)
        return self.loop.is_running()

    @property
    def alive(self) -> bool:
        return self.loop.is_running()

    @property
    def closed(self) -> bool:
        return self.loop.is_closed()

    async def sleep(self, deadline: float | None) -> None:
        """Until it is roused, at the latest at the deadline."""
        timer = None if deadline is None else self.loop.call_at(deadline, self.wake)
        try:
            await self.future
        finally:
            if timer is not None:
                timer.cancel()
        self.future = self.loop.create_future()


_Line = deque[_Parker]


class _Lines(dict[Hashable, _Line]):
    """The lines of one loop by key, touched by the loop's own thread alone.

    Only those who stand in them hold them: a loop closed too early is collected, and with it what was waited for.
    """

    __slots__ = ("__weakref__",)


_lines: WeakKeyDictionary[asyncio.AbstractEventLoop, ReferenceType[_Lines]] = WeakKeyDictionary()
_lines_lock = threading.RLock()  # a coroutine that is collected under it may call a parker of a closed loop


def _in_child() -> None:
    """The lock may have been held when the process was forked, by a thread that the child has not."""
    global _lines_lock
    _lines_lock = threading.RLock()


os.register_at_fork(after_in_child=_in_child)


def _lines_there(loop: asyncio.AbstractEventLoop) -> _Lines | None:
    """Those of the loop, where tasks stand in some."""
    there = _lines.get(loop)
    return None if there is None else there()


def _lines_of(loop: asyncio.AbstractEventLoop) -> _Lines:
    with _lines_lock:
        lines = _lines_there(loop)
        if lines is None:
            lines = _Lines()
            _lines[loop] = ReferenceType(lines)
        return lines


async def wait(waiter: Waiter) -> Any:
    """What the waiter answers in the end."""
    loop = asyncio.get_running_loop()
    lines = _lines_there(loop)
    if not lines or waiter.deadline == 0 or waiter.key not in lines:
        answer = waiter.step(None)
        if answer is not PENDING:
            if lines:
                _wake_next(lines, waiter.wakes_next)
            return answer
    parker = _Parker(loop)
    try:
        if waiter.key is None:
            return await _ask(waiter, parker)
        lines = _lines_of(loop)
        answer = await _stand_in_line(waiter, parker, lines)
        _wake_next(lines, waiter.wakes_next)
        return answer
    finally:
        waiter.cancel()


class PutMany(Waiter, Protocol):
    """The waiter of `Queue.aput_many`."""

    @property
    def done(self) -> int:
        """How many items went in."""


async def wait_to_put(waiter: PutMany) -> None:
    """The same; a CancelledError says in its attribute `put` how many went in."""
    try:
        await wait(waiter)
    except asyncio.CancelledError as error:
        vars(error)["put"] = waiter.done
        raise


def _wake_next(lines: dict[Hashable, _Line], key: Hashable) -> None:
    """Let the first of a line look: what has just been done by a task of its own loop need not come to it by way of the
    system and another thread (10 against 150 us)."""
    line = lines.get(key)
    if line:
        line[0].wake()


def wake_next(key: Hashable) -> None:
    """The same, of the loop that runs, for who did not come by `wait`."""
    loop = asyncio._get_running_loop()
    lines = None if loop is None else _lines_there(loop)  # none: the block is collected with its loop
    if lines:
        _wake_next(lines, key)


async def _ask(waiter: Waiter, parker: _Parker) -> Any:
    """Look at every wake-up until there is an answer."""
    while True:
        answer = waiter.step(parker)
        if answer is not PENDING:
            return answer
        await parker.sleep(waiter.deadline)


async def _stand_in_line(waiter: Waiter, parker: _Parker, lines: dict[Hashable, _Line]) -> Any:
    """Wait until those that came before have gone, then ask; who is out of time looks once all the same."""
    line = lines.setdefault(waiter.key, deque())
    line.append(parker)
    stand_in_line(1)
    try:
        while line[0] is not parker and not _is_over(waiter, parker.loop):
            await parker.sleep(waiter.deadline)
        # What other tasks of the loop are about to do, and other processes that answer at once, spare the watching.
        await asyncio.sleep(0)
        answer = waiter.step(None)
        return await _ask(waiter, parker) if answer is PENDING else answer
    finally:
        leads = line[0] is parker
        line.remove(parker)
        stand_in_line(-1)
        if not line:
            lines.pop(waiter.key, None)
        elif leads:
            line[0].wake()


def _is_over(waiter: Waiter, loop: asyncio.AbstractEventLoop) -> bool:
    return waiter.deadline is not None and loop.time() >= waiter.deadline


async def in_thread(call: Callable[[], object]) -> None:
    """Wait for a call that can be waited for by a thread alone: one of its own, as the loop's may be what ends."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        why = None
        try:
            call()
        except BaseException as error:
            why = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(end, why)

    background(run, name="sharedkit waits").start()
    await ended


async def leave(end: Callable[[], object], wakes_next: Hashable = None) -> None:
    """The end of an `async with` block; whose key `wakes_next` is may go on then."""
    end()
    wake_next(wakes_next)


async def insist(again: Callable[[], Awaitable[object]]) -> None:
    """Wait to the end even when cancelled, and be cancelled then."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            await again()
            break
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


class Sleep(Waiter, Protocol):
    """A condition's wait: its first step lets the lock go."""

    loop: asyncio.AbstractEventLoop
    """Where it waits."""

    def left(self) -> bool:
        """Whether the lock was let go."""

    def back(self) -> Awaitable[object]:
        """Takes it again as often as it was held."""

    def done(self, well: bool) -> None:
        """The end: the lock is held again, if it ever was. If not `well`, what had been told goes to others."""


async def sleep(waiter: Sleep) -> bool:
    """Let a condition's lock go, wait to be notified, and take the lock again, whatever happens: was it notified?"""
    well = False
    waiter.loop = asyncio.get_running_loop()
    task = hold()
    try:
        try:
            told: bool = await wait(waiter)
        except BaseException:
            if waiter.left():
                await insist(waiter.back)
            raise
        if waiter.left():
            await insist(waiter.back)
        well = True
        return told
    finally:
        waiter.done(well)
        let_go(task)


async def wait_for(
    once: Callable[[float | None], Awaitable[bool]], predicate: Callable[[], T], timeout: float | None
) -> T:
    """`Condition.wait_for`."""
    left = span(timeout)
    end = None if left is None else time.monotonic() + left
    result = predicate()
    while not result:
        await once(left)
        result = predicate()
        if end is not None and (left := end - time.monotonic()) <= 0:
            break
    return result


async def without_waiting(answer: Awaitable[Any], refusal: type[Exception] | None = None) -> Any:
    """What it answers if it need not wait, which it says by a `refusal`, or by False; else OverflowError."""
    try:
        got = await answer
    except Exception as why:
        if refusal is None or not isinstance(why, refusal):
            raise
        raise too_long() from None
    if refusal is None and not got:
        raise too_long()
    return got


async def iterate(get: Callable[[], Any]) -> AsyncIterator[Any]:
    """Items until the queue is shut down and empty, for `async for`."""
    while True:
        try:
            item = await get()
        except ShutDown:
            return
        yield item
