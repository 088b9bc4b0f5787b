"""CPython's own tests of `queue.Queue`, taken from the running interpreter's test package, run on sharedkit's queues.

Tests of private parts are left out: FailingQueueTest overrides the private `_put` and `_get`. Where the originals sleep
in the hope that a call blocks by then, these wait until it does.
"""

from __future__ import annotations

import queue
import time
import types
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from conformance.watchdog import until

import sharedkit as sk

theirs: Any = pytest.importorskip("test.test_queue", reason="this interpreter ships no test package")
support: Any = pytest.importorskip("test.support")

CASES = [name for name in dir(theirs.BaseQueueTestMixin) if name.startswith("test_")]


SIMPLE = [name for name in dir(theirs.BaseSimpleQueueTest) if name.startswith("test_")]
SUITES = {"Queue": "QueueTest", "JoinableQueue": "QueueTest", "LifoQueue": "LifoQueueTest"}
SUITES |= {"PriorityQueue": "PriorityQueueTest", "SimpleQueue": "BaseSimpleQueueTest"}
EVERY = [(cls, name) for cls, suite in SUITES.items() for name in (SIMPLE if cls == "SimpleQueue" else CASES)]


def _case(ours: Callable[..., Any], cls: str, name: str) -> unittest.TestCase:
    module = types.SimpleNamespace(Full=queue.Full, Empty=queue.Empty, ShutDown=sk.ShutDown)
    setattr(module, "Queue" if SUITES[cls] == "QueueTest" else cls, ours)
    members: dict[str, Any] = {"queue": module, "type2test": staticmethod(ours)}
    suite = getattr(theirs, SUITES[cls])
    test = getattr(suite, name)
    # From 3.15 on, the decorator `bigmemtest` runs a test in a process of its own.
    if hasattr(test, "memuse") and hasattr(test, "__wrapped__"):
        members[name] = lambda self: test.__wrapped__(self, test.size)
    case = type("OurQueueTest", (suite, unittest.TestCase), members)
    return case(name)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("cls", "name"), EVERY, ids=lambda each: each)
def test_cpythons_own_test_passes(context: Any, cls: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(context, cls):
        pytest.skip(f"{context} has no {cls}")
    if name == "test_references" and context.method != "thread":
        pytest.skip("its items are of a local class, which cannot be pickled")
    made: list[Any] = []

    def make(maxsize: int = 0) -> Any:
        made.append(getattr(context, cls)(maxsize))
        return made[-1]

    def blocked() -> bool:
        snapshot = made[-1].statistics()
        return snapshot.waiting_getters is None or snapshot.waiting_getters + snapshot.waiting_putters > 0

    if cls != "SimpleQueue":  # its producers and consumers sleep on purpose
        patient = types.SimpleNamespace(**{**vars(time), "sleep": lambda _seconds: until(blocked)})
        monkeypatch.setattr(theirs, "time", patient)
    monkeypatch.setattr(support, "real_max_memuse", 5 << 30)  # 50 threads are said to need so much memory; they do not
    result = unittest.TestResult()
    _case(make, cls, name).run(result)
    assert result.testsRun == 1
    assert not result.skipped
    for _, trace in result.errors + result.failures:
        pytest.fail(trace)


def test_there_are_cases_to_run() -> None:
    assert {"test_basic", "test_queue_join", "test_queue_task_done", "test_nowait"} <= set(CASES)
