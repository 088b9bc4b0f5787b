"""Waiting in a queue: every waiter is woken, none is forgotten, and the items of each producer stay in order."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

MakeQueue = Callable[..., Any]


def _until_waiting(q: Any, field: str, count: int) -> None:
    """Wait until `count` callers wait, if the queue counts them; otherwise return at once, which is legal too."""
    if hasattr(q, "statistics") and getattr(q.statistics(), field) is not None:
        until(lambda: getattr(q.statistics(), field) == count)


def test_a_waiting_get_is_woken_by_a_put(make_queue: MakeQueue) -> None:
    q = make_queue()
    task = Task(q.get)
    _until_waiting(q, "waiting_getters", 1)
    q.put("item")
    assert task.result() == "item"


def test_a_waiting_get_with_a_timeout_is_woken_by_a_put(make_queue: MakeQueue) -> None:
    q = make_queue()
    task = Task(q.get, timeout=60)
    _until_waiting(q, "waiting_getters", 1)
    q.put("item")
    assert task.result() == "item"


def test_a_waiting_put_is_woken_by_a_get(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    q.put(1)
    task = Task(q.put, 2)
    _until_waiting(q, "waiting_putters", 1)
    assert q.get() == 1
    task.result()
    assert q.get() == 2


def test_each_of_many_waiting_gets_has_one_item(make_queue: MakeQueue) -> None:
    q = make_queue()
    tasks = [Task(q.get) for _ in range(8)]
    _until_waiting(q, "waiting_getters", 8)
    for i in range(8):
        q.put(i)
    assert sorted(task.result() for task in tasks) == list(range(8))


@pytest.mark.needs("batches")
def test_one_batch_wakes_all_waiting_gets(make_queue: MakeQueue) -> None:
    q = make_queue()
    tasks = [Task(q.get) for _ in range(6)]
    _until_waiting(q, "waiting_getters", 6)
    q.put_many(range(6))
    assert sorted(task.result() for task in tasks) == list(range(6))


@pytest.mark.needs("batches", "rising-items")
def test_taking_a_batch_wakes_all_waiting_puts(make_queue: MakeQueue) -> None:
    q = make_queue(4)
    q.put_many(range(4))
    tasks = [Task(q.put, i) for i in range(4, 8)]
    _until_waiting(q, "waiting_putters", 4)
    assert q.get_many(4) == [0, 1, 2, 3]
    for task in tasks:
        task.result()
    assert sorted(q.get_many(4)) == [4, 5, 6, 7]


def test_join_waits_until_every_item_is_marked_as_done(make_queue: MakeQueue) -> None:
    q = make_queue()
    for i in range(3):
        q.put(i)
    task = Task(q.join)
    for _ in range(2):
        q.get()
        q.task_done()
    assert not task.done
    q.get()
    assert not task.done
    q.task_done()
    task.result()


def test_join_wakes_all_its_callers(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put(1)
    tasks = [Task(q.join) for _ in range(4)]
    q.get()
    q.task_done()
    for task in tasks:
        task.result()


def _produce(q: Any, producer: int, count: int) -> None:
    for i in range(count):
        q.put((producer, i))


def _consume(q: Any, out: list[tuple[int, int]]) -> None:
    while (item := q.get()) is not None:
        out.append(item)
        q.task_done()
    q.task_done()


@pytest.mark.needs("oldest-first")
@pytest.mark.parametrize("maxsize", [0, 1, 7])
def test_nothing_is_lost_duplicated_or_reordered_between_threads(make_queue: MakeQueue, maxsize: int) -> None:
    q = make_queue(maxsize)
    producers, consumers, count = 3, 3, 400
    outs: list[list[tuple[int, int]]] = [[] for _ in range(consumers)]
    takers = [Task(_consume, q, out) for out in outs]
    in_threads(partial(_produce, q, producer, count) for producer in range(producers))
    q.join()
    for _ in takers:
        q.put(None)
    for taker in takers:
        taker.result()
    q.join()
    every = Counter(item for out in outs for item in out)
    assert every == Counter((producer, i) for producer in range(producers) for i in range(count))
    for out in outs:
        for producer in range(producers):
            taken = [i for who, i in out if who == producer]
            assert taken == sorted(taken)


@pytest.mark.needs("rising-items")
def test_one_consumer_sees_each_producer_in_its_order(make_queue: MakeQueue) -> None:
    q = make_queue(5)
    tasks = [Task(_produce, q, producer, 300) for producer in range(4)]
    got = [q.get() for _ in range(4 * 300)]
    for task in tasks:
        task.result()
    for producer in range(4):
        assert [i for who, i in got if who == producer] == list(range(300))


@pytest.mark.needs("rising-items")
def test_timeouts_amid_traffic_lose_nothing(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    count = 300

    def put() -> None:
        for i in range(count):
            while True:
                try:
                    q.put(i, timeout=0.0005)
                    break
                except queue.Full:
                    continue

    def get() -> list[int]:
        out = []
        while len(out) < count:
            try:
                out.append(q.get(timeout=0.0005))
            except queue.Empty:
                continue
        return out

    _, got = in_threads([put, get])
    assert got == list(range(count))


@pytest.mark.needs("batches", "rising-items")
def test_batches_and_single_items_mix(make_queue: MakeQueue) -> None:
    q = make_queue(16)
    count = 1500
    stop = threading.Event()
    got: list[int] = []

    def put() -> None:
        i = 0
        while i < count:
            if i % 3:
                q.put(i)
                i += 1
            else:
                batch = list(range(i, min(count, i + 40)))
                q.put_many(batch)
                i += len(batch)

    def get() -> None:
        while len(got) < count:
            if len(got) % 2:
                got.append(q.get())
            else:
                got.extend(q.get_many(11))
        stop.set()

    in_threads([put, get])
    assert stop.is_set()
    assert got == list(range(count))
