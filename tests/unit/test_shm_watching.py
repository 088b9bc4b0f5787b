"""The watcher's thread, one for all waiting tasks of a process: when it lives, what it watches, what it leaves."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import subprocess
import sys
import threading
import weakref
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

import sharedkit as sk
from sharedkit._core import watcher
from sharedkit.aio import waiters

T = TypeVar("T")
WATCHDOG = 60.0


def run(main: Coroutine[Any, Any, T]) -> T:
    async def guarded() -> T:
        async with asyncio.timeout(WATCHDOG):
            return await main

    return asyncio.run(guarded())


def watchers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "sharedkit watcher"]


def end_watchers() -> None:
    for each in watchers():
        each.join(WATCHDOG)
    assert not watchers()


@pytest.fixture(params=[False, True], ids=["at once", "one by one"])
def way(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the thread waits in the system for all words at once, or polls each of them now and then."""
    end_watchers()
    watcher.restart(request.param)
    yield request.param
    end_watchers()
    watcher.restart()


async def gets(queue: sk.Queue[int], n: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(queue.aget()) for _ in range(n)]
    while not watchers():
        await asyncio.sleep(0)
    return tasks


def test_the_thread_starts_with_the_first_wait_and_ends_when_nothing_was_watched_for_a_while() -> None:
    async def main() -> None:
        assert not watchers()
        queue: sk.Queue[int] = sk.Queue()
        await queue.aput(1)
        assert await queue.aget() == 1
        assert not watchers()
        (task,) = await gets(queue, 1)
        assert len(watchers()) == 1
        queue.put(2)
        assert await task == 2

    end_watchers()
    run(main())
    end_watchers()


def test_more_words_than_the_system_can_wait_for_at_once_are_all_watched(way: bool) -> None:
    async def main() -> None:
        queues = [sk.Queue[int]() for _ in range(200)]
        tasks = [(await gets(each, 1))[0] for each in queues]
        await asyncio.to_thread(lambda: [each.put(n) for n, each in reversed(list(enumerate(queues)))])
        assert await asyncio.gather(*tasks) == list(range(200))
        assert len(watchers()) == 1

    run(main())


def test_ten_thousand_tasks_wait_on_one_loop_with_one_thread(way: bool) -> None:
    async def main() -> None:
        queue: sk.Queue[int] = sk.Queue()
        before = threading.active_count()
        tasks = await gets(queue, 10_000)
        more = threading.active_count() - before
        await asyncio.to_thread(queue.put_many, range(10_000))
        assert await asyncio.gather(*tasks) == list(range(10_000))
        assert more == 1

    run(main())


def test_a_handle_closed_meanwhile_keeps_its_segment_until_the_wait_is_over(way: bool) -> None:
    async def main() -> None:
        queue: sk.Queue[int] = sk.Queue()
        other = sk.attach(queue.name)
        (task,) = await gets(queue, 1)
        queue.close()
        other.put(3)
        assert await task == 3

    run(main())


def test_a_wait_that_was_cancelled_keeps_nothing() -> None:
    async def main() -> weakref.ref[object]:
        queue: sk.Queue[int] = sk.Queue()
        (task,) = await gets(queue, 1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return weakref.ref(queue._segment())

    segment = run(main())
    gc.collect()
    assert segment() is None


def test_a_wait_of_a_closed_loop_can_be_collected() -> None:
    loop = asyncio.new_event_loop()
    queue: sk.Queue[int] = sk.Queue()

    async def begin() -> weakref.ref[object]:
        return weakref.ref((await gets(queue, 1))[0])

    task = loop.run_until_complete(begin())
    loop.close()
    queue.put(1)
    end_watchers()
    gc.collect()
    assert task() is None
    assert queue.get() == 1


def test_a_collected_wait_for_a_condition_does_not_release_a_lock_that_another_holds() -> None:
    lock = sk.Lock()
    condition = sk.Condition(lock)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # do not print that a task never ended

    async def sleep() -> None:
        async with condition:
            await condition.await_()

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(sleep())
        while not condition.statistics().waiting:
            await asyncio.sleep(0)
        return task

    task = loop.run_until_complete(begin())
    loop.close()
    assert lock.acquire(timeout=WATCHDOG)
    end_watchers()
    del task, loop
    gc.collect()
    assert lock.locked()
    lock.release()


def _in_child(queue: sk.Queue[int], answers: sk.Queue[int]) -> None:
    async def main() -> None:
        answers.put(await queue.aget())

    run(main())


def test_the_child_of_a_fork_watches_for_itself() -> None:
    async def main() -> None:
        queue: sk.Queue[int] = sk.Queue()
        answers: sk.Queue[int] = sk.Queue()
        (task,) = await gets(queue, 1)
        other: sk.Queue[int] = sk.Queue()
        child = multiprocessing.get_context("fork").Process(target=_in_child, args=(other, answers))
        child.start()
        other.put(5)
        assert await answers.aget(timeout=WATCHDOG) == 5
        queue.put(6)
        assert await task == 6
        await asyncio.to_thread(child.join, WATCHDOG)
        assert child.exitcode == 0

    run(main())


def _stand_in_line(queue: sk.Queue[int], answers: sk.Queue[int]) -> None:
    async def main() -> None:
        task = asyncio.create_task(queue.aget())
        await asyncio.sleep(0)
        answers.put(0)  # the task waits, and the loop runs
        answers.put(await task)

    run(main())


def test_the_wait_queues_of_a_forked_child_work_whatever_other_threads_did() -> None:
    joining, go = threading.Event(), threading.Event()

    def join_a_line() -> None:
        with waiters._wait_queues_lock:
            joining.set()
            go.wait(WATCHDOG)

    thread = threading.Thread(target=join_a_line)
    thread.start()
    assert joining.wait(WATCHDOG)
    other: sk.Queue[int] = sk.Queue()
    answers: sk.Queue[int] = sk.Queue()
    child = multiprocessing.get_context("fork").Process(target=_stand_in_line, args=(other, answers))
    child.start()
    go.set()
    thread.join()
    try:
        assert answers.get(timeout=WATCHDOG) == 0
        other.put(5)
        assert answers.get(timeout=WATCHDOG) == 5
    finally:
        child.kill()
        child.join()


LEAVES = """
import asyncio, sys
import sharedkit as sk

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # -X dev names tasks that are slow on a busy machine
    queue = sk.Queue()
    tasks = [asyncio.create_task(each) for each in (queue.aget(), sk.Event().await_(), sk.Lock().aacquire())]
    await asyncio.sleep(0.01)
    if sys.argv[1] == "exit":
        sys.exit(3)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["end", "exit"])
def test_an_interpreter_that_ends_with_waiting_tasks_prints_nothing(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", LEAVES, how], capture_output=True, text=True, timeout=WATCHDOG
    )
    assert (done.returncode, done.stderr) == (3 if how == "exit" else 0, "")


def test_importing_the_package_does_not_import_asyncio() -> None:
    code = "import sys, sharedkit; print('asyncio' in sys.modules or 'sharedkit.aio.waiters' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WATCHDOG)
    assert done.stdout.strip() == "False"
