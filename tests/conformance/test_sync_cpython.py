"""CPython's own tests of threading's primitives (`test.lock_tests`), out of the running interpreter, run on ours.

Left out are tests of private attributes that the promises do not name.
"""

from __future__ import annotations

import threading
import types
import unittest
from typing import Any

import pytest

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


@pytest.mark.parametrize(("suite", "name"), CASES)
def test_cpythons_own_test_passes(context: Any, suite: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, attribute, ours = SUITES[suite]
    made = getattr(context, ours)
    if suite == "Condition":  # over a lock of its own placement; all else of threading stays what it is
        others = {**vars(threading), "Lock": context.Lock}
        monkeypatch.setattr(theirs, "threading", types.SimpleNamespace(**others))
    case = type("Ours", (Unhurried, getattr(theirs, cls)), {attribute: staticmethod(made)})
    result = unittest.TestResult()
    case(name).run(result)
    assert result.testsRun == 1
    assert not result.skipped
    for _, trace in result.errors + result.failures:
        pytest.fail(trace)


def test_there_are_cases_to_run() -> None:
    assert {case.values[0] for case in CASES} == set(SUITES)
    assert len(CASES) > 100
