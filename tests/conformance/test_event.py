"""Events, which have the interface of `threading.Event`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import Task, until

Make = Callable[..., Any]


def test_it_is_set_and_cleared(make_event: Make) -> None:
    e = make_event()
    assert e.is_set() is False
    assert e.set() is None
    assert e.set() is None
    assert e.is_set() is True
    assert e.wait() is True
    assert e.clear() is None
    assert e.is_set() is False


def test_a_wait_ends_when_the_event_is_set_or_the_time_is_over(make_event: Make) -> None:
    e = make_event()
    began = time.monotonic()
    assert e.wait(0.1) is False
    assert time.monotonic() - began >= 0.099
    assert e.wait(0) is False
    waiters = [Task(e.wait), Task(e.wait, 60), Task(e.wait)]
    e.set()
    assert [waiter.result() for waiter in waiters] == [True, True, True]


@pytest.mark.needs("threading-arguments")
def test_a_negative_timeout_counts_as_zero(make_event: Make) -> None:
    e = make_event()
    assert e.wait(-1) is False
    e.set()
    assert e.wait(-1) is True


@pytest.mark.needs("statistics")
def test_a_waiter_returns_although_the_event_is_cleared_as_soon_as_it_was_set(make_event: Make) -> None:
    e = make_event()
    for _ in range(20):
        waiters = [Task(e.wait, 60) for _ in range(3)]
        until(lambda: e.statistics().waiting == 3)
        e.set()
        e.clear()
        assert [waiter.result() for waiter in waiters] == [True, True, True]
        assert e.statistics().waiting == 0


@pytest.mark.needs("statistics")
def test_statistics_say_whether_it_is_set(make_event: Make) -> None:
    e = make_event()
    assert e.statistics().is_set is False
    assert "unset" in repr(e)
    e.set()
    assert e.statistics().is_set is True
    assert repr(e).endswith(": set>")


@pytest.mark.needs("spellings")
def test_the_old_spelling_warns(make_event: Make) -> None:
    e = make_event()
    with pytest.warns(DeprecationWarning, match="is_set"):
        assert e.isSet() is False
