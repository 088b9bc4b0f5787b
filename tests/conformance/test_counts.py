"""Arguments that count something: any object with an integer's value will do, and no number is too large to compare."""

from __future__ import annotations

import math
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conformance.watchdog import Task, until


class Three:
    def __index__(self) -> int:
        return 3


THREES = [3, np.int64(3), np.uint8(3), np.array(3), Three()]
PAST_ALL = [2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**70]


@pytest.mark.parametrize("three", THREES, ids=lambda n: type(n).__name__)
def test_any_object_with_an_index_is_a_count(context: Any, three: Any) -> None:
    with context.Queue(three, seats=three) as queue:
        queue.put_many("abc")
        assert queue.full() and queue.get_many(three) == ["a", "b", "c"]
    with context.Counter(three, seats=three) as counter, context.Dict(seats=three) as d:
        assert counter.value == 3 and len(d) == 0
    with context.Array(2, "i4", seats=three) as array:
        array.fetch_add(0, three)
        assert array[0] == 3
    for semaphore in (context.Semaphore(0), context.BoundedSemaphore(three)):
        for _ in range(semaphore.get_value()):
            semaphore.acquire()
        semaphore.release(three)
        assert semaphore.get_value() == 3
        semaphore.close()


@pytest.mark.parametrize("number", PAST_ALL)
def test_a_count_larger_than_the_structure_can_have_is_compared_correctly(context: Any, number: int) -> None:
    with context.Queue() as queue:
        queue.put_many("ab")
        assert queue.get_many(number) == ["a", "b"]
        with pytest.raises(ValueError, match="negative"):
            queue.get_many(-number)
    bounded, plain = context.BoundedSemaphore(1), context.Semaphore(1)
    bounded.acquire()
    with pytest.raises(ValueError, match="too many times"):  # as in threading
        bounded.release(number)
    with pytest.raises(OverflowError):
        plain.release(number)
    for semaphore in (bounded, plain):
        with pytest.raises(ValueError, match="one or more"):
            semaphore.release(-number)
        semaphore.close()
    assert bounded.closed


NUMBERS = [2, 1.5, 2.0, Decimal("1.5"), Fraction(3, 2), np.float32(1.1), np.int8(2), True, 2**70, math.inf]
NONE_AT_ALL = [0, -1, -0.5, -(2**70), -math.inf, math.nan]


@pytest.mark.parametrize("n", [*NUMBERS, *NONE_AT_ALL], ids=repr)
def test_notify_wakes_as_many_as_threading_does(context: Any, n: Any) -> None:
    def woken(condition: Any) -> int:
        asleep: list[int] = []

        def wait() -> None:
            with condition:
                asleep.append(1)
                condition.wait(60)

        def waiting() -> int:
            return len(condition._waiters) if ours is None else condition.statistics().waiting

        ours = None if isinstance(condition, threading.Condition) else condition
        tasks = [Task(wait) for _ in range(3)]
        until(lambda: len(asleep) == 3 and waiting() == 3)
        with condition:
            condition.notify(n)
            left = waiting()
            condition.notify_all()
        for task in tasks:
            task.result()
        return 3 - left

    condition = context.Condition()
    assert woken(condition) == woken(threading.Condition())
    condition.close()


@pytest.mark.parametrize("n", ["3", b"3", None, [3], (3,), 3j, np.array([3])], ids=repr)
def test_notify_with_something_that_is_no_number_wakes_no_waiter(context: Any, n: Any) -> None:
    condition = context.Condition()
    with condition, pytest.raises(TypeError):
        condition.notify(n)
    condition.close()


@pytest.mark.parametrize("n", ["3", b"3", None, [3], 3j], ids=repr)
def test_text_is_not_added_to_an_element(context: Any, n: Any) -> None:
    for dtype in ("f4", "f8", "i4"):
        with context.Array(2, dtype) as array:
            for call in (lambda a=array: a.fetch_add(0, n), lambda a=array: a.compare_exchange(0, n, 1)):
                with pytest.raises(TypeError):
                    call()
            assert array[:].tolist() == [0, 0]
