"""The meaning of timeouts in every placement. For each class a number means what it means in the class of the standard
library that it replaces; one rule says what counts as a number. The table is in docs/timeouts.md."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conformance.conftest import Kit
from conformance.loops import run
from conformance.watchdog import Task


class StandardLibrary:
    """The standard library's classes under the names that a placement uses."""

    Queue = queue.Queue

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


@dataclass(frozen=True)
class Case:
    """`make(placement)` returns a structure, and the test is about `call(structure, timeout)`. If the case `waits`, a
    call without a time limit does not return. `twin` is the awaitable twin of `call`."""

    make: Callable[[Any], Any]
    call: Callable[[Any, Any], Any]
    twin: Callable[[Any, Any], Any]
    waits: bool = False
    for_ever: tuple[float, ...] = ()


def held(cls: str) -> Callable[[Any], Any]:
    """Return a function that makes a lock held by a thread that has ended."""

    def make(placement: Any) -> Any:
        lock = getattr(placement, cls)()
        Task(lock.acquire).result()
        return lock

    return make


def with_lock(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def locked(condition: Any, timeout: Any) -> Any:
        with condition:
            return call(condition, timeout)

    return locked


def with_lock_in_task(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def locked(condition: Any, timeout: Any) -> Any:
        async with condition:
            return await call(condition, timeout)

    return locked


def set_event(placement: Any) -> Any:
    event = placement.Event()
    event.set()
    return event


def filled(placement: Any) -> Any:
    full = placement.Queue(1)
    full.put(1)
    return full


def broken(placement: Any) -> Any:
    barrier = placement.Barrier(2)
    barrier.abort()
    return barrier


LOCK = (lambda h, t: h.acquire(True, t), lambda h, t: h.aacquire(True, t))
LOCK_NOW = (lambda h, t: h.acquire(False, t), lambda h, t: h.aacquire(False, t))
WAIT = (lambda h, t: h.wait(t), lambda h, t: h.await_(t))
GET = (lambda h, t: h.get(True, t), lambda h, t: h.aget(True, t))
GET_NOW = (lambda h, t: h.get(False, t), lambda h, t: h.aget(False, t))
PUT = (lambda h, t: h.put(2, True, t), lambda h, t: h.aput(2, True, t))
PUT_NOW = (lambda h, t: h.put(2, False, t), lambda h, t: h.aput(2, False, t))

CASES = {
    "a free Lock": Case(lambda p: p.Lock(), *LOCK),
    "a free Lock, without waiting": Case(lambda p: p.Lock(), *LOCK_NOW),
    "a held Lock": Case(held("Lock"), *LOCK, waits=True, for_ever=(-1,)),
    "a held Lock, without waiting": Case(held("Lock"), *LOCK_NOW),
    "a free RLock": Case(lambda p: p.RLock(), *LOCK),
    "a free RLock, without waiting": Case(lambda p: p.RLock(), *LOCK_NOW),
    "a held RLock": Case(held("RLock"), *LOCK, waits=True, for_ever=(-1,)),
    "a held RLock, without waiting": Case(held("RLock"), *LOCK_NOW),
    "a free permit": Case(lambda p: p.Semaphore(1), *LOCK),
    "a free permit, without waiting": Case(lambda p: p.Semaphore(1), *LOCK_NOW),
    "no permit": Case(lambda p: p.Semaphore(0), *LOCK, waits=True),
    "no permit, without waiting": Case(lambda p: p.Semaphore(0), *LOCK_NOW),
    "a free permit of a bounded one": Case(lambda p: p.BoundedSemaphore(1), *LOCK),
    "no permit of a bounded one": Case(lambda p: p.BoundedSemaphore(0), *LOCK, waits=True),
    "no permit of a bounded one, without waiting": Case(lambda p: p.BoundedSemaphore(0), *LOCK_NOW),
    "an Event that is set": Case(set_event, *WAIT),
    "an Event": Case(lambda p: p.Event(), *WAIT, waits=True),
    "a Condition": Case(
        lambda p: p.Condition(),
        with_lock(lambda h, t: h.wait(t)),
        with_lock_in_task(lambda h, t: h.await_(t)),
        waits=True,
    ),
    "a Condition's lock": Case(lambda p: p.Condition(), *LOCK),
    "a predicate that holds": Case(
        lambda p: p.Condition(),
        with_lock(lambda h, t: h.wait_for(lambda: "so", t)),
        with_lock_in_task(lambda h, t: h.await_for(lambda: "so", t)),
    ),
    "a predicate that does not hold": Case(
        lambda p: p.Condition(),
        with_lock(lambda h, t: h.wait_for(lambda: 0, t)),
        with_lock_in_task(lambda h, t: h.await_for(lambda: 0, t)),
        waits=True,
    ),
    "a Barrier of one": Case(lambda p: p.Barrier(1), *WAIT),
    "a Barrier of two": Case(lambda p: p.Barrier(2), *WAIT, waits=True),
    "a broken Barrier": Case(broken, *WAIT),
    "an item": Case(filled, *GET),
    "an item, without waiting": Case(filled, *GET_NOW),
    "no item": Case(lambda p: p.Queue(1), *GET, waits=True),
    "no item, without waiting": Case(lambda p: p.Queue(1), *GET_NOW),
    "room": Case(lambda p: p.Queue(1), *PUT),
    "room, without waiting": Case(lambda p: p.Queue(1), *PUT_NOW),
    "no room": Case(filled, *PUT, waits=True),
    "no room, without waiting": Case(filled, *PUT_NOW),
    "room without a bound": Case(lambda p: p.Queue(), *PUT),
}
OURS_ALONE = {
    "reading": Case(lambda p: p.RWLock(), lambda h, t: h.acquire_read(True, t), lambda h, t: h.aacquire_read(True, t)),
    "writing": Case(
        lambda p: p.RWLock(), lambda h, t: h.acquire_write(True, t), lambda h, t: h.aacquire_write(True, t)
    ),
    "reading, by the side": Case(
        lambda p: p.RWLock(), lambda h, t: h.reader.acquire(True, t), lambda h, t: h.reader.aacquire(True, t)
    ),
    "items": Case(filled, lambda h, t: h.get_many(timeout=t), lambda h, t: h.aget_many(timeout=t)),
    "no items": Case(
        lambda p: p.Queue(), lambda h, t: h.get_many(timeout=t), lambda h, t: h.aget_many(timeout=t), waits=True
    ),
    "room for items": Case(
        lambda p: p.Queue(3), lambda h, t: h.put_many([1, 2], timeout=t), lambda h, t: h.aput_many([1, 2], timeout=t)
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_of_all = pytest.mark.parametrize(
    "case", [*CASES.values(), *OURS_ALONE.values()], ids=[*CASES.keys(), *OURS_ALONE.keys()]
)

FAR = threading.TIMEOUT_MAX + 1e3
TIMES: tuple[float, ...] = (
    -1,
    -1.0,
    -2,
    -0.5,
    -1e-9,
    -0.0,
    0,
    0.01,
    False,
    5e8,
    FAR,
    1e100,
    math.inf,
    -math.inf,
)
SOON: tuple[float, ...] = (-0.001, 0.0, 0.01)


class Seconds:
    """A real number of a class that Python does not know."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __float__(self) -> float:
        return self.number


class Whole:
    def __index__(self) -> int:
        return 0


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """The result, or the standard library's type of the exception."""
    try:
        return call(*args)
    except Exception as why:
        return next(kind for kind in type(why).__mro__ if not kind.__module__.startswith("sharedkit"))


def returns(case: Case, timeout: float) -> bool:
    """Whether a call with this timeout certainly returns soon."""
    if not case.waits:
        return True
    if case.for_ever:
        return timeout not in case.for_ever and not 1 < timeout < FAR
    return not 1 < timeout < FAR


@each_case
def test_a_number_means_what_it_means_in_the_standard_library(kit: Kit, case: Case) -> None:
    for timeout in TIMES:
        if not returns(case, timeout):
            continue
        expected = outcome(case.call, case.make(StandardLibrary()), timeout)
        found = outcome(case.call, case.make(kit), timeout)
        assert (type(found), found) == (type(expected), expected), timeout


@each_of_all
def test_a_number_means_the_same_to_the_awaitable_twin(kit: Kit, case: Case) -> None:
    for timeout in TIMES:
        if not returns(case, timeout):
            continue
        expected = outcome(case.call, case.make(kit), timeout)
        assert outcome(run, twin, case, kit, timeout) == expected, timeout


async def twin(case: Case, kit: Kit, timeout: Any) -> Any:
    return await case.twin(case.make(kit), timeout)


@each_of_all
def test_any_real_number_is_a_timeout(kit: Kit, case: Case) -> None:
    for soon in SOON:
        expected = outcome(case.call, case.make(kit), soon)
        for number in (
            Decimal(soon),
            Fraction(soon),
            np.float32(soon),
            np.float64(soon),
            np.array(soon),
            Seconds(soon),
        ):
            assert outcome(case.call, case.make(kit), number) == expected, number
    expected = outcome(case.call, case.make(kit), 0)
    for zero in (np.int64(0), np.uint8(0), Whole(), False, Decimal(0), Fraction(0)):
        assert outcome(case.call, case.make(kit), zero) == expected, zero


LOOKED_AT = [name for name in (*CASES, *OURS_ALONE) if "item, without" not in name and "room, without" not in name]
each_that_looks = pytest.mark.parametrize("case", [(CASES | OURS_ALONE)[name] for name in LOOKED_AT], ids=LOOKED_AT)


@each_that_looks
def test_a_timeout_that_is_no_number_is_refused_before_anything_waits(kit: Kit, case: Case) -> None:
    if case.call is PUT[0] and case.make(kit).maxsize == 0:
        pytest.skip("a queue without a bound does not look at the timeout, as queue.Queue does not")
    no_numbers: list[Any] = [
        *("1", b"1", "", 1j, [1], object(), timedelta(seconds=1), np.str_("1"), np.bytes_(b"1"), np.complex128(1)),
        *(np.timedelta64(1, "s"), np.array([0.0]), np.array("1"), np.void(b"1")),
    ]
    for value in no_numbers:
        refusals = (TypeError, ValueError) if case.call is LOCK_NOW[0] else TypeError
        with pytest.raises(refusals):
            case.call(case.make(kit), value)
    for value in (math.nan, Decimal("NaN"), np.float32("nan"), Seconds(math.nan)):
        with pytest.raises(ValueError, match=r"NaN|timeout"):
            case.call(case.make(kit), value)


def test_a_refused_timeout_changes_nothing(kit: Kit) -> None:
    jobs = kit.Queue(2)
    for wrong in ("1", math.nan, -1):
        with pytest.raises((TypeError, ValueError)):
            jobs.put_many([1, 2, 3], timeout=wrong)
        with pytest.raises((TypeError, ValueError)):
            jobs.put(1, timeout=wrong)
    with pytest.raises(OverflowError, match="TIMEOUT_MAX"):
        jobs.put_many([1, 2, 3], timeout=math.inf)
    assert jobs.empty()
    jobs.put(7)
    for wrong in ("1", math.nan, -1):
        with pytest.raises((TypeError, ValueError)):
            jobs.get(timeout=wrong)
    assert jobs.qsize() == 1
    barrier = kit.Barrier(2)
    with pytest.raises(OverflowError):
        barrier.wait(math.inf)
    assert (barrier.n_waiting, barrier.broken) == (0, False)


def test_none_means_for_ever_for_locks_too_and_may_come_with_block_false(kit: Kit) -> None:
    """multiprocessing's locks accept None, too; those of threading refuse it."""
    for make in (kit.Lock, kit.RLock, kit.Condition):
        assert make().acquire(True, None)
        assert make().acquire(block=True, timeout=None)
        assert make().acquire(False, None)
    assert kit.RWLock().acquire_write(True, None)


def test_a_barrier_takes_the_same_numbers_when_it_is_made(kit: Kit) -> None:
    for timeout in (-1, 0, Decimal("0.01"), Fraction(1, 100), np.float32(0.01)):
        with pytest.raises(threading.BrokenBarrierError):
            kit.Barrier(2, timeout=timeout).wait()
    with pytest.raises(TypeError):
        kit.Barrier(2, timeout="1")
    with pytest.raises(ValueError):
        kit.Barrier(2, timeout=math.nan)


def test_the_error_of_a_queue_says_what_to_do_about_a_passed_deadline(kit: Kit) -> None:
    with pytest.raises(ValueError, match=r"non-negative number: -0.5; max\(0, timeout\)"):
        kit.Queue().get(timeout=-0.5)
