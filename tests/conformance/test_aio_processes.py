"""Waits of event loops between processes, and what remains for them when a process is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from collections.abc import Callable
from multiprocessing.sharedctypes import RawValue
from typing import Any

import pytest
from conformance import children_aio
from conformance.children import count_under
from conformance.loops import eventually, run, start
from conformance.subjects import METHODS
from conformance.watchdog import LIMIT, Child, Task, in_children, until

import sharedkit as sk

pytestmark = pytest.mark.needs("processes")
each_method = pytest.mark.parametrize("start_method", METHODS)
Kit = Any
N = 300

LOCKS: dict[str, Callable[[Kit], Any]] = {
    "Lock": lambda kit: kit.Lock(),
    "RLock": lambda kit: kit.RLock(),
    "BoundedSemaphore": lambda kit: kit.BoundedSemaphore(1),
    "RWLock": lambda kit: kit.RWLock().writer,
}


def kill(child: Child) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)


@each_method
def test_a_loop_of_another_process_answers_a_thread(kit: Kit, start_method: str) -> None:
    there, back = kit.Queue(5), kit.Queue(5)
    child = Child(start_method, children_aio.echo, there, back)
    producer = Task(lambda: [there.put(i) for i in range(N)] and there.shutdown())
    assert [back.get(timeout=LIMIT) for _ in range(N)] == list(range(N))
    producer.result()
    child.result()
    with pytest.raises(sk.ShutDown):
        back.get()


@each_method
def test_a_process_without_a_loop_answers_tasks(kit: Kit, start_method: str) -> None:
    there, back = kit.Queue(5), kit.Queue(5)
    child = Child(start_method, children_aio.echo_without_a_loop, there, back)

    async def main() -> list[int]:
        async def ask() -> None:
            for i in range(N):
                await there.aput(i)
            there.shutdown()

        (asking,) = start([ask()])
        heard = [item async for item in back]
        await asking
        return heard

    assert run(main) == list(range(N))
    child.result()


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_tasks_and_threads_of_many_processes_exclude_each_other(kit: Kit, start_method: str) -> None:
    for lock in (kit.Lock(), kit.RLock()):
        number = RawValue("q", 0)
        thread = Task(in_children, start_method, children_aio.count_under, [(lock, number, 4, 40)] * 2)
        count_under(lock, number, 160)
        thread.result()
        assert number.value == 480


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_tasks_of_several_processes_wait_for_an_event_and_at_a_barrier(kit: Kit, start_method: str) -> None:
    event, barrier = kit.Event(), kit.Barrier(3)
    child = Child(start_method, children_aio.meet, event, barrier, 20)
    thread = Task(lambda: [barrier.wait(LIMIT) for _ in range(20)])

    async def main() -> list[int]:
        event.set()
        return [await barrier.await_(LIMIT) for _ in range(20)]

    mine = run(main)
    for turn in zip(mine, thread.result(), child.result(), strict=True):
        assert sorted(turn) == [0, 1, 2]


@pytest.mark.parametrize("kind", LOCKS)
def test_a_task_gets_the_lock_of_a_process_that_was_killed(kit: Kit, kind: str) -> None:
    ready, held = kit.Queue(), LOCKS[kind](kit)
    child = Child("fork", children_aio.take_and_stay, held, ready)
    assert ready.get(timeout=LIMIT) == child.pid

    async def main() -> list[type[Warning]]:
        assert await held.aacquire(timeout=0.01) is False
        (task,) = start([held.aacquire(timeout=LIMIT)])
        await asyncio.sleep(0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kill(child)
            assert await task is True
        if kind in ("Lock", "RLock"):
            assert held.owner_died
            held.release() if kind == "Lock" else None
        return [each.category for each in caught]

    told = run(main)
    assert told == ([] if kind == "BoundedSemaphore" else [sk.errors.OwnerDiedWarning])
    child.end()


def test_a_poisoned_lock_refuses_a_task(kit: Kit) -> None:
    ready, lock = kit.Queue(), kit.Lock(on_owner_died="raise")
    child = Child("fork", children_aio.take_and_stay, lock, ready)
    ready.get(timeout=LIMIT)

    async def main() -> None:
        (task,) = start([lock.aacquire()])
        await asyncio.sleep(0)
        kill(child)
        with pytest.raises(sk.errors.OwnerDiedError):
            await task

    run(main)
    child.end()


def test_items_do_not_go_to_tasks_of_a_process_that_was_killed(kit: Kit) -> None:
    q, ready = kit.Queue(), kit.Queue()
    child = Child("fork", children_aio.wait_and_stay, q, ready, 20)
    assert ready.get(timeout=LIMIT) == child.pid

    async def main() -> list[int]:
        tasks = start(q.aget() for _ in range(10))
        await asyncio.sleep(0)
        kill(child)
        child.end()
        q.put_many(range(20))
        return [*await asyncio.gather(*tasks), *(await q.aget_many())]

    assert run(main) == list(range(20))


def test_a_killed_waiter_swallows_no_notification(kit: Kit) -> None:
    c = kit.Condition()
    child = Child("fork", children_aio.wait_for_notice, c)
    until(lambda: c.statistics().waiting == 1)

    async def wait() -> bool:
        async with c:
            return bool(await c.await_())

    async def main() -> bool:
        (task,) = start([wait()])
        await eventually(lambda: c.statistics().waiting == 2)
        kill(child)
        child.end()
        async with c:
            c.notify()
        return bool(await task)

    assert run(main) is True


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_child_waits_while_its_parents_loop_waits(kit: Kit, start_method: str) -> None:
    """The child of a fork inherits no wait of the parent, and makes its own."""
    there, back, event = kit.Queue(), kit.Queue(), kit.Event()

    async def main() -> int:
        waits = start([back.aget(), event.await_()])
        await asyncio.sleep(0.01)
        child = Child(start_method, children_aio.echo, there, back)
        await there.aput(7)
        assert await waits[0] == 7
        assert not waits[1].done()
        event.set()
        await waits[1]
        there.shutdown()
        await asyncio.to_thread(child.result)
        return 7

    assert run(main) == 7
