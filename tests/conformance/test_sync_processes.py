"""Synchronization between processes, with every start method; multiprocessing's own primitives are tested too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import RawValue
from typing import Any

import pytest
from conformance import children
from conformance.subjects import METHODS
from conformance.watchdog import LIMIT, Child, in_children, until

import sharedkit as sk

pytestmark = pytest.mark.needs("processes")
each_method = pytest.mark.parametrize("start_method", METHODS)
Make = Callable[..., Any]


@pytest.fixture
def counter() -> Iterator[sk.Counter]:
    with sk.Counter() as made:
        yield made


@each_method
def test_a_lock_lets_one_process_in_at_a_time(make_lock: Make, start_method: str) -> None:
    lock, number = make_lock(), RawValue("q", 0)
    in_children(start_method, children.count_under, [(lock, number, 500)] * 3)
    assert number.value == 1500


@each_method
def test_a_reentrant_lock_lets_one_process_in_at_a_time(make_rlock: Make, start_method: str) -> None:
    lock, number = make_rlock(), RawValue("q", 0)
    in_children(start_method, children.count_under_twice, [(lock, number, 300)] * 3)
    assert number.value == 900


@each_method
def test_a_lock_that_one_process_holds_another_does_not_get(make_lock: Make, start_method: str) -> None:
    lock = make_lock()
    with lock:
        assert Child(start_method, children.try_to_take, lock).result() == (False, False)
    assert lock.acquire(False)
    lock.release()


@pytest.mark.needs("owner")
def test_after_a_timeout_statistics_name_the_process_that_holds_the_lock(make_lock: Make) -> None:
    lock = make_lock()
    with sk.Queue() as held, sk.Queue() as go:
        child = Child("fork", children.take_and_keep, lock, held, go)
        held.get(timeout=LIMIT)
        try:
            assert lock.acquire(timeout=0.01) is False
            assert lock.locked()
            assert lock.owner == child.pid
        finally:
            go.put("on")
        child.result()
    assert lock.owner is None


@each_method
def test_no_more_processes_than_permits_are_inside(
    make_semaphore: Make, counter: sk.Counter, start_method: str
) -> None:
    semaphore = make_semaphore(2)
    most = in_children(start_method, children.crowd, [(semaphore, counter, 300)] * 4)
    assert max(most) <= 2
    assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]


@each_method
def test_no_more_processes_than_permits_of_a_bounded_semaphore_are_inside(
    make_bounded: Make, counter: sk.Counter, start_method: str
) -> None:
    semaphore = make_bounded(2)
    most = in_children(start_method, children.crowd, [(semaphore, counter, 300)] * 4)
    assert max(most) <= 2
    with pytest.raises(ValueError):
        semaphore.release()


@each_method
def test_an_event_wakes_every_process(make_event: Make, counter: sk.Counter, start_method: str) -> None:
    event = make_event()
    waiters = [Child(start_method, children.wait_for, event, counter) for _ in range(3)]
    until(lambda: counter.value == 3)
    event.set()
    assert [waiter.result() for waiter in waiters] == [True] * 3
    event.clear()
    setter = Child(start_method, children.set_it, event)
    assert event.wait(60) is True
    setter.result()


@each_method
def test_processes_take_turns_by_a_condition(make_condition: Make, start_method: str) -> None:
    condition, turn = make_condition(), RawValue("q", 0)
    had = in_children(start_method, children.take_turns, [(condition, turn, mine, 3, 60) for mine in range(3)])
    assert (had, turn.value) == ([60] * 3, 180)


@each_method
def test_processes_pass_a_barrier_together(make_barrier: Make, counter: sk.Counter, start_method: str) -> None:
    barrier = make_barrier(3)
    indices = in_children(start_method, children.pass_often, [(barrier, counter, 3, 40)] * 3)
    for turn in zip(*indices, strict=True):
        assert sorted(turn) == [0, 1, 2]
    assert counter.value == 120


@each_method
def test_processes_never_read_half_of_a_write(make_rwlock: Make, start_method: str) -> None:
    rw, first, second = make_rwlock(), RawValue("q", 0), RawValue("q", 0)
    writer = Child(start_method, children.write_pairs, rw, first, second, 300)
    torn = in_children(start_method, children.read_pairs, [(rw, first, second, 300)] * 2)
    writer.result()
    assert (torn, first.value, second.value) == ([0, 0], 300, 300)


@each_method
def test_no_process_ends_the_reading_or_writing_of_another(make_rwlock: Make, start_method: str) -> None:
    rw = make_rwlock()
    for side in (rw.reader, rw.writer):
        with side:
            assert Child(start_method, children.ends_of, rw).result() == [False] * 4
            assert side.locked()


UNRELATED = """
import sys
import sharedkit as sk
lock = sk.attach(sys.argv[1])
print(lock.acquire(False), lock.acquire(timeout=0.01), lock.statistics().owner)
"""


@pytest.mark.needs("names", "found-by-name-alone")
def test_an_unrelated_program_finds_a_lock_by_name_and_sees_its_holder(make_lock: Make) -> None:
    lock = make_lock()
    with lock:
        done = subprocess.run(
            [sys.executable, "-c", UNRELATED, lock.name], capture_output=True, text=True, timeout=LIMIT
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"False False {os.getpid()}\n", "")
