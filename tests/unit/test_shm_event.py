"""The event in shared memory: between processes, after deaths, under signals, by name."""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_waiting_children as children

from sharedkit import errors, segments
from sharedkit.shm import Counter, Event, attach


@pytest.fixture
def event() -> Iterator[Event]:
    with Event() as e:
        yield e


def waiting(event: Event) -> int:
    return event.statistics().waiting


# --- threading's rules ------------------------------------------------------------------------------------


def test_timeouts_are_taken_as_in_threading(event: Event) -> None:
    assert [event.wait(t) for t in (0, -1, -math.inf, 0.001, True)] == [False] * 5
    with pytest.raises(ValueError):
        event.wait(math.nan)
    for far in (1e100, math.inf, threading.TIMEOUT_MAX + 1):
        with pytest.raises(OverflowError):
            event.wait(far)
    for wrong in ("1", [], 1j):
        with pytest.raises(TypeError):
            event.wait(wrong)  # type: ignore[arg-type]
    event.set()
    assert [event.wait(), event.wait(timeout=0), event.wait(-1)] == [True] * 3


def test_the_old_name_of_is_set_is_deprecated(event: Event) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        assert event.isSet() is False
    assert [(w.category, w.filename) for w in given] == [(DeprecationWarning, __file__)]


def test_its_repr_and_statistics(event: Event) -> None:
    assert repr(event) == f"<sharedkit.Event at {id(event):#x} name={event.name!r}: unset>"
    event.set()
    assert repr(event).endswith(": set>")
    snapshot = event.statistics()
    assert (snapshot.name, snapshot.kind, snapshot.is_set, snapshot.waiting) == (event.name, "Event", True, 0)
    assert snapshot.attached == (os.getpid(),)
    with pytest.raises(FrozenInstanceError):
        snapshot.waiting = 1  # type: ignore[misc]
    event.close()
    event.close()
    assert "closed" in repr(event)
    for use in (event.set, event.clear, event.is_set, event.wait, event.statistics):
        with pytest.raises(errors.ClosedError):
            use()


# --- processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_set_in_one_process_releases_the_waiters_of_all(method: str) -> None:
    with (
        Event() as event,
        Counter() as said,
        children.crew(children.wait_and_say, event, said, n=2, method=method) as crew,
    ):
        here = children.in_thread(event.wait)
        children.until(lambda: waiting(event) == 3)
        setter = children.start(method, children.set_it, event)
        assert here() is True
        children.finish(*crew, setter)
        assert said.value == 2
        assert waiting(event) == 0


def test_a_set_that_is_cleared_at_once_releases_all_waiters(event: Event) -> None:
    with Counter() as said:
        for _ in range(20):
            with children.crew(children.wait_and_say, event, said, n=2) as crew:
                children.until(lambda: waiting(event) == 2)
                event.set()
                event.clear()
                children.finish(*crew)
        assert said.value == 40


def test_a_set_never_waits_for_the_dead_and_reaches_the_living(event: Event) -> None:
    rng = random.Random(11)
    with Counter() as said:
        for turn in range(25):
            with children.crew(children.wait_and_say, event, said, n=4) as crew:
                children.until(lambda: waiting(event) == 4)
                dead = rng.sample(crew, 1 + turn % 3)
                living = [child for child in crew if child not in dead]
                if turn % 2:
                    children.kill(*dead)
                    assert waiting(event) <= len(living)
                    n = len(living)
                    children.until(lambda n=n: waiting(event) == n)  # a waiter between two slices is not counted
                    event.set()
                else:  # waiters die while they are being woken
                    for child in dead:
                        os.kill(child.pid, signal.SIGKILL)
                    event.set()
                children.finish(*living)
                event.clear()
        assert 25 * 2 <= said.value <= 25 * 4
        assert event.wait(0.01) is False


def test_a_child_of_a_fork_waits_and_sets_for_itself(event: Event) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if event.wait(children.LIMIT) and waiting(event) == 0 else 1)
        finally:
            os._exit(2)
    children.until(lambda: waiting(event) == 1)
    event.set()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# --- signals ----------------------------------------------------------------------------------------------


def test_ctrl_c_ends_a_wait_and_leaves_nothing_behind(event: Event) -> None:
    for timeout in (None, 3600):
        with children.signalled_when(lambda: waiting(event) == 1), pytest.raises(KeyboardInterrupt):
            event.wait(timeout)
        assert (waiting(event), event.is_set()) == (0, False)


def test_a_handler_runs_during_the_wait_and_may_end_it(event: Event) -> None:
    calls: list[bool] = []

    def handler(*_: Any) -> None:
        calls.append(event.is_set())
        event.set()
        event.clear()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with children.signalled_when(lambda: waiting(event) == 1, signal.SIGUSR1):
            assert event.wait() is True
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert calls == [False]


# --- names ------------------------------------------------------------------------------------------------


def test_by_name_from_a_program_that_knows_nothing_else() -> None:
    name = f"event-{os.getpid()}"
    with Event(name=name) as event:
        with pytest.raises(FileExistsError):
            Event(name=name)
        with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
            Event(name=name, exist_ok=True, seats=7)
        with Event(name=name, exist_ok=True) as again, Counter(name=name + "c"):
            again.set()
            with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
                Event(name=name + "c", exist_ok=True)
        assert event.is_set()
        event.clear()
        children.finish(children.start("spawn", children.set_by_name, name))
        assert event.wait(children.LIMIT) is True
    with pytest.raises(FileNotFoundError):
        attach(name)


def test_a_persistent_event_stays() -> None:
    name = f"event-{os.getpid()}-kept"
    Event(name=name, persist=True).close()
    with attach(name) as event:
        assert isinstance(event, Event)
        assert not event.is_set()
        event.unlink()


def test_listings_show_the_flag_and_the_waiters(event: Event) -> None:
    def shown() -> str:
        return next(each.state for each in segments.live() if each.name == event.name)

    assert shown() == "unset, 0 waiting"
    with Counter() as said, children.crew(children.wait_and_say, event, said, n=2) as crew:
        children.until(lambda: shown() == "unset, 2 waiting")
        children.kill(crew[0])
        assert shown() == "unset, 1 waiting"
        event.set()
        children.finish(crew[1])
    assert shown() == "set, 0 waiting"
