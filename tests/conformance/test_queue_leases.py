"""Leases: an item is taken for good at the end of a block, and comes back before all others if the block fails."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import queue
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conformance.subjects import METHODS
from conformance.watchdog import Child, Task, until

import sharedkit as sk

MakeQueue = Callable[..., Any]
pytestmark = pytest.mark.needs("leases", "oldest-first")


class Failure(Exception):
    pass


def fail_on(q: Any, *expected: Any) -> None:
    """Lease items, and fail with all of them in hand."""
    with pytest.raises(Failure):
        nested(q, expected)


def nested(q: Any, expected: Any) -> None:
    if not expected:
        raise Failure
    with q.lease() as item:
        assert item == expected[0]
        nested(q, expected[1:])


def test_the_end_of_the_block_takes_the_item_for_good(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many("ab")
    lease = q.lease()
    assert lease.deliveries == 0
    with lease as item:
        assert item == "a"
        assert lease.deliveries == 1
        assert q.qsize() == 1
        assert q.statistics().leased == 1
        assert q.unfinished_tasks == 2
    assert q.statistics().leased == 0
    assert q.qsize() == 1
    with lease as item:
        assert item == "b"
    assert q.empty()
    q.task_done()
    q.task_done()
    q.join()


def test_a_failure_puts_the_item_back_in_front(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many("ab")
    fail_on(q, "a")
    assert q.qsize() == 2
    lease = q.lease()
    with lease as item:
        assert item == "a"
        assert lease.deliveries == 2
    assert q.get() == "b"
    assert q.unfinished_tasks == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_items_come_back_in_the_order_of_taking(make_queue: MakeQueue, order: tuple[int, ...]) -> None:
    q = make_queue()
    q.put_many(range(5))
    leases = [q.lease() for _ in range(3)]
    for n, lease in enumerate(leases):
        assert lease.__enter__() == n
    for n in order:
        leases[n].__exit__(Failure, Failure(), None)
    assert [q.get() for _ in range(5)] == list(range(5))


def test_an_item_comes_back_whatever_maxsize_says(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    q.put_many("ab")
    with pytest.raises(Failure), q.lease() as item:
        assert item == "a"
        q.put("c", timeout=10)
        with pytest.raises(queue.Full):
            q.put("d", block=False)
        raise Failure
    assert q.qsize() == 3
    assert q.full()
    assert q.drain() == ["a", "b", "c"]


def test_every_way_of_taking_gets_what_came_back_first(make_queue: MakeQueue) -> None:
    q = make_queue()
    big = np.arange(5000.0)
    takes: tuple[Callable[[], Any], ...] = (
        lambda: q.get(),
        lambda: q.get_nowait(),
        lambda: q.get_many(1)[0],
        lambda: q.drain()[0],
        lambda: asyncio.run(q.aget()),
        lambda: asyncio.run(q.aget_many())[0],
        lambda: next(iter(q)),
        lambda: q.get(out=np.zeros(5000)),
    )
    for take in takes:
        q.put(big)
        q.put("later")
        with pytest.raises(Failure), q.lease() as item:
            assert (item == big).all()
            raise Failure
        assert (take() == big).all()
        q.clear()


def test_a_batch_has_what_came_back_and_then_the_others(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many(range(6))
    fail_on(q, 0, 1, 2)
    assert q.drain() == list(range(6))
    assert q.drain() == []


def test_a_consumer_that_waits_gets_what_comes_back(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("x")
    lease = q.lease()
    assert lease.__enter__() == "x"
    tasks = [Task(q.get), Task(q.get)]
    lease.__exit__(Failure, Failure(), None)
    q.put("y")
    assert sorted(task.result() for task in tasks) == ["x", "y"]


def test_a_lease_waits_and_gives_up(make_queue: MakeQueue) -> None:
    q = make_queue()
    for timeout in (0, 0.02):
        with pytest.raises(queue.Empty), q.lease(timeout):
            raise AssertionError("there is no item")
    with pytest.raises(ValueError, match="negative"):
        q.lease(-1).__enter__()
    task = Task(q.lease().__enter__)
    q.put(1)
    assert task.result() == 1


def test_a_lease_that_is_dropped_gives_its_item_back(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("x")
    lease = q.lease()
    lease.__enter__()
    assert q.qsize() == 0
    del lease
    gc.collect()
    assert q.get(timeout=10) == "x"


def test_one_lease_has_one_item_at_a_time(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many("ab")
    lease = q.lease()
    with lease:
        with pytest.raises(RuntimeError, match="one block at a time"):
            lease.__enter__()
        assert q.statistics().leased == 1
    lease.__exit__(None, None, None)  # has no effect any more
    assert q.get() == "b"
    assert q.empty()


def test_an_item_that_fails_too_often_becomes_a_dead_letter(make_queue: MakeQueue) -> None:
    q, dead = make_queue(), make_queue()
    big = np.arange(40_000)
    q.put("bad")
    q.put(big)
    q.put("good")
    seen = 0
    while True:
        lease = q.lease(0, max_deliveries=3, dead_letter=dead)
        try:
            with lease as item:
                if isinstance(item, str) and item == "good":
                    break
                seen += 1
                assert lease.deliveries == (seen - 1) % 3 + 1
                raise Failure
        except Failure:
            pass
    assert seen == 6
    assert dead.get() == "bad"
    assert (dead.get() == big).all()
    assert q.empty()
    assert q.unfinished_tasks == 1
    q.task_done()
    q.join()


def test_a_queue_of_dead_letters_that_is_full_keeps_the_item_here(make_queue: MakeQueue) -> None:
    q, dead = make_queue(), make_queue(1)
    dead.put("full")
    q.put("bad")
    fail_on(q, "bad")
    with pytest.raises(queue.Full), q.lease(0, max_deliveries=1, dead_letter=dead):
        raise AssertionError("it was delivered already")
    assert q.get() == "bad"


def test_any_queue_takes_dead_letters(make_queue: MakeQueue) -> None:
    q = make_queue()
    dead: queue.Queue[Any] = queue.Queue()
    q.put({"a": 1})
    fail_on(q, {"a": 1})
    with pytest.raises(queue.Empty), q.lease(0, max_deliveries=1, dead_letter=dead):
        raise AssertionError("it was delivered already")
    assert dead.get_nowait() == {"a": 1}


def test_a_policy_that_makes_no_sense_is_refused(make_queue: MakeQueue) -> None:
    q, dead = make_queue(), make_queue()
    with pytest.raises(ValueError, match="go together"):
        q.lease(max_deliveries=3)
    with pytest.raises(ValueError, match="go together"):
        q.lease(dead_letter=dead)
    with pytest.raises(ValueError, match="at least 1: 0"):
        q.lease(max_deliveries=0, dead_letter=dead)
    with pytest.raises(TypeError, match="dead_letter must be a queue, not list"):
        q.lease(max_deliveries=1, dead_letter=[])
    with pytest.raises(ValueError, match="another queue"):
        q.lease(max_deliveries=1, dead_letter=q)


class Poison:
    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    raise Failure("cannot be unpickled")


@pytest.mark.needs("pickles-items")
def test_an_item_that_cannot_be_unpickled_comes_back_and_becomes_a_dead_letter(make_queue: MakeQueue) -> None:
    q, dead = make_queue(), make_queue()
    q.put(Poison())
    q.put("next")
    for _ in range(2):
        with pytest.raises(Failure), q.lease(0, max_deliveries=2, dead_letter=dead):
            raise AssertionError("it cannot be unpickled")
    with q.lease(0, max_deliveries=2, dead_letter=dead) as item:
        assert item == "next"
    assert dead.qsize() == 1


@pytest.mark.needs("shutdown")
def test_after_a_shutdown_consumers_wait_for_the_last_lease(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("x")
    lease = q.lease()
    lease.__enter__()
    q.shutdown()
    with pytest.raises(queue.Empty):
        q.get(block=False)
    task = Task(q.get)
    lease.__exit__(Failure, Failure(), None)
    assert task.result() == "x"
    with pytest.raises(sk.ShutDown):
        q.get()
    r = make_queue()
    r.put("x")
    with r.lease():
        r.shutdown()
        task = Task(r.get)
    with pytest.raises(sk.ShutDown):
        task.result()


@pytest.mark.needs("shutdown")
def test_an_item_that_comes_back_to_an_ended_queue_counts_as_done(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many("abc")
    fail_on(q, "a")
    with pytest.raises(Failure), q.lease() as item:
        assert item == "a"
        q.shutdown(immediate=True)
        assert q.unfinished_tasks == 1
        joined = Task(q.join)
        raise Failure
    joined.result()
    assert q.qsize() == 0
    with pytest.raises(sk.ShutDown):
        q.get()


def test_clear_leaves_leased_items_alone(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many("abcd")
    fail_on(q, "a")
    with pytest.raises(Failure), q.lease() as item:
        assert item == "a"
        with q.lease() as item:
            assert item == "b"
            assert q.clear() == 2
        raise Failure
    assert q.drain() == ["a"]
    assert q.unfinished_tasks == 2


def test_a_task_leases_without_blocking_its_loop(make_queue: MakeQueue) -> None:
    q = make_queue()

    async def main() -> None:
        waiting = asyncio.ensure_future(take())
        await asyncio.sleep(0)
        await q.aput("x")
        assert await waiting == "x"
        with pytest.raises(queue.Empty):
            async with q.alease(0.02):
                raise AssertionError("there is no item")
        await q.aput_many("ab")
        with pytest.raises(Failure):
            async with q.alease() as item:
                assert item == "a"
                raise Failure
        lease = q.alease()
        async with lease as item:
            assert item == "a"
            assert lease.deliveries == 2
        assert await q.aget() == "b"

    async def take() -> Any:
        async with q.alease() as item:
            return item

    asyncio.run(main())
    assert q.statistics().leased == 0


def test_a_cancelled_task_has_leased_nothing(make_queue: MakeQueue) -> None:
    q = make_queue()

    async def main() -> None:
        async def hold() -> None:
            async with q.alease() as item:
                held.append(item)
                await asyncio.sleep(3600)

        held: list[Any] = []
        tasks = [asyncio.ensure_future(hold()) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await q.aput("x")
        while not held:
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert held == ["x"]

    asyncio.run(main())
    assert q.get(timeout=10) == "x"


def test_tasks_wake_each_other_when_an_item_comes_back(make_queue: MakeQueue) -> None:
    q = make_queue()

    async def work() -> None:
        try:
            async with q.alease() as item:
                tries[item] = tries.get(item, 0) + 1
                await asyncio.sleep(0)
                if tries[item] < 3:
                    raise Failure
        except Failure:
            pass

    tries: dict[int, int] = {}

    async def main() -> None:
        workers = [asyncio.ensure_future(work()) for _ in range(30)]
        await q.aput_many(range(10))
        await asyncio.gather(*workers)

    asyncio.run(main())
    assert tries == dict.fromkeys(range(10), 3)
    assert q.empty()


def die_with(q: Any, n: int) -> None:
    leases = [q.lease() for _ in range(n)]
    for lease in leases:
        lease.__enter__()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", METHODS)
def test_the_death_of_a_consumer_puts_its_items_back(make_queue: MakeQueue, start_method: str) -> None:
    q = make_queue(4)
    items = [0, np.arange(9000), "two", 3]
    q.put_many(items)
    child = Child(start_method, die_with, q, 3)
    until(lambda: q.statistics().leased == 3)
    q.put_many([4, 5])
    with pytest.raises(AssertionError, match="ended with -9"):
        child.result()
    lease = q.lease(60)
    with lease as item:  # what came back may be found after what was there
        assert lease.deliveries in (1, 2)
    rest = [item, *(q.get(timeout=60) for _ in range(5))]
    shown = [each.tolist() if isinstance(each, np.ndarray) else each for each in rest]
    assert sorted(map(str, shown)) == sorted(map(str, [0, list(range(9000)), "two", 3, 4, 5]))
    back = [each for each in shown if each not in (3, 4, 5)]
    assert back == [0, list(range(9000)), "two"]
    assert q.empty()


def hold_until_told(q: Any, told: Any) -> None:
    with q.lease() as item:
        told.get()
        assert item == "x"


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", METHODS)
def test_a_living_consumer_keeps_its_item_however_long_it_works(make_queue: MakeQueue, start_method: str) -> None:
    q, told = make_queue(), make_queue()
    q.put("x")
    child = Child(start_method, hold_until_told, q, told)
    until(lambda: q.statistics().leased == 1)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.2)
    told.put(1)
    child.result()
    assert q.empty()
    assert q.statistics().leased == 0


def test_a_lease_outlives_its_handle_and_then_needs_another(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("x")
    lease = q.lease()
    with lease as item:
        assert item == "x"
        q.close()
    with pytest.raises(sk.ClosedError):
        lease.__enter__()
    with pytest.raises(sk.ClosedError):
        q.lease()
