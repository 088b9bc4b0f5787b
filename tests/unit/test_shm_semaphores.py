"""Semaphore and BoundedSemaphore in shared memory: deaths, stops, forks, signals, and fairness."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_lock_children as children
from shm_waiting_children import LIMIT, crew, finish, in_thread, kill, signalled_when, start, until

from sharedkit import errors, segments
from sharedkit.shm import BoundedSemaphore, Counter, Semaphore, attach

both = pytest.mark.parametrize("kind", [Semaphore, BoundedSemaphore])


@contextlib.contextmanager
def held_elsewhere(semaphore: Any, times: int = 1) -> Iterator[Any]:
    """A child that holds `times` permits; `.send(None)` lets it release them."""
    ready, theirs = multiprocessing.Pipe()
    with crew(children.hold, semaphore, theirs, theirs, times, n=1) as (child,):
        assert ready.poll(LIMIT)
        assert ready.recv() == child.pid
        yield child, ready


def waiting(semaphore: Any) -> int:
    return int(semaphore.statistics().waiting)


# --- both ---------------------------------------------------------------------------------------------


@both
def test_no_waiter_starves_beside_threads_that_never_pause(kind: Any) -> None:
    semaphore, stop = kind(), Counter()
    with crew(children.hog, semaphore, stop, n=2) as processes:
        in_thread(lambda: [(semaphore.acquire(), semaphore.release()) for _ in range(30)])()
        stop.add()
        finish(*processes)


@both
def test_a_signal_ends_a_wait_and_leaves_nothing_behind(kind: Any) -> None:
    semaphore = kind(2)
    with held_elsewhere(semaphore, 2) as (_, pipe):
        for way in (semaphore.acquire, semaphore.__enter__, lambda: semaphore.acquire(timeout=LIMIT)):
            with signalled_when(lambda: waiting(semaphore) == 1), pytest.raises(KeyboardInterrupt):
                way()
            assert waiting(semaphore) == 0
        pipe.send(None)
        assert semaphore.acquire(timeout=LIMIT)
    semaphore.release()


@both
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_in_other_processes_too_there_are_never_more_inside_than_permits(kind: Any, method: str) -> None:
    semaphore, inside = kind(2), Counter()
    finish(*[start(method, children.inside_at_most, semaphore, inside, 2, 500) for _ in range(3)])
    assert (semaphore.get_value(), inside.value) == (2, 0)


@both
def test_killed_waiters_swallow_no_permit_and_are_not_counted(kind: Any) -> None:
    semaphore, taken = kind(3), Counter()
    for _ in range(3):
        semaphore.acquire()
    with (
        crew(children.take_one, semaphore, taken, n=3) as doomed,
        crew(children.take_one, semaphore, taken, n=2) as others,
    ):
        until(lambda: waiting(semaphore) == 5)
        kill(*doomed)
        assert waiting(semaphore) == 2
        semaphore.release(2)
        finish(*others)
        assert taken.value == 2


@both
def test_a_pickled_semaphore_is_the_same_semaphore(kind: Any) -> None:
    semaphore = kind(2)
    again = pickle.loads(pickle.dumps(semaphore))
    assert type(again) is kind
    with again:
        assert semaphore.get_value() == 1


@both
def test_a_name_is_opened_only_with_equal_arguments(kind: Any) -> None:
    with contextlib.closing(kind(3, name="test-semaphores")) as semaphore:
        with pytest.raises(FileExistsError):
            kind(3, name="test-semaphores")
        with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
            kind(2, name="test-semaphores", exist_ok=True)
        with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
            kind(3, name="test-semaphores", exist_ok=True, seats=9)
        other = Semaphore if kind is BoundedSemaphore else BoundedSemaphore
        with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
            other(3, name="test-semaphores", exist_ok=True)
        semaphore.acquire()
        with contextlib.closing(kind(3, name="test-semaphores", exist_ok=True)) as again:
            assert again.get_value() == 2
        with contextlib.closing(attach("test-semaphores")) as again:
            assert type(again) is kind
    assert not Path("/dev/shm/sk_test-semaphores").exists()


@both
def test_values_that_make_no_sense_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError):
        kind(-1)
    with pytest.raises(OverflowError):
        kind(1 << 31)
    with pytest.raises(TypeError):
        kind(1.5)
    semaphore = kind((1 << 31) - 1)
    assert semaphore.get_value() == (1 << 31) - 1
    with pytest.raises((OverflowError, ValueError)):
        semaphore.release()
    assert semaphore.get_value() == (1 << 31) - 1
    for n in (0, -1):
        with pytest.raises(ValueError):
            semaphore.release(n)


@both
def test_nothing_but_close_works_after_close(kind: Any) -> None:
    semaphore = kind()
    semaphore.close()
    semaphore.close()
    for use in (
        semaphore.acquire,
        semaphore.release,
        semaphore.get_value,
        semaphore.statistics,
        semaphore.__enter__,
        lambda: semaphore.__exit__(None, None, None),
    ):
        with pytest.raises(errors.ClosedError):
            use()
    assert "closed" in repr(semaphore)


# --- permits without owners -----------------------------------------------------------------------------------


def test_another_process_may_release_a_permit_that_was_not_taken() -> None:
    semaphore = Semaphore(0)
    child = start("fork", children.give, semaphore, 3)
    for _ in range(3):
        assert semaphore.acquire(timeout=LIMIT)
    finish(child)
    assert semaphore.acquire(False) is False


def test_the_permits_of_a_dead_process_are_lost_in_a_plain_semaphore() -> None:
    semaphore = Semaphore(2)
    child = start("fork", children.hold_and_die, semaphore, 2)
    child.join(LIMIT)
    assert semaphore.acquire(False) is False
    assert (semaphore.get_value(), semaphore.statistics().holders) == (0, {})


# --- permits owned by processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [children.hold_and_die, children.hold_and_end])
def test_the_permits_of_a_process_that_has_ended_are_free(end: Any) -> None:
    semaphore = BoundedSemaphore(3)
    child = start("fork", end, semaphore, 3)
    child.join(LIMIT)
    assert child.exitcode is not None
    assert semaphore.get_value() == 3
    assert semaphore.statistics().holders == {}
    assert [semaphore.acquire(False), semaphore.acquire(timeout=LIMIT), semaphore.acquire()] == [True] * 3
    assert semaphore.acquire(False) is False
    semaphore.release(3)
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()


def test_a_waiter_gets_the_permit_of_a_holder_that_dies() -> None:
    semaphore = BoundedSemaphore(2)
    with held_elsewhere(semaphore) as (alive, _), held_elsewhere(semaphore) as (doomed, _):
        result = in_thread(lambda: semaphore.acquire(timeout=LIMIT))
        until(lambda: waiting(semaphore) == 1)
        os.kill(doomed.pid, signal.SIGKILL)
        assert result() is True
        assert semaphore.statistics().holders == {alive.pid: 1, os.getpid(): 1}
        assert semaphore.acquire(False) is False
    semaphore.release()


def test_a_stopped_process_keeps_its_permits() -> None:
    semaphore = BoundedSemaphore(2)
    with held_elsewhere(semaphore, 2) as (child, pipe):
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert semaphore.acquire(timeout=0.15) is False
        assert semaphore.acquire(False) is False
        os.kill(child.pid, signal.SIGCONT)
        pipe.send(None)
        assert semaphore.acquire(timeout=LIMIT)
    semaphore.release()


def test_statistics_explain_a_wait_that_timed_out() -> None:
    semaphore = BoundedSemaphore(3)
    semaphore.acquire()
    with held_elsewhere(semaphore, 2) as (child, _):
        assert semaphore.acquire(timeout=0.02) is False
        told = semaphore.statistics()
        assert (told.kind, told.value, told.bound, told.waiting) == ("BoundedSemaphore", 0, 3, 0)
        assert told.holders == {os.getpid(): 1, child.pid: 2}
        result = in_thread(lambda: semaphore.acquire(timeout=LIMIT))
        until(lambda: waiting(semaphore) == 1)
        (listed,) = [each for each in segments.live() if each.name == semaphore.name]
        assert listed.state.startswith("0 of 3 free, ") and listed.state.endswith(", 1 waiting")
        assert f"2 held by pid {child.pid}" in listed.state and f"1 held by pid {os.getpid()}" in listed.state
        kill(child)
        assert result() is True
    semaphore.release(2)


def test_a_child_may_give_back_what_its_parent_took_and_holds_nothing_itself() -> None:
    semaphore = BoundedSemaphore(2)
    semaphore.acquire()
    semaphore.acquire()
    finish(start("fork", children.give, semaphore, 1))
    assert semaphore.statistics().holders == {os.getpid(): 1}
    finish(start("spawn", children.give, semaphore, 1))
    assert semaphore.get_value() == 2
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()


def test_a_release_of_more_permits_than_are_held_is_refused_and_releases_none() -> None:
    semaphore = BoundedSemaphore(3)
    semaphore.acquire()
    with held_elsewhere(semaphore):
        with pytest.raises(ValueError, match="released too many times"):
            semaphore.release(3)
        assert semaphore.get_value() == 1
        semaphore.release(2)
        assert semaphore.get_value() == 3
