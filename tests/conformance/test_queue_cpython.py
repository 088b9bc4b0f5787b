"""CPython's own tests of `queue.Queue`, out of the running interpreter's test package, run on our queues.

Left out are those that look behind the face: FailingQueueTest overrides the private `_put` and `_get`. Where theirs
sleep in the hope that a call blocks by then, here it is asked whether it does.
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

CASES = [name for name in dir(theirs.BaseQueueTestMixin) if name.startswith("test_")]


def _case(queue_class: Callable[..., Any], name: str) -> unittest.TestCase:
    module = types.SimpleNamespace(Queue=queue_class, Full=queue.Full, Empty=queue.Empty, ShutDown=sk.ShutDown)
    case = type("OurQueueTest", (theirs.QueueTest, unittest.TestCase), {"queue": module})
    return case(name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CASES)
def test_cpythons_own_test_passes(context: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def make(maxsize: int = 0) -> Any:
        made.append(context.Queue(maxsize))
        return made[-1]

    def blocked() -> bool:
        picture = made[-1].statistics()
        return picture.waiting_getters is None or picture.waiting_getters + picture.waiting_putters > 0

    patient = types.SimpleNamespace(**{**vars(time), "sleep": lambda _seconds: until(blocked)})
    monkeypatch.setattr(theirs, "time", patient)
    result = unittest.TestResult()
    _case(make, name).run(result)
    assert result.testsRun == 1
    assert not result.skipped
    for _, trace in result.errors + result.failures:
        pytest.fail(trace)


def test_there_are_cases_to_run() -> None:
    assert {"test_basic", "test_queue_join", "test_queue_task_done", "test_nowait"} <= set(CASES)
