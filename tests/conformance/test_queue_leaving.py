"""Other ways out of a queue: `clear`, `drain`, `overflow="drop_oldest"`, `get(out=...)`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conformance.watchdog import Task

import sharedkit as sk

MakeQueue = Callable[..., Any]
pytestmark = pytest.mark.needs("batches", "oldest-first")


# --- clear and drain


def test_clear_drops_what_is_there_and_counts_it_as_done(make_queue: MakeQueue) -> None:
    q = make_queue()
    assert q.clear() == 0
    q.put_many(range(5))
    q.get()
    assert q.clear() == 4
    assert q.qsize() == 0
    assert q.unfinished_tasks == 1
    q.task_done()
    q.join()
    with pytest.raises(ValueError, match="task_done"):
        q.task_done()
    q.put("x")
    assert q.get() == "x"


def test_clear_lets_a_waiting_put_in_and_a_join_end(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    q.put_many("ab")
    put = Task(q.put, "c")
    assert q.clear() == 2
    put.result()
    joined = Task(q.join)
    assert q.clear() == 1
    joined.result()
    assert q.empty()


@pytest.mark.needs("shutdown")
def test_clear_works_after_a_shutdown(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many(range(3))
    q.shutdown()
    assert q.clear() == 3
    assert q.clear() == 0
    q.join()
    with pytest.raises(sk.ShutDown):
        q.get()
    r = make_queue()
    r.put_many(range(3))
    r.shutdown(immediate=True)
    assert r.clear() == 0
    assert r.drain() == []


def test_drain_takes_what_is_there_without_waiting(make_queue: MakeQueue) -> None:
    q = make_queue()
    assert q.drain() == []
    q.put_many(["a", 1, None])
    assert q.drain() == ["a", 1, None]
    assert q.drain() == []
    assert q.unfinished_tasks == 3
    q.put(4)
    q.shutdown()
    assert q.drain() == [4]
    assert q.drain() == []


@pytest.mark.needs("any-object")
def test_clear_frees_the_items_outside_of_the_queue(make_queue: MakeQueue) -> None:
    class Item:
        def __del__(self) -> None:
            sizes.append(q.qsize())

    sizes: list[int] = []
    q = make_queue()
    q.put_many(Item() for _ in range(3))
    assert q.clear() == 3
    gc.collect()
    assert sizes == [0, 0, 0]


# --- overflow


def test_drop_oldest_keeps_the_newest_and_counts_the_others(make_queue: MakeQueue) -> None:
    q = make_queue(3, overflow="drop_oldest")
    for i in range(10):
        q.put(i)
    assert q.statistics().dropped == 7
    assert q.full()
    assert q.unfinished_tasks == 3
    q.put_many(range(10, 15))
    assert q.statistics().dropped == 12
    q.put_nowait(15)
    assert q.drain() == [13, 14, 15]
    assert q.statistics().dropped == 13
    for _ in range(3):
        q.task_done()
    q.join()
    assert q.overflow == "drop_oldest"


def test_a_batch_longer_than_the_queue_keeps_its_last_items(make_queue: MakeQueue) -> None:
    q = make_queue(4, overflow="drop_oldest")
    q.put("x")
    q.put_many(range(100))
    assert q.drain() == [96, 97, 98, 99]
    assert q.statistics().dropped == 97


def test_drop_oldest_never_waits_in_a_task_either(make_queue: MakeQueue) -> None:
    q = make_queue(2, overflow="drop_oldest")

    async def main() -> None:
        for i in range(5):
            await q.aput(i)
        await q.aput_many([5, 6, 7])
        assert await q.aget_many() == [6, 7]

    asyncio.run(main())
    assert q.statistics().dropped == 6


def test_a_lower_bound_drops_down_to_it(make_queue: MakeQueue) -> None:
    q = make_queue(5, overflow="drop_oldest")
    q.put_many(range(5))
    q.maxsize = 2
    q.put(5)
    assert q.drain() == [4, 5]
    assert q.statistics().dropped == 4


def test_drop_oldest_wakes_a_consumer_that_waits(make_queue: MakeQueue) -> None:
    q = make_queue(1, overflow="drop_oldest")
    task = Task(q.get)
    q.put("x")
    assert task.result() == "x"


def test_drop_oldest_refuses_after_a_shutdown(make_queue: MakeQueue) -> None:
    q = make_queue(1, overflow="drop_oldest")
    q.put(1)
    q.shutdown()
    with pytest.raises(sk.ShutDown):
        q.put(2)
    with pytest.raises(sk.ShutDown):
        q.put_many([3])
    assert q.drain() == [1]
    assert q.statistics().dropped == 0


def test_an_overflow_that_makes_no_sense_is_refused(make_queue: MakeQueue) -> None:
    with pytest.raises(ValueError, match="overflow must be 'block' or 'drop_oldest': 'newest'"):
        make_queue(3, overflow="newest")
    for maxsize in (0, -1):
        with pytest.raises(ValueError, match="needs a maxsize of at least 1"):
            make_queue(maxsize, overflow="drop_oldest")
    assert make_queue(3).overflow == "block"


@pytest.mark.needs("names")
def test_a_name_with_another_overflow_is_refused(make_queue: MakeQueue) -> None:
    q = make_queue(3, overflow="drop_oldest")
    with pytest.raises(ValueError, match="overflow"):
        make_queue(3, name=q.name, exist_ok=True)
    again = make_queue(3, overflow="drop_oldest", name=q.name, exist_ok=True)
    again.put_many(range(4))
    assert q.statistics().dropped == 1


@pytest.mark.needs("any-object")
def test_a_dropped_item_is_freed_outside_of_the_queue(make_queue: MakeQueue) -> None:
    class Item:
        def __del__(self) -> None:
            sizes.append(q.qsize())

    sizes: list[int] = []
    q = make_queue(1, overflow="drop_oldest")
    first = Item()
    gone = weakref.ref(first)
    q.put(first)
    del first
    q.put("next")
    gc.collect()
    assert gone() is None
    assert sizes == [1]


# --- get(out=...)


def test_an_array_is_copied_into_out(make_queue: MakeQueue) -> None:
    q = make_queue()
    out = np.zeros((3, 4), "f4")
    for item in (np.arange(12, dtype="f4").reshape(3, 4), np.arange(12, dtype="f4").reshape(4, 3).T):
        q.put(item)
        assert q.get(out=out) is out
        assert (out == item).all()
    strided = np.zeros((6, 8), "f4")[::2, ::2]
    q.put(item)
    assert q.get(out=strided) is strided
    assert (strided == item).all()
    assert q.empty()
    assert q.unfinished_tasks == 3


@pytest.mark.parametrize("dtype", ["u1", "f8", "c16", "M8[ns]", "?", "S5", "U3", [("a", "i4"), ("b", "f8")]])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (300, 70)])
def test_every_plain_form_fits(make_queue: MakeQueue, shape: tuple[int, ...], dtype: Any) -> None:
    q = make_queue()
    item = np.ones(shape, "i8").astype(dtype)
    q.put(item)
    out = np.empty(shape, dtype)
    assert q.get(out=out) is out
    assert out.tobytes() == item.tobytes()


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (np.zeros((4, 3), "f4"), ValueError),
        (np.zeros((3, 4), "f8"), ValueError),
        (np.zeros((3, 4, 1), "f4"), ValueError),
        (np.zeros(100_000, "f4"), ValueError),
        ("text", TypeError),
        (None, TypeError),
        (7, TypeError),
        ([1, 2], TypeError),
        (bytes(5000), TypeError),
    ],
)
def test_an_item_of_another_form_stays(make_queue: MakeQueue, item: Any, error: type[Exception]) -> None:
    q = make_queue()
    q.put(item)
    q.put("second")
    out = np.full((3, 4), 7, "f4")
    with pytest.raises(error, match="stays in the queue"):
        q.get(out=out)

    async def main() -> None:
        with pytest.raises(error, match="stays in the queue"):
            await q.aget(out=out)

    asyncio.run(main())
    assert (out == 7).all()
    assert q.qsize() == 2
    first = q.get()
    assert (first == item) if not isinstance(item, np.ndarray) else (first.shape == item.shape)
    assert q.get() == "second"


def test_an_out_that_cannot_take_anything_is_refused_before_any_wait(make_queue: MakeQueue) -> None:
    q = make_queue()
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    with pytest.raises(TypeError, match="out must be a NumPy array, not list"):
        q.get(out=[1, 2])
    with pytest.raises(ValueError, match="read-only"):
        q.get(out=fixed)


def test_out_waits_and_gives_up_as_any_get(make_queue: MakeQueue) -> None:
    q = make_queue()
    out = np.zeros(3)
    with pytest.raises(queue.Empty):
        q.get(False, out=out)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.02, out=out)
    task = Task(q.get, out=out)
    q.put(np.ones(3))
    assert task.result() is out
    assert out.sum() == 3

    async def main() -> None:
        with pytest.raises(queue.Empty):
            await q.aget(timeout=0.02, out=out)
        waiting = asyncio.ensure_future(q.aget(out=out))
        await asyncio.sleep(0)
        await q.aput(np.full(3, 2.0))
        assert await waiting is out
        assert out.sum() == 6

    asyncio.run(main())
    q.shutdown()
    with pytest.raises(sk.ShutDown):
        q.get(out=out)


def test_an_item_that_stays_wakes_the_next_consumer(make_queue: MakeQueue) -> None:
    q = make_queue()
    out = np.zeros(3)
    first = Task(q.get, out=out)
    second = Task(q.get)
    q.put("no array")
    q.put(np.ones(3))
    with contextlib.suppress(TypeError):
        assert first.result() is out
    second.result()
