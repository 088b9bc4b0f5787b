"""CPython's own tests of `queue.Queue`, out of the running interpreter's test package, run on our queues.

Left out are those that look behind the face: FailingQueueTest overrides the private `_put` and `_get`.
"""

from __future__ import annotations

import queue
import types
import unittest
from typing import Any

import pytest

import sharedkit as sk

theirs: Any = pytest.importorskip("test.test_queue", reason="this interpreter ships no test package")

CASES = [name for name in dir(theirs.BaseQueueTestMixin) if name.startswith("test_")]


def _case(queue_class: type, name: str) -> unittest.TestCase:
    module = types.SimpleNamespace(Queue=queue_class, Full=queue.Full, Empty=queue.Empty, ShutDown=sk.ShutDown)
    case = type("OurQueueTest", (theirs.QueueTest, unittest.TestCase), {"queue": module})
    return case(name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CASES)
def test_cpythons_own_test_passes(context: Any, name: str) -> None:
    result = unittest.TestResult()
    _case(context.Queue, name).run(result)
    assert result.testsRun == 1
    assert not result.skipped
    for _, trace in result.errors + result.failures:
        pytest.fail(trace)


def test_there_are_cases_to_run() -> None:
    assert {"test_basic", "test_queue_join", "test_queue_task_done", "test_nowait"} <= set(CASES)
