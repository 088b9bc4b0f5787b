"""Waiting from an event loop: the implementation of every method that begins with `a`.

A *waiter* is one wait. The placement of the structure (thread, shm or manager) makes it. A waiter checks whether its
task can go on, and if not, it arranges to be woken. Nothing is handed over to a task: the task itself takes what it
waited for, in the step that returns it. So a cancelled wait has taken nothing. The tasks of one loop that wait for the
same thing stand in a *wait queue*: only the first one polls, and the others sleep. So ten thousand waits cost one
wake-up for each item that comes, and the tasks are served in the order of their arrival.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import CancelledError
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Protocol
from weakref import ReferenceType, WeakKeyDictionary

from sharedkit._core.background import background
from sharedkit._core.iteration import aiter_until_shutdown as iterate
from sharedkit._core.timeouts import await_for as wait_for
from sharedkit._core.timeouts import await_without_waiting as without_waiting
from sharedkit._core.watcher import PENDING, count_queued_task
from sharedkit.aio.tasks import hold, let_go, name_of_task, names_task

__all__ = [
    "PENDING",
    "CancelledError",
    "Parker",
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


class Wake(Protocol):
    """Makes a waiting task poll again; callable from any thread, any number of times."""

    def __call__(self) -> bool:
        """Whether the task polls soon. If its loop does not run now, it polls when the loop runs again, if ever."""

    @property
    def alive(self) -> bool:
        """Whether the task's loop runs now."""

    @property
    def closed(self) -> bool:
        """Whether the task's loop is closed, so that the task never polls again."""


class Waiter(Protocol):
    """One wait of one task."""

    key: Hashable
    """Tasks of a loop whose waiters have equal keys wait in one queue; None: this waiter waits alone."""

    deadline: float | None
    """When to give up, on the clock of `time.monotonic()`; None for never, 0 for at once."""

    wakes_next: Hashable
    """Key of the waiters that may go on when this one has its answer. The first of them in the same loop polls at once.
    None: there are none."""

    def step(self, wake: Wake | None) -> Any:
        """Poll once, and never wait. Returns PENDING or the result of the awaited method (such as `aget`), or raises
        that method's exception.

        If it returns PENDING, `wake` is called at least once, from any thread, when it makes sense to poll again;
        needless calls are possible. `wake=None`: nothing is called; the caller polls again or calls `cancel` at once.
        """

    def cancel(self) -> None:
        """End a wait whose `step` has returned PENDING; `wake` is not called for it any more. If this waiter was
        notified and has not polled since, another waiter gets the notification."""


class Parker:
    """A task that waits; only its own loop accesses `future`."""

    __slots__ = ("called", "future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future = loop.create_future()
        self.called = False

    def wake(self) -> None:
        """Wake the task. Called in the loop's thread, or while the garbage collector collects the loop."""
        self.called = False
        if not self.future.done() and not self.loop.is_closed():
            self.future.set_result(None)

    def __call__(self) -> bool:
        """Make the task poll again soon (see `Wake`). Further calls have no effect until the task wakes."""
        if not self.called:
            self.called = True
            try:
                self.loop.call_soon_threadsafe(self.wake)
            except RuntimeError:
                if not self.loop.is_closed():
                    raise
                with _wait_queues_lock:  # the loop's queues hold the parkers, which hold the loop
                    _wait_queues.pop(self.loop, None)
        return self.loop.is_running()

    @property
    def alive(self) -> bool:
        return self.loop.is_running()

    @property
    def closed(self) -> bool:
        return self.loop.is_closed()

    async def sleep(self, deadline: float | None) -> None:
        """Sleep until woken, at the latest until the deadline."""
        timer = None if deadline is None else self.loop.call_at(deadline, self.wake)
        try:
            await self.future
        finally:
            if timer is not None:
                timer.cancel()
        self.future = self.loop.create_future()


_WaitQueue = deque[Parker]


class _WaitQueues(dict[Hashable, _WaitQueue]):
    """The wait queues of one loop by key, accessed only by the loop's own thread.

    Only the tasks in the queues hold a reference to this object. So if a loop is closed too early, it can be collected,
    together with the things that its tasks waited for.
    """

    __slots__ = ("__weakref__",)


_wait_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, ReferenceType[_WaitQueues]] = WeakKeyDictionary()
# Reentrant: while a thread holds it, garbage collection may end a coroutine; this may call a parker, which takes it.
_wait_queues_lock = threading.RLock()


def _in_child() -> None:
    """Replace the lock in a child: a thread that does not exist in the child may have held it during the fork."""
    global _wait_queues_lock
    _wait_queues_lock = threading.RLock()


os.register_at_fork(after_in_child=_in_child)


