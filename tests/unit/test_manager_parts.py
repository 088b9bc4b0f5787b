"""A structure over another, with several sessions of one process: who holds what, and what outlives what."""

from __future__ import annotations

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until

import sharedkit as sk
from sharedkit.manager.placement import Placement
from sharedkit.manager.session import Link


@pytest.fixture(scope="module")
def ctx() -> Iterator[Any]:
    with sk.get_context("manager") as context:
        yield context


@pytest.fixture
def other(ctx: Any) -> Iterator[Any]:
    """Another client, which ends without a word."""
    placement = Placement(Link(ctx.address, None))
    yield placement
    placement.link().close()


def _wait(condition: Any) -> Any:
    condition.acquire()
    return condition.wait()


@pytest.mark.parametrize("held", [True, False], ids=["while a third party has the lock", "while nobody has it"])
def test_who_closes_a_condition_in_which_it_waits_is_not_given_the_lock(ctx: Any, other: Any, held: bool) -> None:
    condition = ctx.Condition()
    theirs = other.attach(condition.name)
    waiter = Task(_wait, theirs)
    until(lambda: condition.statistics().waiting == 1)
    if held:
        condition.acquire()
    theirs.close()
    with pytest.raises(sk.ClosedError):
        waiter.result()
    if held:
        assert condition.statistics().lock.waiting == 0
        condition.release()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert condition.acquire(timeout=LIMIT)
    condition.release()


def test_a_waiter_on_its_way_back_whose_handle_is_closed_is_not_given_the_lock_either(ctx: Any, other: Any) -> None:
    condition = ctx.Condition()
    theirs = other.attach(condition.name)
    waiter = Task(_wait, theirs)
    until(lambda: condition.statistics().waiting == 1)
    with condition:
        condition.notify()
        until(lambda: condition.statistics().lock.waiting == 1)
        theirs.close()
        with pytest.raises(sk.ClosedError):
            waiter.result()
    assert not condition.lock.locked()


def test_a_notification_arrives_though_the_server_has_no_descriptor_left() -> None:
    with sk.get_context("manager") as context:
        ctx: Any = context
        pid, condition = ctx.server._process.pid, ctx.Condition()
        waiter = Task(_wait, condition)
        until(lambda: condition.statistics().waiting == 1)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
        with condition:
            condition.notify()
            assert condition.statistics().attached == (os.getpid(),)
        assert waiter.result() is True
