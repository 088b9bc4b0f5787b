"""CPython's own tests of threading's primitives (`test.lock_tests`), out of the running interpreter, run on ours.

Left out are tests of private attributes that the promises do not name. Where theirs sleep in the hope that threads have
come so far by then, here it is asked whether they have: on a busy machine no sleep is long enough.
"""

from __future__ import annotations

import threading
import time
import types
import unittest
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import LIMIT, until

theirs: Any = pytest.importorskip("test.lock_tests", reason="this interpreter ships no test package")

# Who is examined by which of their classes, and the attribute by which that class makes one.
SUITES = {
    "Lock": ("LockTests", "locktype", "Lock"),
    "RLock": ("RLockTests", "locktype", "RLock"),
    "Event": ("EventTests", "eventtype", "Event"),
    "Condition": ("ConditionTests", "condtype", "Condition"),
    "Condition as a lock": ("RLockTests", "locktype", "Condition"),
    "Semaphore": ("SemaphoreTests", "semtype", "Semaphore"),
    "BoundedSemaphore": ("BoundedSemaphoreTests", "semtype", "BoundedSemaphore"),
    "Barrier": ("BarrierTests", "barriertype", "Barrier"),
}
PRIVATE = {
    ("Lock", "test_at_fork_reinit"): "calls Lock._at_fork_reinit",
    ("Event", "test_at_fork_reinit"): "looks into Event._cond",
    ("Condition", "test_nan_timeout"): "looks into Condition._waiters; test_condition.py has it",
    ("Condition as a lock", "test_constructor_noargs"): "a Condition takes an argument, the lock",
    ("Condition as a lock", "test_recursion_count"): "threading.Condition has none either",
    ("Condition as a lock", "test__is_owned"): "calls Condition._is_owned",
    ("Condition as a lock", "test_release_save_unacquired"): "calls Condition._release_save",
}
CASES = [
    pytest.param(
        suite,
        name,
        id=f"{suite}-{name}",
        marks=[pytest.mark.skip(reason=PRIVATE[suite, name])] if (suite, name) in PRIVATE else [],
    )
    for suite, (cls, _, _) in SUITES.items()
    for name in unittest.defaultTestLoader.getTestCaseNames(getattr(theirs, cls))
]


class Unhurried(unittest.TestCase):
    """A wait may take as long as the machine likes, but not less than was asked for."""

    def assertTimeout(self, actual: float, expected: float) -> None:
        self.assertGreaterEqual(actual, expected * 0.6)

    def assertLess(self, a: Any, b: Any, msg: Any = None) -> None:
        if not isinstance(a, float):  # theirs compare nothing but times by floats
            super().assertLess(a, b, msg)


class Watch:
    """What a case of theirs has made, and what its threads do with that; it asks instead of sleeping."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._made: list[weakref.ref[Any]] = []
        self._bunches: list[Any] = []

    def make(self, *args: Any, **kwargs: Any) -> Any:
        """One of ours. Five threads have more than the 2 s that theirs give them to come to a barrier."""
        if kwargs.get("timeout") == theirs.BarrierTests.defaultTimeout:
            kwargs["timeout"] = LIMIT
        made = self._make(*args, **kwargs)
        self._made.append(weakref.ref(made))
        return made

    def bunch(self, *args: Any, **kwargs: Any) -> Any:
        """Threads of theirs."""
        self._bunches.append(_Bunch(*args, **kwargs))
        return self._bunches[-1]

    def await_blocked(self, count: int) -> None:
        """Their `wait_threads_blocked`: so many threads wait for what was made, or all that are left do."""

        def blocked() -> bool:
            now = sum(map(_blocked, self._there()))
            return now == count or now == sum(each.nthread - len(each.finished) for each in self._bunches)

        until(blocked, what=f"{count} threads are not blocked")

    def sleep(self, _seconds: float) -> None:
        """Their bare sleeps: until the time of others at a barrier is over, or somebody waits for a notification."""

        def over() -> bool:
            return all(len(each.finished) == each.nthread for each in self._bunches)

        until(lambda: all(map(_ready, self._there())) or over())

    def _there(self) -> list[Any]:
        return [made for each in self._made if (made := each()) is not None]


_Bunch = theirs.Bunch


def _blocked(made: Any) -> int:
    picture = made.statistics()
    return int(getattr(picture, "lock", picture).waiting)


def _ready(made: Any) -> bool:
    picture = made.statistics()
    return bool(picture.state == "broken" if hasattr(picture, "parties") else picture.waiting)


@pytest.mark.parametrize(("suite", "name"), CASES)
def test_cpythons_own_test_passes(context: Any, suite: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, attribute, ours = SUITES[suite]
    watch = Watch(getattr(context, ours))
    monkeypatch.setattr(theirs, "Bunch", watch.bunch)
    monkeypatch.setattr(theirs, "wait_threads_blocked", watch.await_blocked)
    monkeypatch.setattr(theirs, "time", types.SimpleNamespace(**{**vars(time), "sleep": watch.sleep}))
    if suite == "Condition":  # over a lock of its own placement; all else of threading stays what it is
        others = {**vars(threading), "Lock": context.Lock}
        monkeypatch.setattr(theirs, "threading", types.SimpleNamespace(**others))
    case = type("Ours", (Unhurried, getattr(theirs, cls)), {attribute: staticmethod(watch.make)})
    result = unittest.TestResult()
    case(name).run(result)
    assert result.testsRun == 1
    assert not result.skipped
    for _, trace in result.errors + result.failures:
        pytest.fail(trace)


def test_there_are_cases_to_run() -> None:
    assert {case.values[0] for case in CASES} == set(SUITES)
    assert len(CASES) > 100
