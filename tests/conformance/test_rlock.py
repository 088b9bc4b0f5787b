"""Reentrant locks, which have the interface of `threading.RLock`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

import sharedkit as sk

Make = Callable[..., Any]


def test_its_owner_may_take_it_again_and_releases_it_as_often(make_rlock: Make) -> None:
    lock = make_rlock()
    assert [lock.acquire(), lock.acquire(False), lock.acquire(timeout=5)] == [True, True, True]
    for _ in range(3):
        assert Task(lock.acquire, False).result() is False
        lock.release()
    assert Task(lambda: lock.acquire(False) and lock.release() is None).result() is True


def test_only_its_owner_can_release_it(make_rlock: Make) -> None:
    lock = make_rlock()
    lock.acquire()
    with pytest.raises((RuntimeError, AssertionError)):
        Task(lock.release).result()
    lock.release()
    with pytest.raises((RuntimeError, AssertionError)):
        lock.release()


@pytest.mark.needs("not-locked-error")
def test_one_release_too_many_is_both_errors_of_the_standard_library(make_rlock: Make) -> None:
    with pytest.raises(sk.NotLockedError, match="cannot release un-acquired lock") as caught:
        make_rlock().release()
    assert isinstance(caught.value, RuntimeError) and isinstance(caught.value, ValueError)


@pytest.mark.needs("threading-arguments")
def test_arguments_that_make_no_sense_are_refused_even_from_its_owner(make_rlock: Make) -> None:
    lock = make_rlock()
    for _ in range(2):
        with pytest.raises(ValueError):
            lock.acquire(False, 1)
        with pytest.raises(ValueError):
            lock.acquire(True, -2)
        with pytest.raises(OverflowError):
            lock.acquire(True, 1e100)
        lock.acquire()
    lock.release()
    lock.release()
    assert Task(lambda: lock.acquire(False)).result() is True


@pytest.mark.needs("locked")
def test_it_is_locked_until_the_last_release_for_every_thread(make_rlock: Make) -> None:
    lock = make_rlock()
    assert lock.locked() is False
    with lock:
        with lock:
            assert lock.locked() is True
        assert (lock.locked(), Task(lock.locked).result()) == (True, True)
    assert (lock.locked(), Task(lock.locked).result()) == (False, False)


@pytest.mark.needs("spellings")
def test_both_spellings_of_its_arguments_are_taken(make_rlock: Make) -> None:
    lock = make_rlock()
    assert lock.acquire(block=False) and lock.acquire(blocking=False) and lock.acquire(timeout=None)
    assert Task(lock.acquire, block=False).result() is False


@pytest.mark.needs("statistics")
def test_statistics_count_takes_and_waiters(make_rlock: Make) -> None:
    lock = make_rlock()
    assert lock.locked() is False and lock.owner is None
    with lock, lock:
        s = lock.statistics()
        assert (s.owner, s.count, s.owner_died) == (os.getpid(), 2, False)
        assert lock.locked() and lock.owner == os.getpid()
        waiter = Task(lock.acquire)
        until(lambda: lock.statistics().waiting == 1)
    assert waiter.result() is True
    assert lock.statistics().count == 1


def test_one_thread_at_a_time_is_inside_however_often_it_took_the_lock(make_rlock: Make) -> None:
    lock = make_rlock()
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(200):
            with lock:
                seen = count
                with lock:
                    count = seen + 1

    in_threads([work] * 4)
    assert count == 800
