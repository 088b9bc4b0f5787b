"""Events and conditions that tasks, threads and loops wait for at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from conformance.loops import asked, eventually, in_loop, perhaps, run, settle, start
from conformance.watchdog import Task

Kit = Any
CONDITIONS: dict[str, Callable[[Kit], Any]] = {
    "RLock": lambda kit: kit.Condition(),
    "Lock": lambda kit: kit.Condition(kit.Lock()),
}
each_condition = pytest.mark.parametrize("lock", CONDITIONS)


# --- events -----------------------------------------------------------------------------------------


def test_an_event_wakes_tasks_of_all_loops_and_threads(kit: Kit) -> None:
    event = kit.Event()

    async def wait() -> list[bool]:
        return list(await asyncio.gather(*(event.await_() for _ in range(50))))

    loops = [in_loop(wait), in_loop(wait)]
    threads = [Task(event.wait), Task(event.wait)]
    event.set()
    assert [loop.result() for loop in loops] == [[True] * 50] * 2
    assert [thread.result() for thread in threads] == [True, True]


def test_a_woken_waiter_returns_true_although_the_event_is_cleared_again(kit: Kit) -> None:
    event = kit.Event()

    async def main() -> None:
        tasks = start(event.await_() for _ in range(10))
        await settle()
        await eventually(asked(kit, lambda: event.statistics().waiting == 10))
        event.set()
        event.clear()
        assert await asyncio.gather(*tasks) == [True] * 10
        assert await event.await_(0.01) is False

    run(main)


def test_the_wake_up_of_a_cancelled_wait_does_not_wake_a_later_one(kit: Kit) -> None:
    event = kit.Event()

    async def main() -> None:
        (task,) = start([event.await_()])
        await settle()
        await eventually(asked(kit, lambda: event.statistics().waiting == 1))
        event.set()
        event.clear()
        (late,) = start([event.await_(0.05)])
        task.cancel()
        await asyncio.wait([task])
        assert await late is False

    run(main)


def test_a_task_sets_the_event_that_a_thread_waits_for(kit: Kit) -> None:
    event = kit.Event()
    thread = Task(event.wait)

    async def main() -> None:
        event.set()

    run(main)
    assert thread.result() is True


# --- conditions -------------------------------------------------------------------------------------


@each_condition
def test_a_notification_reaches_the_longest_waiter(kit: Kit, lock: str) -> None:
    c, order = CONDITIONS[lock](kit), []

    async def wait(i: int) -> None:
        async with c:
            assert await c.await_() is True
            order.append(i)

    async def main() -> None:
        tasks = []
        for i in range(20):
            tasks += start([wait(i)])
            await eventually(lambda: c.statistics().waiting == len(tasks))  # noqa: B023
        for i in range(0, 20, 2):
            async with c:
                c.notify(2)
            await eventually(lambda: len(order) == i + 2)  # noqa: B023
        await asyncio.gather(*tasks)

    run(main)
    # Waiters that were notified together compete for the lock.
    assert [{*order[i : i + 2]} for i in range(0, 20, 2)] == [{i, i + 1} for i in range(0, 20, 2)]


@each_condition
def test_notify_all_wakes_tasks_and_threads(kit: Kit, lock: str) -> None:
    c = CONDITIONS[lock](kit)

    async def wait() -> bool:
        async with c:
            return bool(await c.await_())

    def wait_here() -> bool:
        with c:
            return bool(c.wait())

    async def main() -> list[bool]:
        tasks, threads = start(wait() for _ in range(10)), [Task(wait_here) for _ in range(3)]
        await eventually(lambda: c.statistics().waiting == 13)
        async with c:
            c.notify_all()
        return list(await asyncio.gather(*tasks, *(asyncio.to_thread(thread.result) for thread in threads)))

    assert run(main) == [True] * 13


@each_condition
def test_the_lock_is_free_while_a_task_waits_and_held_again_after_it(kit: Kit, lock: str) -> None:
    c = CONDITIONS[lock](kit)

    async def main() -> None:
        async def wait() -> None:
            async with c:
                await c.await_()
                c.notify()  # RuntimeError if this task does not hold the lock
            assert await c.aacquire(timeout=60)
            c.release()

        (task,) = start([wait()])
        await eventually(lambda: c.statistics().waiting == 1)
        async with c:
            c.notify()
            await settle()
            assert not task.done()
        await task
        with pytest.raises(RuntimeError):
            c.notify()
        with pytest.raises(RuntimeError):
            await c.await_()

    run(main)


@each_condition
def test_a_cancelled_wait_takes_the_lock_again_before_it_ends(kit: Kit, lock: str) -> None:
    c, seen = CONDITIONS[lock](kit), []

    async def main() -> None:
        async def wait() -> None:
            async with c:
                try:
                    await c.await_()
                finally:
                    c.notify(0)  # RuntimeError if this task does not hold the lock
                    seen.append("held")

        (task,) = start([wait()])
        await eventually(lambda: c.statistics().waiting == 1)
        async with c:
            task.cancel()
            await settle()
            task.cancel()
            await settle()
            assert not task.done()
            assert not seen
        await asyncio.wait([task])
        assert task.cancelled()
        assert seen == ["held"]
        assert await c.aacquire(timeout=60)
        c.release()

    run(main)
    assert c.statistics().waiting == c.statistics().notified == 0


@each_condition
def test_the_notification_of_a_cancelled_wait_goes_to_the_next_waiter(kit: Kit, lock: str) -> None:
    async def main() -> None:
        c = CONDITIONS[lock](kit)

        async def wait() -> bool:
            async with c:
                return bool(await c.await_())

        def wait_here() -> bool:
            with c:
                return bool(c.wait(60))

        for _ in range(20):
            (task,) = start([wait()])
            await eventually(lambda: c.statistics().waiting == 1)
            thread = Task(wait_here)
            await eventually(lambda: c.statistics().waiting == 2)
            async with c:
                c.notify()
                task.cancel()
            assert await asyncio.to_thread(thread.result) is True
            await asyncio.wait([task])
            assert task.cancelled()

    run(main)


def test_a_lock_that_was_taken_twice_is_released_and_taken_twice_again(kit: Kit) -> None:
    c = kit.Condition()

    async def notify() -> None:
        async with c:
            c.notify()

    async def main() -> None:
        async with c, c:
            (task,) = start([notify()])
            assert await c.await_() is True
            assert c.statistics().lock.count == 2
        await task
        assert c.statistics().lock.count == 0

    run(main)


def test_a_lock_that_the_thread_holds_is_held_by_the_thread_again_after_a_wait(kit: Kit) -> None:
    c = kit.Condition()

    async def main() -> None:
        with c:
            assert await c.await_(0.01) is False
            c.notify()
        assert c.statistics().lock.count == 0

    run(main)


@each_condition
def test_the_task_that_calls_a_condition_has_the_lock_whichever_task_awaits(kit: Kit, lock: str) -> None:
    """asyncio.wait_for of Python 3.11 awaits in a new task."""
    c = CONDITIONS[lock](kit)
    told: list[bool] = []
    waits: list[Callable[[], Any]] = [
        lambda: asyncio.wait_for(c.await_(), 60),
        lambda: asyncio.wait_for(c.await_for(lambda: told), 60),
        lambda: asyncio.create_task(c.await_()),
        lambda: asyncio.create_task(c.await_for(lambda: told)),
    ]

    async def tell() -> None:
        await eventually(lambda: c.statistics().waiting == 1)
        async with c:
            told.append(True)
            c.notify()

    async def main() -> None:
        async with c:
            for wait in waits:
                told.clear()
                (task,) = start([tell()])
                assert await wait()
                c.notify(0)  # RuntimeError if this task does not hold the lock
                await task
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(c.await_(), 0.01)
            c.notify(0)
        assert await c.aacquire(timeout=60)
        c.release()

    run(main)


@each_condition
def test_await_for_waits_until_the_predicate_holds(kit: Kit, lock: str) -> None:
    c, done = CONDITIONS[lock](kit), []

    def work() -> None:
        for i in range(5):
            with c:
                done.append(i)
                c.notify_all()

    async def main() -> int:
        async with c:
            thread = Task(work)
            answer: int = await c.await_for(lambda: len(done) if len(done) > 4 else 0)
            assert await c.await_for(lambda: "at once") == "at once"
            assert await c.await_for(lambda: 0, 0.01) == 0
        thread.result()
        return answer

    assert run(main) == 5


@each_condition
@pytest.mark.parametrize("timeout", [0, -1])
def test_with_a_timeout_of_0_or_less_the_predicate_is_called_twice(kit: Kit, lock: str, timeout: float) -> None:
    """As in threading: the lock is released once between the two calls. (multiprocessing does not do this.)"""
    c = CONDITIONS[lock](kit)

    async def main() -> bool:
        answers = iter([False, True])
        async with c:
            return bool(await c.await_for(lambda: next(answers), timeout))

    answers = iter([False, True])
    with c:
        assert c.wait_for(lambda: next(answers), timeout) is True
    assert run(main) is True


@each_condition
def test_cancelled_waits_lose_no_notification(kit: Kit, lock: str) -> None:
    """There are as many notifications as things; each is taken, however many waiters leave meanwhile."""
    c = CONDITIONS[lock](kit)
    things = taken = 0
    n = 150

    async def main() -> None:
        nonlocal things, taken

        async def take() -> bool:
            nonlocal things, taken
            async with c:
                while not things:
                    await c.await_()
                things -= 1
                taken += 1
                return True

        async def consume(seed: int) -> None:
            chance = random.Random(seed)
            while taken < n:
                await perhaps(chance, take, None)

        async def stay() -> None:
            nonlocal things, taken
            async with c:
                await c.await_for(lambda: things or taken >= n)
                if things:
                    things -= 1
                    taken += 1
                c.notify_all() if taken >= n else None

        tasks = start([*(consume(seed) for seed in range(6)), *(stay() for _ in range(n // 3))])

        def produce() -> None:
            nonlocal things
            for _ in range(n):
                with c:
                    things += 1
                    c.notify()

        await asyncio.to_thread(produce)
        await eventually(lambda: taken >= n)
        async with c:
            c.notify_all()
        await asyncio.gather(*tasks)

    run(main)
    assert (things, taken) == (0, n)
