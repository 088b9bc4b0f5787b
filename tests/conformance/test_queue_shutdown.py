"""`shutdown` as in CPython 3.13; the cases follow its Lib/test/test_queue.py, without the sleeps."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

import sharedkit as sk

MakeQueue = Callable[..., Any]
pytestmark = pytest.mark.needs("shutdown")
both = pytest.mark.parametrize("immediate", [False, True], ids=["graceful", "immediate"])


def _get(q: Any) -> Any:
    try:
        return q.get()
    except sk.ShutDown:
        return "shut down"


def test_shutdown_error_is_the_standard_librarys_if_it_has_one() -> None:
    assert sk.ShutDown is getattr(queue, "ShutDown", sk.ShutDown)
    assert issubclass(sk.ShutDown, Exception)


@both
def test_an_empty_queue_refuses_everything_after_shutdown(make_queue: MakeQueue, immediate: bool) -> None:
    q = make_queue()
    q.shutdown(immediate)
    for call in (q.get, q.get_nowait, partial(q.put, 1), partial(q.put_nowait, 1), partial(q.get, True, 1.0)):
        with pytest.raises(sk.ShutDown):
            call()


@both
def test_batches_are_refused_as_well(make_queue: MakeQueue, immediate: bool) -> None:
    q = make_queue()
    if not hasattr(q, "put_many"):
        pytest.skip("queue.Queue has no batches")
    q.shutdown(immediate)
    with pytest.raises(sk.ShutDown):
        q.put_many([1, 2])
    with pytest.raises(sk.ShutDown):
        q.get_many()
    with pytest.raises(sk.ShutDown):
        q.get_many(block=False)


@pytest.mark.needs("rising-items")
def test_the_remaining_items_can_still_be_taken(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    q.put("L")
    q.put_nowait("O")
    q.shutdown()
    with pytest.raises(sk.ShutDown):
        q.put("E")
    assert q.get() == "L"
    q.task_done()
    assert q.get() == "O"
    q.task_done()
    q.join()
    for call in (q.get, q.get_nowait):
        with pytest.raises(sk.ShutDown):
            call()


def test_immediate_discards_the_remaining_items_and_counts_them_as_done(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    q.put("L")
    q.put("O")
    q.shutdown(immediate=True)
    assert q.qsize() == 0
    assert q.empty()
    assert q.unfinished_tasks == 0
    with pytest.raises(sk.ShutDown):
        q.get()
    with pytest.raises(ValueError, match="too many"):
        q.task_done()
    q.join()


def test_immediate_still_waits_for_items_that_were_taken(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("taken")
    q.put("left")
    q.get()
    q.shutdown(immediate=True)
    assert q.unfinished_tasks == 1
    joined = Task(q.join)
    q.task_done()
    joined.result()


def test_shutdown_may_be_repeated_and_immediate_cannot_be_undone(make_queue: MakeQueue) -> None:
    q = make_queue()
    assert q.is_shutdown is False
    q.put("item")
    q.shutdown()
    q.shutdown()
    assert q.is_shutdown is True
    assert q.qsize() == 1
    q.shutdown(immediate=True)
    assert q.qsize() == 0
    q.shutdown(immediate=False)
    assert q.is_shutdown is True
    with pytest.raises(sk.ShutDown):
        q.get()


def test_a_full_queue_that_is_shut_down_raises_shut_down_and_not_full(make_queue: MakeQueue) -> None:
    q = make_queue(1)
    q.put(1)
    q.shutdown()
    with pytest.raises(sk.ShutDown):
        q.put(2, block=False)
    with pytest.raises(sk.ShutDown):
        q.put(2, timeout=0.01)


@both
def test_every_waiting_get_is_released(make_queue: MakeQueue, immediate: bool) -> None:
    q = make_queue()
    tasks = [Task(_get, q) for _ in range(4)]
    if hasattr(q, "statistics") and q.statistics().waiting_getters is not None:
        until(lambda: q.statistics().waiting_getters == 4)
    q.shutdown(immediate)
    assert [task.result() for task in tasks] == ["shut down"] * 4


@both
def test_every_waiting_put_is_released(make_queue: MakeQueue, immediate: bool) -> None:
    q = make_queue(1)
    q.put("only")

    def put() -> str:
        try:
            q.put("more")
        except sk.ShutDown:
            return "shut down"
        return "went in"

    tasks = [Task(put) for _ in range(4)]
    if hasattr(q, "statistics") and q.statistics().waiting_putters is not None:
        until(lambda: q.statistics().waiting_putters == 4)
    q.shutdown(immediate)
    assert [task.result() for task in tasks] == ["shut down"] * 4
    assert q.qsize() == (0 if immediate else 1)


def test_immediate_releases_join(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("Y")
    tasks = [Task(q.join) for _ in range(2)]
    q.shutdown(immediate=True)
    for task in tasks:
        task.result()


def test_graceful_does_not_release_join_before_the_work_is_done(make_queue: MakeQueue) -> None:
    q = make_queue()
    q.put("Y")
    task = Task(q.join)
    q.shutdown()
    assert q.get() == "Y"
    assert not task.done
    q.task_done()
    task.result()


def test_waiting_gets_share_the_remaining_items_and_the_rest_get_the_error(make_queue: MakeQueue) -> None:
    q = make_queue(2)
    q.put("Y")
    q.put("D")
    go = threading.Event()

    def take() -> Any:
        go.wait(60)
        return _get(q)

    tasks = [Task(take) for _ in range(3)]
    q.shutdown()
    go.set()
    assert sorted(task.result() for task in tasks) == ["D", "Y", "shut down"]


@both
def test_shutdown_ends_many_producers_and_consumers(make_queue: MakeQueue, immediate: bool) -> None:
    q = make_queue()
    half = threading.Event()
    count = 4000

    def write() -> int:
        for i in range(count):
            if i == count // 2:
                half.set()
            try:
                q.put(i)
            except sk.ShutDown:
                return i
        return count

    def read() -> int:
        taken = 0
        while True:
            try:
                q.get()
            except sk.ShutDown:
                return taken
            taken += 1
            q.task_done()

    def stop() -> None:
        half.wait(60)
        q.shutdown(immediate)

    went_in_and_out = in_threads([write, write, read, read, read, stop])
    went_in, came_out = sum(went_in_and_out[:2]), sum(went_in_and_out[2:5])
    q.join()
    assert q.qsize() == 0
    assert q.unfinished_tasks == 0
    assert came_out <= went_in if immediate else came_out == went_in
