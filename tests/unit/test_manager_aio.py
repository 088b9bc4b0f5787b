"""What a server gives to tasks whose loop does not run, and takes back."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.loops import eventually, settle
from conformance.watchdog import LIMIT, Task, until


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # do not print that a task never ended
    yield loop
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(settle())
    loop.close()


def leave(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], ready: Callable[[], bool] = lambda: True
) -> asyncio.Task[Any]:
    """Run the coroutine in the loop until `ready` holds; then stop the loop."""
    task = loop.create_task(coroutine)

    async def run() -> None:
        await asyncio.sleep(0)
        await eventually(ready)

    loop.run_until_complete(run())
    assert not task.done()
    return task


def go_on(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Any:
    return loop.run_until_complete(asyncio.wait_for(task, LIMIT))


def test_a_party_of_a_stopped_loop_does_not_call_the_action(ctx: Any, loop: asyncio.AbstractEventLoop) -> None:
    acting, go = threading.Event(), threading.Event()
    acted: list[bool] = []

    def act() -> None:
        acting.set()
        acted.append(go.wait(LIMIT))

    with ctx.Barrier(1, act) as b, ctx.Event() as never:

        async def come() -> int:
            coming = asyncio.ensure_future(b.await_(LIMIT))
            await asyncio.sleep(0)
            await never.await_(0)  # the server answers this after it has received the first request
            asked.append(True)
            return await coming

        asked: list[bool] = []
        first = Task(b.wait, LIMIT)
        assert acting.wait(LIMIT)
        task = leave(loop, come(), lambda: bool(asked))
        go.set()  # without the first party the task that was left would have to call the action
        assert first.result() == 0
        assert Task(b.wait, LIMIT).result() == 0
        assert len(acted) == 2
        assert go_on(loop, task) == 0
        assert len(acted) == 3


def test_a_batch_of_a_stopped_loop_is_finished_later(ctx: Any, loop: asyncio.AbstractEventLoop) -> None:
    with ctx.Queue(1) as q:
        q.put("first")
        task = leave(loop, q.aput_many("ab"), lambda: q.statistics().waiting_putters == 1)
        assert [q.get(), q.get()] == ["first", "a"]
        until(lambda: q.empty() and q.unfinished_tasks == 2)
        go_on(loop, task)
        assert q.get() == "b"
        assert q.unfinished_tasks == 3


def test_a_cancelled_batch_of_a_stopped_loop_says_what_it_has_put(ctx: Any, loop: asyncio.AbstractEventLoop) -> None:
    with ctx.Queue(1) as q:
        q.put("first")
        task = leave(loop, q.aput_many("ab"), lambda: q.statistics().waiting_putters == 1)
        assert [q.get(), q.get()] == ["first", "a"]
        until(q.empty)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            go_on(loop, task)
        assert vars(cancelled.value)["put"] == 1
        assert q.empty()


def test_a_wait_of_a_stopped_loop_has_its_lock_again_later(ctx: Any, loop: asyncio.AbstractEventLoop) -> None:
    c = ctx.Condition()
    counts: list[int] = []

    async def wait() -> bool:
        async with c, c:
            told = bool(await c.await_())
            counts.append(c.statistics().lock.count)
            return told

    task = leave(loop, wait(), lambda: c.statistics().waiting == 1)
    with c:
        c.notify()
    assert c.acquire(timeout=LIMIT)  # a task whose loop does not run does not hold it
    c.release()
    assert go_on(loop, task) is True
    assert counts == [2]
    assert c.statistics().lock.count == 0
    c.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_task_collected_during_a_wait_does_not_release_a_lock_that_another_holds(ctx: Any) -> None:
    lock = ctx.Lock()
    c = ctx.Condition(lock)
    ended: list[str] = []

    async def wait() -> None:
        async with lock:
            try:
                await c.await_()
            finally:
                ended.append("forgotten")

    async def wait_in_it() -> None:
        async with c:
            try:
                await c.await_()
            finally:
                ended.append("forgotten")

    for block in (wait, wait_in_it):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        leave(loop, block(), lambda: c.statistics().waiting == 1)
        with c:
            c.notify()
        assert lock.acquire(timeout=LIMIT)
        loop.close()
        del loop

        async def forget() -> None:
            """Collect the task outside of its loop; if a loop ran here, the task could send requests."""
            gc.collect()
            await settle()

        asyncio.run(forget())
        assert not ended
        assert lock.acquire(False) is False
        lock.release()
    c.close()
    lock.close()
