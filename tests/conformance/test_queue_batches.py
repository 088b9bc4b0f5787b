"""`put_many` and `get_many`: batches keep the order of single items; an error says how many items went in."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conformance.watchdog import Task

import sharedkit as sk

MakeQueue = Callable[..., Any]
pytestmark = pytest.mark.needs("batches")


@pytest.mark.needs("oldest-first")
def test_a_batch_comes_out_in_its_order(make_queue: MakeQueue) -> None:
    q = make_queue()
    assert q.put_many(["a", 1, None, b"b", (2, 3)]) is None
    assert q.qsize() == 5
    assert q.get_many() == ["a", 1, None, b"b", (2, 3)]
    assert q.empty()


@pytest.mark.needs("oldest-first")
def test_any_iterable_is_a_batch(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many(i * i for i in range(4))
    q.put_many({"k": 1})
    q.put_many("xy")
    assert q.get_many() == [0, 1, 4, 9, "k", "x", "y"]


def test_an_empty_batch_is_no_item(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    q.put_many([])
    assert q.empty()
    q.put(1)
    q.put_many([], block=False)
    assert q.get_many() == [1]


def test_a_batch_that_is_not_iterable_is_a_type_error(make_queue: MakeQueue) -> None:
    with pytest.raises(TypeError):
        make_queue().put_many(5)


def test_an_iterable_that_fails_halfway_harms_nothing(make_queue: MakeQueue) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("halfway")

    q = make_queue()
    with pytest.raises(LookupError):
        q.put_many(broken())
    taken = q.get_many() if q.qsize() else []
    assert taken in ([], [1])
    q.put("still works")
    assert q.get() == "still works"


@pytest.mark.needs("rising-items")
def test_max_items_bounds_what_is_taken(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many(range(10))
    assert q.get_many(3) == [0, 1, 2]
    assert q.get_many(max_items=1) == [3]
    assert q.get_many(100) == [4, 5, 6, 7, 8, 9]


def test_max_items_must_be_an_integer_of_at_least_0(make_queue: MakeQueue) -> None:
    q = make_queue()
    assert q.get_many(0) == []
    q.put(1)
    with pytest.raises(ValueError, match="max_items"):
        q.get_many(-1)
    with pytest.raises(TypeError):
        q.get_many("1")
    assert q.get_many(0) == []
    assert q.get() == 1


@pytest.mark.needs("oldest-first")
def test_full_says_how_many_went_in(make_queue: MakeQueue) -> None:
    q = make_queue(3)
    q.put("x")
    with pytest.raises(queue.Full) as caught:
        q.put_many("abcde", block=False)
    assert caught.value.put == 2  # type: ignore[attr-defined]
    with pytest.raises(queue.Full) as caught:
        q.put_many("abcde", timeout=0.02)
    assert caught.value.put == 0  # type: ignore[attr-defined]
    assert q.get_many() == ["x", "a", "b"]


def test_the_timeout_is_for_the_whole_batch(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    began = time.monotonic()
    with pytest.raises(queue.Full) as caught:
        q.put_many(range(5), timeout=0.15)
    assert time.monotonic() - began >= 0.149
    assert caught.value.put == 2  # type: ignore[attr-defined]


@pytest.mark.needs("rising-items")
def test_a_batch_larger_than_the_queue_goes_in_piece_by_piece(make_queue: MakeQueue) -> None:
    q = make_queue(4)
    task = Task(q.put_many, range(100))
    got: list[int] = []
    while len(got) < 100:
        batch = q.get_many()
        assert 1 <= len(batch) <= 8  # the present items, and at most those that came while they were taken
        got += batch
    task.result()
    assert got == list(range(100))


def test_get_many_waits_for_the_first_item(make_queue: MakeQueue) -> None:
    q = make_queue()
    task = Task(q.get_many)
    q.put("first")
    assert task.result() == ["first"]


def test_get_many_raises_empty_as_get_does(make_queue: MakeQueue) -> None:
    q = make_queue()
    with pytest.raises(queue.Empty):
        q.get_many(block=False)
    with pytest.raises(queue.Empty):
        q.get_many(timeout=0.02)
    with pytest.raises(queue.Empty):
        q.get_many(5, False)
    with pytest.raises(ValueError, match="timeout"):
        q.get_many(timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        make_queue(1).put_many([1], timeout=-1)


def test_every_item_of_a_batch_is_an_unfinished_task(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put_many(range(3))
    assert q.unfinished_tasks == 3
    q.get_many()
    for _ in range(3):
        q.task_done()
    q.join()
    with pytest.raises(ValueError, match="too many"):
        q.task_done()


@pytest.mark.needs("rising-items")
def test_a_batch_that_waits_for_room_is_released_by_shutdown(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    task = Task(q.put_many, range(5))
    while q.qsize() < 2:
        assert not task.done
    q.shutdown()
    with pytest.raises(sk.ShutDown):
        task.result()
    assert q.get_many() == [0, 1]


def test_get_many_ends_although_the_producer_goes_on(make_queue: MakeQueue) -> None:
    q = make_queue(50)
    stop = threading.Event()

    def put() -> None:
        while not stop.is_set():
            q.put_many(range(25))

    task = Task(put)
    try:
        for _ in range(20):
            assert 1 <= len(q.get_many()) <= 100
    finally:
        stop.set()
        while not task.done:
            q.get_many(block=False) if q.qsize() else None
    task.result()


@pytest.mark.needs("oldest-first")
def test_large_batches_of_mixed_sizes_stay_whole(make_queue: MakeQueue) -> None:
    q = make_queue()
    items = [bytes([i % 251]) * (i * 37 % 5000) for i in range(2000)]
    q.put_many(items)
    got: list[bytes] = []
    while len(got) < len(items):
        got += q.get_many(333)
    assert got == items
