"""The lock of a dead owner goes to the next process; that of a living owner goes to none."""

from __future__ import annotations

import platform
from typing import Any

import pytest
from stress.soak import soak

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the stepper knows x86-64 only")


def _run(what: str, amount: float, soaks: Any) -> dict[str, Any]:
    told = soak("owners.py", what, amount, limit=120 + amount)
    soaks(f"locks of {what} owners", *told["rows"])
    assert told["clean"], told
    return told


def test_the_lock_of_a_killed_owner_is_handed_over(soaks: Any) -> None:
    assert all(row["kills"] == 25 for row in _run("handover", 25, soaks)["rows"])


def test_the_lock_of_a_stopped_owner_is_not_handed_over(soaks: Any) -> None:
    assert all(row["stolen"] == 0 for row in _run("stopped", 1, soaks)["rows"])


@pytest.mark.stress
def test_the_locks_of_many_killed_owners_are_handed_over(soaks: Any) -> None:
    assert all(row["kills"] == 200 for row in _run("handover", 200, soaks)["rows"])


@pytest.mark.stress
def test_the_lock_of_an_owner_that_is_stopped_for_long_is_not_handed_over(soaks: Any) -> None:
    assert all(row["stolen"] == 0 for row in _run("stopped", 30, soaks)["rows"])
