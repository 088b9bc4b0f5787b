"""Semaphores, which have the interfaces of `threading.Semaphore` and `threading.BoundedSemaphore`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

Make = Callable[..., Any]


def test_it_gives_as_many_permits_as_it_has(make_semaphore: Make) -> None:
    s = make_semaphore(2)
    assert [s.acquire(), s.acquire(True, 5), s.acquire(False)] == [True, True, False]
    began = time.monotonic()
    assert s.acquire(timeout=0.1) is False
    assert time.monotonic() - began >= 0.099
    assert s.release() is None
    assert s.acquire(False) is True


def test_it_works_as_a_signal_too(make_semaphore: Make) -> None:
    s = make_semaphore(0)
    assert s.acquire(False) is False
    waiter = Task(s.acquire)
    s.release()
    assert waiter.result() is True
    for _ in range(3):
        s.release()
    assert [s.acquire(False) for _ in range(4)] == [True, True, True, False]


@pytest.mark.needs("release-many")
def test_many_permits_are_released_at_once(make_semaphore: Make) -> None:
    s = make_semaphore(0)
    waiters = [Task(s.acquire) for _ in range(3)]
    s.release(5)
    assert [waiter.result() for waiter in waiters] == [True, True, True]
    assert [s.acquire(False) for _ in range(3)] == [True, True, False]
    for n in (0, -1):
        with pytest.raises(ValueError):
            s.release(n)


@pytest.mark.needs("threading-arguments")
def test_a_timeout_without_blocking_is_refused_and_a_negative_one_counts_as_zero(make_semaphore: Make) -> None:
    s = make_semaphore(1)
    with pytest.raises(ValueError):
        s.acquire(False, timeout=1)
    assert s.acquire(timeout=-1) is True
    assert s.acquire(timeout=-1) is False
    assert s.acquire(timeout=0) is False


@pytest.mark.needs("locked")
def test_it_is_locked_while_no_permit_is_free(make_semaphore: Make) -> None:
    s = make_semaphore(2)
    assert (s.acquire(), s.locked(), s.acquire(), s.locked()) == (True, False, True, True)
    assert Task(s.locked).result() is True
    s.release()
    assert s.locked() is False
    assert make_semaphore(0).locked() is True


def test_a_negative_value_is_refused(make_semaphore: Make) -> None:
    with pytest.raises((ValueError, OSError)):
        make_semaphore(-1)


@pytest.mark.needs("spellings")
def test_both_spellings_of_its_arguments_are_taken(make_semaphore: Make) -> None:
    s = make_semaphore(2)
    assert s.acquire(block=False) and s.acquire(blocking=False, timeout=None) and not s.acquire(block=False)
    assert s.get_value() == 0


def test_the_with_statement_takes_a_permit_and_gives_it_back_after_an_error(make_semaphore: Make) -> None:
    s = make_semaphore(1)
    with pytest.raises(LookupError), s:
        assert s.acquire(False) is False
        raise LookupError
    assert s.acquire(False) is True


@pytest.mark.needs("statistics")
def test_statistics_count_the_free_permits_and_the_waiters(make_semaphore: Make) -> None:
    s = make_semaphore(1)
    assert (s.statistics().value, s.statistics().bound, dict(s.statistics().holders)) == (1, None, {})
    s.acquire()
    waiter = Task(s.acquire)
    until(lambda: s.statistics().waiting == 1)
    assert s.statistics().value == 0
    s.release(2)
    assert waiter.result() is True
    assert (s.statistics().value, s.statistics().waiting) == (1, 0)
    assert "value=1" in repr(s)


@pytest.mark.parametrize("value", [1, 3])
def test_no_more_threads_than_permits_are_inside(make_bounded: Make, value: int) -> None:
    s = make_bounded(value)
    guard = threading.Lock()
    inside = most = passed = 0

    def work() -> None:
        nonlocal inside, most, passed
        for _ in range(100):
            with s:
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0)
                with guard:
                    inside -= 1
                    passed += 1

    in_threads([work] * 5)
    assert passed == 500
    assert most <= value


@pytest.mark.needs("locked")
def test_a_bounded_semaphore_is_locked_while_no_permit_is_free(make_bounded: Make) -> None:
    s = make_bounded(1)
    assert (s.locked(), s.acquire(), s.locked()) == (False, True, True)
    s.release()
    assert s.locked() is False


def test_a_bounded_semaphore_refuses_one_release_too_many(make_bounded: Make) -> None:
    s = make_bounded(2)
    with pytest.raises(ValueError, match=r"released too many times"):
        s.release()
    s.acquire()
    s.release()
    with pytest.raises(ValueError):
        s.release()
    assert [s.acquire(False) for _ in range(3)] == [True, True, False]


@pytest.mark.needs("release-many")
def test_a_bounded_semaphore_refuses_to_release_too_many_at_once_and_keeps_its_value(make_bounded: Make) -> None:
    s = make_bounded(3)
    s.acquire()
    s.acquire()
    with pytest.raises(ValueError):
        s.release(3)
    s.release(2)
    assert [s.acquire(False) for _ in range(4)] == [True, True, True, False]


def test_a_thread_may_give_back_a_permit_that_another_took(make_bounded: Make) -> None:
    s = make_bounded(1)
    Task(s.acquire).result()
    assert s.acquire(False) is False
    s.release()
    assert s.acquire(False) is True


@pytest.mark.needs("statistics")
def test_statistics_say_how_many_permits_each_process_holds(make_bounded: Make) -> None:
    s = make_bounded(3)
    assert dict(s.statistics().holders) == {}
    s.acquire()
    s.acquire()
    snapshot = s.statistics()
    assert (snapshot.value, snapshot.bound, dict(snapshot.holders)) == (1, 3, {os.getpid(): 2})
    assert "value=1/3" in repr(s)
