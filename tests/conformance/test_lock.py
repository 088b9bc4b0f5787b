"""Locks, including those of arrays; they have the interface of `threading.Lock`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

import sharedkit as sk

MakeLock = Callable[[], Any]


def test_acquire_returns_true_and_release_returns_none(make_lock: MakeLock) -> None:
    lock = make_lock()
    assert lock.acquire() is True
    assert lock.release() is None


@pytest.mark.needs("locked")
def test_locked_says_whether_it_is_locked(make_lock: MakeLock) -> None:
    lock = make_lock()
    assert lock.locked() is False
    lock.acquire()
    assert lock.locked() is True
    lock.release()
    assert lock.locked() is False


def test_a_held_lock_is_not_given_again(make_lock: MakeLock) -> None:
    lock = make_lock()
    lock.acquire()
    assert lock.acquire(False) is False
    began = time.monotonic()
    assert lock.acquire(True, 0.1) is False
    assert time.monotonic() - began >= 0.099
    assert Task(lock.acquire, False).result() is False
    lock.release()
    assert lock.acquire(False) is True
    lock.release()


@pytest.mark.needs("spellings")
def test_both_spellings_of_its_arguments_are_taken(make_lock: MakeLock) -> None:
    lock = make_lock()
    assert lock.acquire(block=True) is True
    assert lock.acquire(blocking=False) is False
    assert lock.acquire(block=False) is False
    lock.release()
    assert lock.acquire(timeout=None) is True
    lock.release()
    assert lock.acquire(timeout=-1) is True
    lock.release()
    assert lock.acquire(timeout=5) is True
    lock.release()


@pytest.mark.needs("threading-arguments")
def test_arguments_that_make_no_sense_are_refused(make_lock: MakeLock) -> None:
    lock = make_lock()
    with pytest.raises(ValueError):
        lock.acquire(False, 1)
    with pytest.raises(ValueError):
        lock.acquire(True, -2)
    with pytest.raises(TypeError):
        lock.acquire(True, "soon")
    assert lock.acquire(False) is True
    lock.release()


@pytest.mark.needs("release-unlocked")
def test_releasing_an_unlocked_lock_is_a_runtime_error(make_lock: MakeLock) -> None:
    lock = make_lock()
    with pytest.raises(RuntimeError):
        lock.release()
    lock.acquire()
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()


def test_the_with_statement_holds_it_and_releases_it_after_an_error(make_lock: MakeLock) -> None:
    lock = make_lock()
    with lock as entered:
        assert entered is True
        assert lock.acquire(False) is False
    with pytest.raises(LookupError), lock:
        raise LookupError
    assert lock.acquire(False) is True
    lock.release()


@pytest.mark.needs("threading-arguments")
def test_another_thread_may_release_it(make_lock: MakeLock) -> None:
    lock = make_lock()
    lock.acquire()
    Task(lock.release).result()
    assert lock.acquire(False) is True
    lock.release()


def test_a_waiter_gets_it_when_it_is_released(make_lock: MakeLock) -> None:
    lock = make_lock()
    lock.acquire()
    tasks = [Task(lock.acquire, True, 60), Task(lock.acquire)]
    lock.release()
    while not any(task.done for task in tasks):
        pass
    lock.release()
    assert [task.result() for task in tasks] == [True, True]
    lock.release()


def test_one_thread_at_a_time_is_inside(make_lock: MakeLock) -> None:
    lock = make_lock()
    inside, most, count = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, count
        for _ in range(500):
            with lock:
                inside += 1
                most = max(most, inside)
                seen = count
                if seen % 50 == 0:
                    time.sleep(0)  # let other threads contend for the lock
                count = seen + 1
                inside -= 1

    in_threads([work] * 4)
    assert (most, count) == (1, 2000)


@pytest.mark.needs("not-locked-error")
def test_releasing_an_unlocked_lock_is_both_errors_of_the_standard_library(make_lock: MakeLock) -> None:
    with pytest.raises(sk.NotLockedError) as caught:
        make_lock().release()
    assert isinstance(caught.value, RuntimeError) and isinstance(caught.value, ValueError)


@pytest.mark.needs("owner")
def test_statistics_name_the_process_that_holds_it(make_lock: MakeLock) -> None:
    lock = make_lock()
    assert (lock.owner, lock.owner_died) == (None, False)
    with lock:
        assert lock.owner == os.getpid()
    assert lock.owner is None
    lock.mark_consistent()
    assert lock.owner_died is False


@pytest.mark.needs("statistics")
def test_statistics_explain_a_wait_that_timed_out(make_lock: MakeLock) -> None:
    lock = make_lock()
    s = lock.statistics()
    assert (s.owner, s.since, s.waiting, s.owner_died, s.count) == (None, None, 0, False, 0)
    before = time.time()
    lock.acquire()
    waiters = [Task(lock.acquire), Task(lock.acquire, timeout=60)]
    until(lambda: lock.statistics().waiting == 2)
    s = lock.statistics()
    assert (s.owner, s.count) == (os.getpid(), 1)
    assert before - 0.1 <= s.since <= time.time() + 0.1  # a coarse clock ticks every few milliseconds
    for _ in waiters:
        lock.release()
        until(lock.locked)
    assert [waiter.result() for waiter in waiters] == [True, True]
    assert lock.statistics().waiting == 0
    lock.release()


@pytest.mark.needs("names")
def test_on_owner_died_is_warn_or_raise(make_lock: MakeLock) -> None:
    for answer in ("warn", "raise"):
        with make_lock(on_owner_died=answer) as held:
            assert held is True
    with pytest.raises(ValueError, match="on_owner_died"):
        make_lock(on_owner_died="ignore")


@pytest.mark.needs("names")
def test_two_handles_of_one_name_are_one_lock(make_lock: MakeLock) -> None:
    one = make_lock(name="conformance-lock")
    two = make_lock(name="conformance-lock", exist_ok=True)
    with one:
        assert two.locked() and not two.acquire(False)
        assert "locked" in repr(two) and "conformance-lock" in repr(two)
    assert two.acquire(False)
    one.release()
