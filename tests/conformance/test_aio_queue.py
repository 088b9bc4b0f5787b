"""A queue used by tasks, threads and loops at once: waiting, order, and that no item is lost on the way."""

from __future__ import annotations

import asyncio
import random
import threading
from queue import Empty
from typing import Any

import pytest
from conformance.loops import eventually, in_loop, perhaps, run, settle, start
from conformance.subjects import Subject
from conformance.watchdog import Task, until

import sharedkit as sk

Kit = Any
MANY = 10_000


def test_tasks_get_items_in_order_of_arrival(kit: Kit) -> None:
    q = kit.Queue()

    async def main() -> list[int]:
        tasks = start(q.aget() for _ in range(100))
        await settle()
        await asyncio.to_thread(lambda: [q.put(i) for i in range(100)])
        return list(await asyncio.gather(*tasks))

    assert run(main) == list(range(100))


def test_a_closed_queue_refuses_an_item_before_it_packs_it(kit: Kit) -> None:
    q = kit.Queue()
    q.close()
    nobody_can_pickle = iter(lambda: 0, 1)

    async def main() -> None:
        with pytest.raises(sk.ClosedError):
            await q.aput(nobody_can_pickle)
        with pytest.raises(sk.ClosedError):
            await q.aput_many([nobody_can_pickle])

    with pytest.raises(sk.ClosedError):
        q.put(nobody_can_pickle)
    with pytest.raises(sk.ClosedError):
        q.put_many([nobody_can_pickle])
    run(main)


@pytest.mark.skipif(not hasattr(asyncio.TaskGroup, "cancel"), reason="asyncio has TaskGroup.cancel from Python 3.15 on")
def test_a_cancelled_group_loses_nothing(kit: Kit) -> None:
    q = kit.Queue()

    async def main() -> list[int]:
        taken: list[int] = []

        async def take() -> None:
            while True:
                taken.append(await q.aget())

        for first in range(0, 200, 10):
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(take())
                await settle()
                q.put_many(range(first, first + 10))
                await settle()
                getattr(group, "cancel")()  # noqa: B009 - stubs of older Pythons do not know it
        q.shutdown()
        return taken + [item async for item in q]

    assert sorted(run(main)) == list(range(200))


def test_tasks_put_items_in_order_of_arrival(kit: Kit) -> None:
    q = kit.Queue(1)

    async def main() -> list[int]:
        tasks = start(q.aput(i) for i in range(100))
        await settle()
        taken = await asyncio.to_thread(lambda: [q.get() for _ in range(100)])
        await asyncio.gather(*tasks)
        return taken

    assert run(main) == list(range(100))


def test_a_task_that_times_out_leaves_the_order_of_the_others(kit: Kit) -> None:
    q = kit.Queue()

    async def main() -> list[int]:
        tasks = start(q.aget(timeout=0.02 if i % 3 == 0 else None) for i in range(30))
        await eventually(lambda: all(task.done() for task in tasks[::3]))
        assert all(isinstance(task.exception(), Empty) for task in tasks[::3])
        patient = [task for task in tasks if not task.done()]
        for i in range(20):
            q.put(i)
        return list(await asyncio.gather(*patient))

    assert run(main) == list(range(20))


def test_a_thread_produces_for_a_task_and_the_reverse(kit: Kit) -> None:
    there, back = kit.Queue(5), kit.Queue(5)
    count = 500

    async def echo() -> None:
        async for item in there:
            await back.aput(item * 2)
            there.task_done()
        back.shutdown()

    def ask() -> None:
        for i in range(count):
            there.put(i)
        there.shutdown()

    def listen() -> list[int]:
        heard = []
        while True:
            try:
                heard.append(back.get())
            except sk.ShutDown:
                return heard

    loop, asker, listener = in_loop(echo), Task(ask), Task(listen)
    assert listener.result() == [i * 2 for i in range(count)]
    asker.result()
    loop.result()
    there.join()


def test_many_tasks_of_two_loops_and_threads_share_all_that_comes(kit: Kit) -> None:
    q, n = kit.Queue(7), 600

    async def consume() -> list[int]:
        async def one() -> list[int]:
            got = []
            async for item in q:
                got.append(item)
                q.task_done()
            return got

        return [item for got in await asyncio.gather(*(one() for _ in range(5))) for item in got]

    async def produce(base: int) -> None:
        async def one(start: int) -> None:
            for i in range(start, n, 3):
                await q.aput(base + i)

        await asyncio.gather(*(one(i) for i in range(3)))

    def consume_here() -> list[int]:
        got = []
        while True:
            try:
                got.append(q.get())
            except sk.ShutDown:
                return got
            q.task_done()

    consumers = [in_loop(consume), in_loop(consume), Task(consume_here)]
    producers = [in_loop(produce, 0), in_loop(produce, n), Task(lambda: [q.put(2 * n + i) for i in range(n)])]
    for producer in producers:
        producer.result()
    q.join()
    q.shutdown()
    assert sorted(item for consumer in consumers for item in consumer.result()) == list(range(3 * n))


def test_batches_arrive_in_order_and_once(kit: Kit) -> None:
    q = kit.Queue(10)

    async def main() -> list[int]:
        async def produce() -> None:
            for first in range(0, 900, 30):
                await q.aput_many(range(first, first + 30))
            q.shutdown()

        (producer,) = start([produce()])
        got: list[int] = []
        with pytest.raises(sk.ShutDown):
            while True:
                got += await q.aget_many(random.choice([None, 1, 4, 100]))
        await producer
        return got

    assert run(main) == list(range(900))