def _wait_queues_there(loop: asyncio.AbstractEventLoop) -> _WaitQueues | None:
    """The wait queues of the loop; None if it has none."""
    there = _wait_queues.get(loop)
    return None if there is None else there()


def _wait_queues_of(loop: asyncio.AbstractEventLoop) -> _WaitQueues:
    with _wait_queues_lock:
        queues = _wait_queues_there(loop)
        if queues is None:
            queues = _WaitQueues()
            _wait_queues[loop] = ReferenceType(queues)
        return queues


async def wait(waiter: Waiter) -> Any:
    """Poll and sleep until the waiter has an answer; return the answer."""
    loop = asyncio.get_running_loop()
    queues = _wait_queues_there(loop)
    if not queues or waiter.deadline == 0 or waiter.key not in queues:
        answer = waiter.step(None)
        if answer is not PENDING:
            if queues:
                _wake_next(queues, waiter.wakes_next)
            return answer
    parker = Parker(loop)
    try:
        if waiter.key is None:
            return await _ask(waiter, parker)
        queues = _wait_queues_of(loop)
        answer = await _wait_in_queue(waiter, parker, queues)
        _wake_next(queues, waiter.wakes_next)
        return answer
    finally:
        waiter.cancel()


class PutMany(Waiter, Protocol):
    """The waiter of `Queue.aput_many`."""

    @property
    def done(self) -> int:
        """How many items went in."""


async def wait_to_put(waiter: PutMany) -> None:
    """Wait as `wait` does; a CancelledError says in its attribute `put` how many items went in."""
    try:
        await wait(waiter)
    except asyncio.CancelledError as error:
        vars(error)["put"] = waiter.done
        raise


def _wake_next(queues: dict[Hashable, _WaitQueue], key: Hashable) -> None:
    """Let the first task of a wait queue poll at once. A task of the same loop has made the change; a wake-up through
    the system and the watcher's thread would take 150 us instead of 10."""
    queue = queues.get(key)
    if queue:
        queue[0].wake()


def wake_next(key: Hashable) -> None:
    """Do as `_wake_next` does in the running loop, for a caller that did not come through `wait`."""
    loop = asyncio._get_running_loop()
    # no loop runs if an `async with` block is ended by garbage collection
    queues = None if loop is None else _wait_queues_there(loop)
    if queues:
        _wake_next(queues, key)


async def _ask(waiter: Waiter, parker: Parker) -> Any:
    """Poll after every wake-up until there is an answer."""
    while True:
        answer = waiter.step(parker)
        if answer is not PENDING:
            return answer
        await parker.sleep(waiter.deadline)


async def _wait_in_queue(waiter: Waiter, parker: Parker, queues: dict[Hashable, _WaitQueue]) -> Any:
    """Wait until the tasks ahead in the queue have gone, then poll. A task whose deadline has passed polls once."""
    queue = queues.setdefault(waiter.key, deque())
    queue.append(parker)
    count_queued_task(1)
    try:
        while queue[0] is not parker and not _is_over(waiter, parker.loop):
            await parker.sleep(waiter.deadline)
        # Let the loop run once before the poll: often another task or another process acts meanwhile, and then the word
        # need not be watched.
        await asyncio.sleep(0)
        answer = waiter.step(None)
        return await _ask(waiter, parker) if answer is PENDING else answer
    finally:
        leads = queue[0] is parker
        queue.remove(parker)
        count_queued_task(-1)
        if not queue:
            queues.pop(waiter.key, None)
        elif leads:
            queue[0].wake()


def _is_over(waiter: Waiter, loop: asyncio.AbstractEventLoop) -> bool:
    return waiter.deadline is not None and loop.time() >= waiter.deadline


async def in_thread(call: Callable[[], object]) -> None:
    """Run a blocking call in a new thread and wait for the call. The threads of the loop's own executor will not do,
    because the call may be waiting for their end."""
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
    """End an `async with` block; then the waiters with key `wakes_next` may go on."""
    end()
    wake_next(wakes_next)


async def insist(again: Callable[[], Awaitable[object]]) -> None:
    """Wait to the end even if the task is cancelled; in that case raise CancelledError at the end."""
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
    """A condition's wait: its first step releases the lock."""

    loop: asyncio.AbstractEventLoop
    """The loop in which the task waits."""

    def left(self) -> bool:
        """Whether the lock was released."""

    def back(self) -> Awaitable[object]:
        """Acquire the lock again as often as it was held."""

    def done(self, well: bool) -> None:
        """Called at the end of the wait. If the task held the lock before, it holds the lock again now. If not `well`,
        another waiter gets the notification."""


async def sleep(waiter: Sleep) -> bool:
    """Release a condition's lock, wait for a notification, and acquire the lock again, whatever happens. Returns
    whether the task was notified."""
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
