"""A PriorityQueue of threads whose items have their own comparison, which raises, waits, lets other threads run, or
uses the queue itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

import pytest

import sharedkit as sk
from sharedkit.thread import PriorityQueue

sys.setrecursionlimit(max(sys.getrecursionlimit(), 3000))


class Item:
    """An item whose comparison calls `meanwhile`."""

    meanwhile: Callable[[], object] | None = None

    def __init__(self, rank: float, number: int = 0) -> None:
        self.rank, self.number = rank, number

    def __lt__(self, other: Item) -> bool:
        found = self.rank < other.rank
        if Item.meanwhile is not None:
            Item.meanwhile()
        return found


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` in each comparison, but not in the comparisons that `act` itself makes."""
    busy = threading.local()

    def once() -> None:
        if not getattr(busy, "now", False):
            busy.now = True
            try:
                act()
            finally:
                busy.now = False

    Item.meanwhile = once
    try:
        yield
    finally:
        Item.meanwhile = None


def _ranks(q: Any) -> list[float]:
    return [item.rank for item in q.get_many()]


def _filled(count: int) -> PriorityQueue[Item]:
    q: PriorityQueue[Item] = PriorityQueue()
    q.put_many([Item(i) for i in range(count)])
    return q


@pytest.mark.parametrize("count", [1, 3, 511, 512, 513, 2000])
def test_a_comparison_that_puts_into_the_queue_leaves_it_in_order(count: int) -> None:
    q = _filled(count)
    chance = random.Random(count)
    with meanwhile(lambda: chance.random() < 0.5 and q.put(Item(chance.randrange(count)))):
        for _ in range(200):
            q.put(Item(chance.randrange(-1, count + 1)))
    found = _ranks(q)
    assert len(found) > count + 220
    assert found == sorted(found)


@pytest.mark.parametrize("count", [1, 3, 511, 512, 513, 2000])
def test_a_comparison_that_takes_out_of_the_queue_leaves_it_in_order(count: int) -> None:
    q = _filled(count)
    chance = random.Random(count)
    taken: list[float] = []

    def take() -> None:
        with contextlib.suppress(Empty):
            taken.append(q.get_nowait().rank)

    with meanwhile(take):
        for _ in range(200):
            q.put(Item(chance.randrange(count)))
    left = _ranks(q)
    assert left == sorted(left)
    assert len(left) + len(taken) == count + 200


@pytest.mark.parametrize("seed", range(30))
def test_a_comparison_that_does_anything_leaves_it_in_order(seed: int) -> None:
    """The comparison may do more than a search can adapt to, and may empty the queue."""
    chance = random.Random(seed)
    q: PriorityQueue[Item] = PriorityQueue()
    there = 0
    numbers = iter(range(1_000_000))

    def anything() -> None:
        nonlocal there
        what = chance.randrange(8)
        for _ in range(chance.choice((1, 1, 2, 40, 300) if what < 6 else (1,))):
            if what < 3:
                q.put(Item(chance.randrange(20), next(numbers)))
                there += 1
            elif what < 6 and there:
                q.get_nowait()
                there -= 1
            elif what == 6:
                q.qsize(), q.statistics(), repr(q)

    for _ in range(30):
        with meanwhile(anything):
            for _ in range(10):
                q.put(Item(chance.randrange(20), next(numbers)))
                there += 1
        assert q.qsize() == there
        some = q.get_many() if chance.random() < 0.3 else []
        there -= len(some)
        assert [item.rank for item in some] == sorted(item.rank for item in some)
    some = q.get_many(block=False) if there else []
    assert [item.rank for item in some] == sorted(item.rank for item in some)


