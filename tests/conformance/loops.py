"""Event loops for tests: none outlives its test, and none may leave a task behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from conformance.watchdog import LIMIT, Task


async def _watched(main: Callable[..., Coroutine[Any, Any, Any]], args: tuple[Any, ...]) -> Any:
    result = await asyncio.wait_for(main(*args), LIMIT)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks are left: {left}"
    return result


def in_loop(main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Task:
    """Run `main(*args)` in a new loop, in a new thread."""
    return Task(lambda: asyncio.run(_watched(main, args)))


def run(main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """Return the result of `main(*args)`, run in a new loop; AssertionError if it hangs or leaves a task."""
    return in_loop(main, *args).result(LIMIT + 10)


def start(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[asyncio.Task[Any]]:
    """Make a task of each coroutine."""
    return [asyncio.create_task(each) for each in coroutines]


async def settle() -> None:
    """Let every task run until it waits for something outside of the loop."""
    for _ in range(10):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; the loop runs meanwhile."""
    while not condition():
        await asyncio.sleep(0.001)


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel the task; return whether it ended as cancelled, and not with a result."""
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def perhaps(chance: random.Random, call: Callable[[], Coroutine[Any, Any, Any]], nothing: Any) -> Any:
    """The result of the call, or `nothing` if it was cancelled.

    It may be cancelled at once, while it waits or as it is woken; by its task, `asyncio.timeout` or `wait_for`.
    """
    way = chance.randrange(4)
    try:
        if way == 0:
            async with asyncio.timeout(chance.random() * 0.002):
                return await call()
        if way == 1:
            return await asyncio.wait_for(call(), chance.random() * 0.002)
    except TimeoutError:
        return nothing
    (task,) = start([call()])
    for _ in range(chance.randrange(6)):
        await asyncio.sleep(0 if way == 2 else chance.random() * 0.001)
    return nothing if await cancelled(task) else task.result()


def asked(kit: Any, condition: Callable[[], bool]) -> Callable[[], bool]:
    """Whether a server has received the requests of the tasks. (Requests of their thread use another connection and may
    overtake them.)

    In other placements there is nothing to wait for, and tasks are not counted one by one.
    """
    return lambda: kit.context.method not in ("manager", "redis") or condition()


class Left:
    """A loop that stopped, and perhaps was closed, while its tasks waited. It runs until `ready`, if that is given."""

    def __init__(
        self, closed: bool, *coroutines: Coroutine[Any, Any, Any], ready: Callable[[], bool] | None = None
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _loop, _context: None)  # do not print that a task never ended
        self.tasks = [self.loop.create_task(each) for each in coroutines]
        self.loop.run_until_complete(settle())
        self.run_until(ready or (lambda: True))
        if closed:
            self.loop.close()

    def run_until(self, condition: Callable[[], bool], *, may_end: bool = False) -> None:
        """Run until the condition holds, which the tasks must bring about; none of them ends meanwhile, unless they
        `may_end`."""
        self.loop.run_until_complete(asyncio.wait_for(eventually(condition), LIMIT))
        assert may_end or not any(task.done() for task in self.tasks)

    def go_on(self) -> Any:
        """Run the loop again until its tasks end, and return their results."""
        return self.loop.run_until_complete(asyncio.wait_for(asyncio.gather(*self.tasks), 60))

    def end(self) -> None:
        if not self.loop.is_closed():
            for task in self.tasks:
                task.cancel()
            self.loop.run_until_complete(settle())
            self.loop.close()