def test_join_is_awaited_until_all_is_done(kit: Kit) -> None:
    q = kit.Queue()
    q.put_many(range(3))

    async def main() -> None:
        joins = start(q.ajoin() for _ in range(5))
        await settle()
        for _ in range(3):
            assert not any(task.done() for task in joins)
            await q.aget()
            await asyncio.to_thread(q.task_done)
        await asyncio.gather(*joins)
        await q.ajoin()

    run(main)


@pytest.mark.parametrize("immediate", [False, True], ids=["graceful", "immediate"])
def test_shutdown_ends_all_waits(kit: Kit, immediate: bool) -> None:
    empty, full = kit.Queue(), kit.Queue(1)
    full.put(1)

    async def iterate() -> list[Any]:
        return [item async for item in empty]

    async def main() -> None:
        tasks = start([*(empty.aget() for _ in range(5)), *(empty.aget_many() for _ in range(5))])
        tasks += start([*(full.aput(2) for _ in range(5)), *(full.aput_many([3, 4]) for _ in range(5))])
        iterating = start(iterate() for _ in range(5))
        await settle()
        await asyncio.to_thread(empty.shutdown, immediate)
        full.shutdown(immediate)
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(answer, sk.ShutDown)
        assert await asyncio.gather(*iterating) == [[]] * 5

    run(main)


def test_the_remaining_items_come_before_the_end(kit: Kit) -> None:
    q = kit.Queue()
    q.put_many("abc")
    q.shutdown()

    async def main() -> list[str]:
        return [item async for item in q]

    assert run(main) == ["a", "b", "c"]


def test_a_cancelled_batch_says_how_many_items_it_has_put(kit: Kit) -> None:
    q = kit.Queue(2)

    async def main() -> int:
        async def put() -> int:
            try:
                await q.aput_many("abcde")
            except asyncio.CancelledError as error:
                return int(vars(error)["put"])
            raise AssertionError

        (task,) = start([put()])
        await settle()
        assert await q.aget() == "a"
        await eventually(lambda: q.qsize() == 2)
        task.cancel()
        return await task  # type: ignore[no-any-return]

    put: int = run(main)
    assert put == 3
    assert q.get_many() == ["b", "c"]


def test_a_batch_that_is_cancelled_twice_says_how_many_items_it_has_put(kit: Kit) -> None:
    q = kit.Queue(1)
    q.put("first")

    async def main() -> None:
        (task,) = start([q.aput_many("abc")])
        await settle()
        await eventually(lambda: q.statistics().waiting_putters in (None, 1))
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await task
        assert vars(cancelled.value)["put"] == 0

    run(main)
    assert q.get() == "first"
    assert q.empty()


def test_cancelled_gets_and_puts_neither_lose_nor_duplicate_items(kit: Kit, subject: Subject) -> None:
    q, n = kit.Queue(3), 400
    exact = subject.missing(("cancelled-puts",)) is None
    nothing = object()

    async def main() -> list[int]:
        got: list[int] = []
        left = 3 * n

        async def consume(seed: int) -> None:
            chance = random.Random(seed)
            while len(got) < left:
                if seed % 2:
                    item = await perhaps(chance, q.aget, nothing)
                    got.extend([] if item is nothing else [item])
                else:
                    got.extend(await perhaps(chance, lambda: q.aget_many(2), []))

        async def produce(base: int) -> None:
            chance = random.Random(base)
            for i in range(n):
                if not exact:
                    await q.aput(base + i)
                    continue
                while await perhaps(chance, lambda: q.aput(base + i), nothing) is nothing:  # noqa: B023
                    pass

        thread = Task(lambda: [q.put(2 * n + i) for i in range(n)])
        consumers = start(consume(seed) for seed in range(8))
        await asyncio.gather(produce(0), produce(n))
        await asyncio.gather(*consumers)
        thread.result()
        return sorted(got)

    assert run(main) == list(range(3 * n))
    assert q.empty()


def test_a_waiting_thread_gets_the_item_that_a_cancelled_task_was_notified_of(kit: Kit) -> None:
    """The task has waited longer and is notified first; it is cancelled before it can poll."""

    async def main() -> None:
        for _ in range(50):
            q = kit.Queue()
            (task,) = start([q.aget()])
            await settle()
            thread = Task(q.get)
            await asyncio.sleep(0.002)
            q.put("it")  # the loop does not run between this and the next line
            task.cancel()
            assert await asyncio.to_thread(thread.result) == "it"
            await asyncio.wait([task])
            assert task.cancelled()
            q.close()

    run(main)


def test_ten_thousand_tasks_wait_without_a_thread_each(kit: Kit) -> None:
    q = kit.Queue()
    before = threading.active_count()

    async def main() -> list[int]:
        tasks = start(q.aget() for _ in range(MANY))
        await settle()
        assert threading.active_count() <= before + 3  # the thread of this loop, and the watcher's
        await asyncio.to_thread(lambda: q.put_many(range(MANY)))
        return list(await asyncio.gather(*tasks))

    assert run(main) == list(range(MANY))
    assert q.empty()


def test_ten_thousand_waits_are_cancelled_and_leave_nothing(kit: Kit) -> None:
    q = kit.Queue()

    async def main() -> None:
        tasks = start(q.aget() for _ in range(MANY))
        await settle()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        q.put(1)
        assert await q.aget() == 1

    run(main)
    until(lambda: not q.statistics().waiting_getters)