def test_equal_items_stay_in_order_whatever_comes_meanwhile() -> None:
    q: PriorityQueue[Item] = PriorityQueue()
    for number in range(1500):
        if number % 3 == 0:
            with meanwhile(lambda: q.put(Item(random.randrange(5), -1))):
                q.put(Item(number % 5, number))
        else:
            q.put(Item(number % 5, number))
    found = [item for item in q.get_many() if item.number >= 0]
    assert [(item.rank, item.number) for item in found] == sorted((n % 5, n) for n in range(1500))


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("step", range(1, 6))
def test_a_comparison_that_raises_changes_nothing(kind: type[BaseException], step: int) -> None:
    q = _filled(40)
    left = step

    def fail() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise kind

    with meanwhile(fail), pytest.raises(kind):
        q.put(Item(20.5))
    statistics = q.statistics()
    assert (q.qsize(), q.unfinished_tasks, statistics.waiting_putters) == (40, 40, 0)
    q.put(Item(20.5))
    assert _ranks(q) == sorted([*range(40), 20.5])


def test_a_putter_that_waits_for_room_and_then_fails_leaves_the_room_to_the_next() -> None:
    q: PriorityQueue[Any] = PriorityQueue(2)
    errors: list[BaseException] = []

    def bad() -> None:
        try:
            q.put("text")
        except TypeError as error:
            errors.append(error)

    def waiting(count: int) -> None:
        deadline = time.monotonic() + 60
        while q.statistics().waiting_putters < count:
            assert time.monotonic() < deadline
            time.sleep(0.0001)

    for _ in range(50):
        q.put_many([1, 2])
        failing, putting = threading.Thread(target=bad), threading.Thread(target=q.put, args=(3,))
        failing.start()
        waiting(1)
        putting.start()
        waiting(2)
        assert q.get() == 1
        putting.join(60)
        assert not putting.is_alive()
        q.maxsize = 3  # the other thread may have begun to wait first
        failing.join(60)
        assert not failing.is_alive()
        assert [type(error) for error in errors] == [TypeError]
        errors.clear()
        assert q.get_many() == [2, 3]
        q.maxsize = 2


def test_a_comparison_that_waits_does_not_block_the_queue() -> None:
    q = _filled(3)
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(60)

    with meanwhile(wait):
        thread = threading.Thread(target=q.put, args=(Item(1.5),), daemon=True)
        thread.start()
        assert inside.wait(60)
        Item.meanwhile = None
        q.put(Item(0.5))
        assert [q.get().rank for _ in range(2)] == [0, 0.5]
        assert q.qsize() == 2
        go_on.set()
        thread.join(60)
    assert _ranks(q) == [1, 1.5, 2]


@pytest.mark.parametrize("end", ["shutdown", "immediate", "close", "unlink"])
def test_a_comparison_may_shut_down_or_close_the_queue(end: str) -> None:
    q = _filled(600)
    other = sk.get_context("thread").attach(q.name)
    act: dict[str, Callable[[], object]] = {
        "shutdown": q.shutdown,
        "immediate": lambda: q.shutdown(True),
        "close": q.close,
        "unlink": q.unlink,
    }
    with meanwhile(act[end]), contextlib.suppress(sk.ShutDown):
        q.put(Item(300.5))
    if end == "immediate":
        with pytest.raises(sk.ShutDown):
            other.get_nowait()
        assert (other.qsize(), other.unfinished_tasks) == (0, 0)
    else:
        found = _ranks(other)
        assert found == sorted(found)
        assert len(found) == (600 if end == "shutdown" else 601)
    other.close()


