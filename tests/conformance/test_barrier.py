"""Barriers, which have the interface of `threading.Barrier`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, in_threads, until

Make = Callable[..., Any]
Broken = threading.BrokenBarrierError


def test_no_party_passes_before_all_have_come(make_barrier: Make) -> None:
    b = make_barrier(3)
    came: list[int] = []
    guard = threading.Lock()

    def pass_often() -> list[int]:
        indices = []
        for turn in range(20):
            with guard:
                came.append(turn)
            indices.append(b.wait(60))
            with guard:
                assert came.count(turn) == 3
        return indices

    indices = in_threads([pass_often] * 3)
    for turn in zip(*indices, strict=True):
        assert sorted(turn) == [0, 1, 2]
    assert (b.parties, b.n_waiting, b.broken) == (3, 0, False)


def test_one_of_them_calls_the_action_before_any_returns(make_barrier: Make) -> None:
    called: list[int] = []
    b = make_barrier(3, lambda: called.append(b.n_waiting))

    def wait() -> int:
        b.wait(60)
        return len(called)

    assert in_threads([wait] * 3) == [1, 1, 1]
    assert in_threads([wait] * 3) == [2, 2, 2]


def test_an_action_that_fails_breaks_it(make_barrier: Make) -> None:
    def fail() -> None:
        raise LookupError

    b = make_barrier(2, fail)
    first = Task(b.wait, 60)
    until(lambda: b.n_waiting == 1)
    with pytest.raises(LookupError):
        b.wait(60)
    with pytest.raises(Broken):
        first.result()
    assert b.broken


def test_a_timeout_breaks_it_for_all(make_barrier: Make) -> None:
    b = make_barrier(3)
    first = Task(b.wait)
    until(lambda: b.n_waiting == 1)
    with pytest.raises(Broken):
        b.wait(0.05)
    with pytest.raises(Broken):
        first.result()
    assert b.broken is True
    with pytest.raises(Broken):
        b.wait()
    b.reset()
    assert b.broken is False


def test_wait_without_a_timeout_uses_the_barriers_own(make_barrier: Make) -> None:
    b = make_barrier(2, timeout=0.05)
    with pytest.raises(Broken):
        b.wait()


def test_abort_breaks_it_until_reset(make_barrier: Make) -> None:
    b = make_barrier(2)
    first = Task(b.wait, 60)
    until(lambda: b.n_waiting == 1)
    b.abort()
    with pytest.raises(Broken):
        first.result()
    with pytest.raises(Broken):
        b.wait()
    b.reset()
    assert sorted(in_threads([b.wait] * 2)) == [0, 1]


def test_reset_frees_the_waiters(make_barrier: Make) -> None:
    b = make_barrier(2)
    first = Task(b.wait, 60)
    until(lambda: b.n_waiting == 1)
    b.reset()
    with pytest.raises(Broken):
        first.result()
    assert b.broken is False
    assert sorted(in_threads([b.wait] * 2)) == [0, 1]


@pytest.mark.needs("names")
def test_a_barrier_of_no_parties_is_refused(make_barrier: Make) -> None:
    for parties in (0, -1):
        with pytest.raises(ValueError):
            make_barrier(parties)


def test_the_only_party_of_a_barrier_does_not_wait(make_barrier: Make) -> None:
    b = make_barrier(1)
    assert [b.wait(), b.wait()] == [0, 0]


@pytest.mark.needs("statistics")
def test_statistics_count_the_waiters_and_the_parties(make_barrier: Make) -> None:
    b = make_barrier(2)
    s = b.statistics()
    assert (s.parties, s.waiting, s.state, s.owners) == (2, 0, "filling", ())
    first = Task(b.wait, 60)
    until(lambda: b.n_waiting == 1)
    s = b.statistics()
    assert (s.waiting, s.state, s.owners) == (1, "filling", (os.getpid(),))
    assert "waiters=1/2" in repr(b)
    b.abort()
    with pytest.raises(Broken):
        first.result()
    assert b.statistics().state == "broken"
    assert "broken" in repr(b)


@pytest.mark.needs("names")
def test_two_handles_of_one_name_are_one_barrier(make_barrier: Make) -> None:
    one = make_barrier(2, name="conformance-barrier")
    two = make_barrier(2, name="conformance-barrier", exist_ok=True)
    assert sorted(in_threads([one.wait, two.wait])) == [0, 1]
