"""The lock of an array, with the face of `threading.Lock`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads

MakeLock = Callable[[], Any]


def test_acquire_answers_true_and_release_nothing(make_lock: MakeLock) -> None:
    lock = make_lock()
    assert lock.acquire() is True
    assert lock.release() is None


@pytest.mark.needs("locked")
def test_locked_tells_whether_it_is(make_lock: MakeLock) -> None:
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


def test_the_with_statement_holds_it_and_lets_go_after_an_error(make_lock: MakeLock) -> None:
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


def test_who_waits_gets_it_when_it_is_released(make_lock: MakeLock) -> None:
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
                    time.sleep(0)  # let others run into the lock
                count = seen + 1
                inside -= 1

    in_threads([work] * 4)
    assert (most, count) == (1, 2000)
