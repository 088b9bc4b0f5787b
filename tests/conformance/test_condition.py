"""Conditions, which have the interface of `threading.Condition`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.subjects import MANAGER, REDIS, SHM, THREAD, Subject
from conformance.watchdog import Task, until

Make = Callable[..., Any]


def waiters_of(condition: Any, count: int, results: list[Any]) -> list[Task]:
    """Start threads and return when all of them wait; each appends its number to `results` when its wait ends."""
    inside = 0

    def wait(number: int) -> bool:
        nonlocal inside
        with condition:
            inside += 1
            woken: bool = condition.wait(60)
            results.append(number)
            return woken

    tasks = []
    for number in range(count):
        tasks.append(Task(wait, number))
        until(lambda wanted=number + 1: inside == wanted)  # type: ignore[misc]
        with condition:  # the lock is free, so the thread that counted itself is now in `wait`
            pass
    return tasks


def test_notify_wakes_one_waiter_and_notify_all_wakes_all(make_condition: Make) -> None:
    c = make_condition()
    results: list[int] = []
    tasks = waiters_of(c, 4, results)
    with c:
        c.notify()
    until(lambda: len(results) == 1)
    with c:
        assert len(results) == 1
        c.notify(2)
    until(lambda: len(results) == 3)
    with c:
        assert len(results) == 3
        c.notify_all()
    assert [task.result() for task in tasks] == [True] * 4


@pytest.mark.needs("locked")
def test_it_is_locked_while_its_lock_is_held_and_not_while_its_holder_waits(make_condition: Make) -> None:
    c = make_condition()
    assert c.locked() is False
    with c:
        assert (c.locked(), Task(c.locked).result()) == (True, True)
    (task,) = waiters_of(c, 1, [])
    assert c.locked() is False
    with c:
        c.notify()
    assert task.result() is True
    assert c.locked() is False


@pytest.mark.needs("statistics")
def test_the_longest_waiter_is_woken_first(make_condition: Make) -> None:
    c = make_condition()
    results: list[int] = []
    tasks = waiters_of(c, 5, results)
    for n in range(5):
        with c:
            c.notify()
        until(lambda wanted=n + 1: len(results) == wanted)  # type: ignore[misc]
    assert results == [0, 1, 2, 3, 4]
    assert all(task.result() for task in tasks)


@pytest.mark.needs("statistics")
def test_a_wait_for_nan_seconds_is_refused_and_leaves_no_waiter(make_condition: Make) -> None:
    c = make_condition()
    with c:
        for wait in (c.wait, lambda timeout: c.wait_for(lambda: False, timeout)):
            with pytest.raises(ValueError):
                wait(float("nan"))
        assert c.statistics().waiting == 0
        assert c.locked()


def test_a_notification_without_a_waiter_is_not_kept(make_condition: Make) -> None:
    c = make_condition()
    with c:
        c.notify()
        c.notify_all()
        assert c.wait(0.05) is False


def test_wait_and_notify_need_the_lock_and_wait_releases_it(make_condition: Make) -> None:
    c = make_condition()
    for call in (c.wait, c.notify, c.notify_all):
        with pytest.raises((RuntimeError, AssertionError)):
            call()
    with c:
        task = Task(lambda: [c.acquire(), c.notify(), c.release()])
        assert c.wait(60) is True
        task.result()
    with pytest.raises((RuntimeError, AssertionError)):
        c.release()


def test_wait_releases_a_lock_that_was_taken_twice(make_condition: Make) -> None:
    c = make_condition()
    with c, c:
        task = Task(lambda: [c.acquire(), c.notify(), c.release()])
        assert c.wait(60) is True
        task.result()
        assert Task(c.acquire, False).result() is False


def test_wait_for_returns_what_the_predicate_does(make_condition: Make) -> None:
    c = make_condition()
    state = 0

    def count() -> None:
        nonlocal state
        for _ in range(3):
            with c:
                state += 1
                c.notify()

    with c:
        task = Task(count)
        assert c.wait_for(lambda: "three" if state == 3 else None, 60) == "three"
        assert c.wait_for(list, 0.05) == []
        assert c.wait_for(lambda: 7, 0) == 7
    task.result()


def test_a_wait_ends_when_its_time_is_over(make_condition: Make) -> None:
    c = make_condition()
    with c:
        began = time.monotonic()
        assert c.wait(0.1) is False
        assert time.monotonic() - began >= 0.099
        assert c.wait(0) is False


@pytest.mark.needs("any-timeout")
def test_a_negative_timeout_counts_as_zero(make_condition: Make) -> None:
    c = make_condition()
    with c:
        assert c.wait(-1) is False


@pytest.mark.needs("names")
@pytest.mark.parametrize("over", ["Lock", "RLock"])
def test_a_condition_over_a_lock_that_other_handles_use(make_condition: Make, subject: Subject, over: str) -> None:
    context: Any = {"thread": THREAD, "shm": SHM, "manager": MANAGER, "redis": REDIS}[subject.name]
    lock = getattr(context, over)()
    c = make_condition(lock)
    with c:
        assert Task(lock.acquire, False).result() is False
        assert c.statistics().lock.name == lock.name
    with lock:
        assert c.acquire(False) is (over == "RLock")
        if over == "RLock":
            c.release()
    results: list[int] = []
    [task] = waiters_of(c, 1, results)
    with lock:
        c.notify()
        assert results == []
    assert task.result() is True
    lock.close()


@pytest.mark.needs("names")
def test_two_handles_of_one_name_are_one_condition(make_condition: Make) -> None:
    one = make_condition(name="conformance-condition")
    two = make_condition(name="conformance-condition", exist_ok=True)
    results: list[int] = []
    [task] = waiters_of(one, 1, results)
    with two:
        two.notify()
    assert task.result() is True


@pytest.mark.needs("statistics")
def test_statistics_count_the_waiters(make_condition: Make) -> None:
    c = make_condition()
    results: list[int] = []
    tasks = waiters_of(c, 3, results)
    with c:
        s = c.statistics()
        assert (s.waiting, s.notified, s.lock.owner, s.lock.count) == (3, 0, os.getpid(), 1)
        c.notify(2)
        s = c.statistics()
        assert (s.waiting, s.notified) == (1, 2)
        c.notify_all()
    assert [task.result() for task in tasks] == [True] * 3
    s = c.statistics()
    assert (s.waiting, s.notified, s.lock.owner) == (0, 0, None)
    assert "Condition(" in repr(c)


@pytest.mark.needs("spellings")
def test_the_old_spelling_warns(make_condition: Make) -> None:
    c = make_condition()
    with c, pytest.warns(DeprecationWarning, match="notify_all"):
        c.notifyAll()


def test_producers_and_consumers_lose_nothing(make_condition: Make) -> None:
    c = make_condition()
    items: list[int] = []
    taken: list[int] = []
    guard = threading.Lock()

    def produce(start: int) -> None:
        for n in range(start, start + 200):
            with c:
                items.append(n)
                c.notify()

    def consume() -> None:
        while True:
            with c:
                c.wait_for(lambda: items, 60)
                n = items.pop()
            if n < 0:
                return
            with guard:
                taken.append(n)

    consumers = [Task(consume) for _ in range(3)]
    producers = [Task(produce, start) for start in (0, 200)]
    for producer in producers:
        producer.result()
    until(lambda: len(taken) == 400)
    with c:
        items.extend([-1, -1, -1])
        c.notify_all()
    for consumer in consumers:
        consumer.result()
    assert sorted(taken) == list(range(400))