def test_a_task_whose_comparison_uses_the_queue_leaves_it_in_order() -> None:
    async def main() -> None:
        q = _filled(30)
        q.maxsize = 31
        with meanwhile(lambda: q.qsize() and q.put(Item(7), block=False) if q.qsize() < 31 else q.get_nowait()):
            for i in range(200):
                putting = asyncio.create_task(q.aput(Item(i % 40)))
                while not putting.done():
                    with contextlib.suppress(Empty):
                        q.get_nowait()
                    await asyncio.sleep(0)
                await putting
        found = _ranks(q)
        assert found == sorted(found)
        statistics = q.statistics()
        assert (statistics.waiting_putters, statistics.waiting_getters) == (0, 0)

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("threads", [2, 5])
def test_nothing_is_lost_duplicated_or_out_of_order_between_threads(threads: int) -> None:
    q: PriorityQueue[Item] = PriorityQueue()
    each = 1200
    taken: list[list[Item]] = [[] for _ in range(2)]
    pauses = random.Random(1)

    def put(who: int) -> None:
        chance = random.Random(who)
        for i in range(each):
            q.put(Item(chance.randrange(30), who * each + i))

    def take(to: list[Item]) -> None:
        with contextlib.suppress(sk.ShutDown):
            for _ in range(each // 3):
                to.append(q.get())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with meanwhile(lambda: threading.Event().wait(0) if pauses.random() < 0.01 else None):
            running = [threading.Thread(target=put, args=(who,)) for who in range(threads)]
            running += [threading.Thread(target=take, args=(to,)) for to in taken]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join(120)
                assert not thread.is_alive()
    finally:
        sys.setswitchinterval(interval)
    left = q.get_many()
    assert [item.rank for item in left] == sorted(item.rank for item in left)
    numbers = [item.number for items in (*taken, left) for item in items]
    assert sorted(numbers) == list(range(threads * each))
    for who in range(threads):
        for rank in range(30):
            mine = [item.number for item in left if item.rank == rank and item.number // each == who]
            assert mine == sorted(mine)


def test_a_signal_handler_that_puts_finds_the_queue_whole() -> None:
    q: PriorityQueue[int] = PriorityQueue()
    came = 0

    def handler(number: int, frame: object) -> None:
        nonlocal came
        came += 1
        q.put(came % 50)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        put = 0
        while came < 200:
            q.put(put % 50)
            put += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found = q.get_many()
    assert len(found) == put + came
    assert found == sorted(found)


def test_finalizers_that_use_the_queue_find_it_whole() -> None:
    q: PriorityQueue[tuple[int, Any]] = PriorityQueue()
    puts = 0

    class Final:
        def __init__(self) -> None:
            self.circle = self

        def __del__(self) -> None:
            nonlocal puts
            puts += 1
            q.put((puts % 7, None))

    threshold = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for i in range(3000):
            Final()
            q.put((i % 7, None))
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    ranks = [rank for rank, _ in q.get_many()]
    assert len(ranks) == 3000 + puts
    assert puts == 3000
    assert ranks == sorted(ranks)


def test_an_item_that_was_taken_or_refused_is_not_kept() -> None:
    class Weak(Item):
        pass

    q = _filled(3)
    item = Weak(1)
    reference = weakref.ref(item)
    q.put(item)
    del item
    assert [q.get().rank for _ in range(3)] == [0, 1, 1]
    assert reference() is None
    item = Weak(5)
    reference = weakref.ref(item)
    with meanwhile(lambda: 1 / 0), contextlib.suppress(ZeroDivisionError):
        q.put(item)
    del item
    assert reference() is None


def test_a_reference_cycle_through_the_queue_is_collected() -> None:
    q: PriorityQueue[Any] = PriorityQueue()
    reference = weakref.ref(q)
    q.put((1, q))
    del q
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("call", ["aget", "aput"])
def test_a_task_that_waited_at_the_shutdown_is_not_counted_any_more(call: str) -> None:
    """This holds for every kind of queue of this placement."""

    async def main(q: Any) -> None:
        waiting = asyncio.create_task(q.aget() if call == "aget" else q.aput(2))
        while q.statistics().waiting_getters + q.statistics().waiting_putters == 0:
            await asyncio.sleep(0)
        q.shutdown()
        with pytest.raises(sk.ShutDown):
            await waiting
        statistics = q.statistics()
        assert (statistics.waiting_getters, statistics.waiting_putters) == (0, 0)

    for cls in ("Queue", "LifoQueue", "PriorityQueue"):
        q = getattr(sk.get_context("thread"), cls)(1)
        if call == "aput":
            q.put(1)
        asyncio.run(asyncio.wait_for(main(q), 60))
