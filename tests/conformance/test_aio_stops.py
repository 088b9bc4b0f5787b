"""Loops that stop or close when something has come for a task of theirs, and before the task has seen it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from conformance.loops import Left
from conformance.watchdog import Task

Kit = Any
CONDITIONS: dict[str, Callable[[Kit], Any]] = {
    "RLock": lambda kit: kit.Condition(),
    "Lock": lambda kit: kit.Condition(kit.Lock()),
}
each_condition = pytest.mark.parametrize("lock", CONDITIONS)


async def _in_block(c: Any) -> None:
    async with c:
        await c.await_()


async def _in_two_blocks(c: Any) -> None:
    async with c, c:
        await c.await_()


async def _until_released(c: Any) -> None:
    await c.aacquire()
    try:
        await c.await_()
    finally:
        c.release()


def _waits(c: Any) -> bool:
    return bool(c.statistics().waiting == 1)


@each_condition
@pytest.mark.parametrize("wait", [_in_block, _in_two_blocks, _until_released])
@pytest.mark.parametrize("told", [False, True])
def test_a_condition_whose_loop_was_closed_frees_nobodys_lock(
    kit: Kit, lock: str, wait: Callable[[Any], Any], told: bool
) -> None:
    """Its task is collected while somebody else holds the lock that its blocks would release, and after it was told."""
    if wait is _in_two_blocks and lock == "Lock":
        pytest.skip("a Lock is not taken twice")
    c = CONDITIONS[lock](kit)
    left = Left(False, wait(c), ready=lambda: _waits(c))
    with c:
        if told:
            c.notify()
            left.run_until(lambda: c.statistics().lock.waiting == 1)
        left.loop.close()
        left.tasks.clear()
        del left
        gc.collect()
        c.notify()  # RuntimeError without the lock
        assert Task(c.acquire, False).result() is False
        gc.collect()
    assert Task(c.acquire, timeout=60).result() is True


@each_condition
@pytest.mark.parametrize("how", ["notify", "notify_all"])
def test_a_condition_that_is_notified_between_two_runs_of_a_loop_wakes_who_waits_there(
    kit: Kit, lock: str, how: str
) -> None:
    c = CONDITIONS[lock](kit)
    flags: list[str] = []

    async def wait() -> list[str]:
        async with c:
            flags_then: list[str] = await c.await_for(lambda: flags)
            c.notify(0)  # RuntimeError without the lock
            return flags_then

    left = Left(False, wait(), ready=lambda: _waits(c))
    with c:
        flags.append("so it is")
        getattr(c, how)()
    assert left.go_on() == [["so it is"]]
    left.end()
    assert c.acquire(timeout=60) is True
    assert c.statistics().waiting == c.statistics().notified == 0
    c.release()
