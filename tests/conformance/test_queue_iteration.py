"""`for item in queue` gives items until the queue is shut down and empty, in every placement."""

from __future__ import annotations

import collections.abc
import threading

import pytest
from conformance.children import double_all
from conformance.conftest import Kit
from conformance.loops import run
from conformance.watchdog import Child, Task, until

import sharedkit as sk


def test_it_takes_the_remaining_items_and_ends_at_the_shutdown(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.put_many([1, 2, 3])
    jobs.shutdown()
    assert list(jobs) == [1, 2, 3]
    assert list(jobs) == []
    assert jobs.qsize() == 0


def test_it_waits_for_items_and_for_the_shutdown(kit: Kit) -> None:
    jobs = kit.Queue(2)
    taken: list[int] = []
    consumer = Task(lambda: [taken.append(item) for item in jobs])
    for each in range(20):
        jobs.put(each)
    until(lambda: len(taken) == 20)
    assert not consumer.done
    jobs.shutdown()
    consumer.result()
    assert taken == list(range(20))


def test_a_loop_that_is_left_early_has_taken_only_the_items_it_got(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.put_many(range(5))
    for item in jobs:
        if item == 1:
            break
    assert jobs.qsize() == 3
    assert next(iter(jobs)) == 2


def test_two_loops_share_the_items(kit: Kit) -> None:
    jobs = kit.Queue()
    consumers = [Task(lambda: list(jobs)) for _ in range(2)]
    jobs.put_many(range(100))
    jobs.shutdown()
    assert sorted(item for each in consumers for item in each.result()) == list(range(100))


def test_threads_share_an_iterator(kit: Kit) -> None:
    jobs = kit.Queue()
    shared = iter(jobs)
    consumers = [Task(lambda: list(shared)) for _ in range(3)]
    for each in range(300):
        jobs.put(each)
    jobs.shutdown()
    assert sorted(item for each in consumers for item in each.result()) == list(range(300))
    assert next(shared, "over") == "over"


@pytest.mark.skipif(not hasattr(threading, "serialize_iterator"), reason="threading has it from Python 3.15 on")
def test_threads_share_a_serialized_iterator_too(kit: Kit) -> None:
    jobs = kit.Queue()
    shared = getattr(threading, "serialize_iterator")(jobs)  # noqa: B009 - stubs of older Pythons do not know it
    consumers = [Task(lambda: list(shared)) for _ in range(3)]
    jobs.put_many(range(300))
    jobs.shutdown()
    assert sorted(item for each in consumers for item in each.result()) == list(range(300))


def test_an_immediate_shutdown_ends_it_at_once(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.put_many(range(5))
    items = iter(jobs)
    assert next(items) == 0
    jobs.shutdown(immediate=True)
    assert list(items) == []


def test_none_is_an_item_like_others(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.put_many([None, False, 0])
    jobs.shutdown()
    assert list(jobs) == [None, False, 0]


def test_for_and_async_for_take_items(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.put_many([1, 2])
    jobs.shutdown()

    async def main() -> list[int]:
        return [item async for item in jobs]

    assert isinstance(jobs, collections.abc.Iterable)
    assert next(iter(jobs)) == 1
    assert run(main) == [2]


def test_the_in_operator_is_refused_and_takes_nothing(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.put_many([1, 2])
    with pytest.raises(TypeError, match="would take the items out"):
        assert 1 in jobs
    assert jobs.qsize() == 2


def test_a_closed_queue_is_refused_when_the_loop_begins(kit: Kit) -> None:
    jobs = kit.Queue()
    jobs.close()
    with pytest.raises(sk.ClosedError, match="Queue"):
        iter(jobs)


@pytest.mark.needs("processes")
def test_a_worker_process_may_consist_of_one_loop(kit: Kit) -> None:
    jobs, out = kit.Queue(), kit.Queue()
    worker = Child("forkserver", double_all, jobs, out)
    jobs.put_many(range(10))
    jobs.shutdown()
    worker.result()
    assert sorted(out.get_many()) == [2 * each for each in range(10)]
