"""CPython's own tests of threading's primitives (`test.lock_tests` of the running interpreter), run on sharedkit's.

Tests of private attributes are left out. Where the originals sleep in the hope that threads have come so far by then,
these wait until the threads have: on a busy machine no sleep is long enough.
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

# Each class, the suite that tests it, and the attribute by which the suite makes an object of the class.
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
    ("Condition", "test_nan_timeout"): "reads the private Condition._waiters; see test_condition.py",
    ("Condition as a lock", "test_constructor_noargs"): "a Condition takes a lock as argument",
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
        if not isinstance(a, float):  # the originals compare floats only if they are times
            super().assertLess(a, b, msg)


class Watch:
    """The objects that a test of CPython has made, and their threads; it polls them where the original sleeps."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._made: list[weakref.ref[Any]] = []
        self._bunches: list[Any] = []

    def make(self, *args: Any, **kwargs: Any) -> Any:
        """Make an object of sharedkit. Five threads get more time to come to a barrier than the original's 2 s."""
        if kwargs.get("timeout") == theirs.BarrierTests.defaultTimeout:
            kwargs["timeout"] = LIMIT
        made = self._make(*args, **kwargs)
        self._made.append(weakref.ref(made))
        return made

    def bunch(self, *args: Any, **kwargs: Any) -> Any:
        """Start threads as CPython's tests do."""
        self._bunches.append(_Bunch(*args, **kwargs))
        return self._bunches[-1]

    def await_blocked(self, count: int) -> None:
        """Replaces `wait_threads_blocked`: wait until `count` threads, or all that have not ended, are blocked."""

        def blocked() -> bool:
            now = sum(map(_blocked, self._there()))
            return now == count or now == sum(each.nthread - len(each.finished) for each in self._bunches)

        until(blocked, what=f"{count} threads are not blocked")

    def sleep(self, _seconds: float) -> None:
        """Replaces a bare sleep: wait until a barrier is broken, or a condition has waiters, or all threads ended."""

        def over() -> bool:
            return all(len(each.finished) == each.nthread for each in self._bunches)

        until(lambda: all(map(_ready, self._there())) or over())

    def _there(self) -> list[Any]:
        return [made for each in self._made if (made := each()) is not None]


_Bunch = theirs.Bunch


def _blocked(made: Any) -> int:
    snapshot = made.statistics()
    return int(getattr(snapshot, "lock", snapshot).waiting)


def _ready(made: Any) -> bool:
    snapshot = made.statistics()
    return bool(snapshot.state == "broken" if hasattr(snapshot, "parties") else snapshot.waiting)


@pytest.mark.parametrize(("suite", "name"), CASES)
def test_cpythons_own_test_passes(context: Any, suite: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, attribute, ours = SUITES[suite]
    watch = Watch(getattr(context, ours))
    monkeypatch.setattr(theirs, "Bunch", watch.bunch)
    monkeypatch.setattr(theirs, "wait_threads_blocked", watch.await_blocked)
    monkeypatch.setattr(theirs, "time", types.SimpleNamespace(**{**vars(time), "sleep": watch.sleep}))
    if suite == "Condition":  # it makes its own lock, of the same placement; the rest of threading stays as it is
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
