"""Loops that stop or close after a task of theirs was notified, and before the task polls."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conformance.loops import Left, in_loop
from conformance.watchdog import Task, until

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
def test_a_condition_wait_of_a_closed_loop_does_not_release_a_lock_that_another_holds(
    kit: Kit, lock: str, wait: Callable[[Any], Any], told: bool
) -> None:
    """The waiting task is collected while another thread holds the lock that the task's block would release."""
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
        c.notify()  # RuntimeError if this thread does not hold the lock
        assert Task(c.acquire, False).result() is False
        gc.collect()
    assert Task(c.acquire, timeout=60).result() is True


@each_condition
@pytest.mark.parametrize("how", ["notify", "notify_all"])
def test_a_condition_that_is_notified_between_two_runs_of_a_loop_wakes_its_task(kit: Kit, lock: str, how: str) -> None:
    c = CONDITIONS[lock](kit)
    flags: list[str] = []

    async def wait() -> list[str]:
        async with c:
            flags_then: list[str] = await c.await_for(lambda: flags)
            c.notify(0)  # RuntimeError if this task does not hold the lock
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


# A task is notified while its loop runs; the loop stops before the task polls, and is then closed or not.


@dataclass
class Thing:
    """Something to wait for: how a task waits, how a thread waits, how many wait (None: not counted), and how to
    end one wait."""

    wait: Callable[[], Any]
    wait_here: Callable[[], Any]
    waiting: Callable[[], int | None]
    give: Callable[[], Any]


def _item(kit: Kit) -> Thing:
    q = kit.Queue()
    return Thing(q.aget, q.get, lambda: q.statistics().waiting_getters, lambda: q.put("it"))


def _room(kit: Kit) -> Thing:
    q = kit.Queue(1)
    q.put("first")
    return Thing(lambda: q.aput("left"), lambda: q.put("it"), lambda: q.statistics().waiting_putters, q.get)


def _permit(kit: Kit) -> Thing:
    s = kit.Semaphore(0)
    return Thing(s.aacquire, s.acquire, lambda: s.statistics().waiting, s.release)


def _lock(kit: Kit) -> Thing:
    lock = kit.Lock()
    lock.acquire()
    return Thing(lock.aacquire, lock.acquire, lambda: lock.statistics().waiting, lock.release)


def _writing(kit: Kit) -> Thing:
    rw = kit.RWLock()
    rw.acquire_write()
    return Thing(rw.aacquire_write, rw.acquire_write, lambda: rw.statistics().waiting_writers, rw.release_write)


def _notice(kit: Kit) -> Thing:
    c = kit.Condition(kit.Lock())

    async def wait() -> bool:
        async with c:
            return bool(await c.await_())

    def wait_here() -> bool:
        with c:
            return bool(c.wait())

    def give() -> None:
        with c:
            c.notify()

    return Thing(wait, wait_here, lambda: c.statistics().waiting, give)


@pytest.mark.parametrize("make", [_item, _room, _permit, _lock, _writing, _notice])
@pytest.mark.parametrize("behind", ["a thread", "a loop"])
@pytest.mark.parametrize("closed", [False, True], ids=["ended", "closed"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tasks that never ended
def test_what_a_task_of_a_stopped_loop_was_notified_of_goes_to_the_next_waiter(
    kit: Kit, make: Callable[[Kit], Thing], behind: str, closed: bool
) -> None:
    if make is _room and kit.context.method == "redis":
        pytest.skip("an item that waits for room lies in the server, which puts it in any case")
    if make is _writing and kit.context.method == "shm" and closed:
        pytest.skip("a writer that a closed loop left behind stays until it is collected")
    thing = make(kit)
    while True:
        left = Left(False, thing.wait(), ready=lambda: thing.waiting() in (None, 1))
        other = Task(thing.wait_here) if behind == "a thread" else in_loop(thing.wait)
        left.run_until(lambda left=left: thing.waiting() in (None, 2) or left.tasks[0].done(), may_end=True)
        if not left.tasks[0].done():
            break
        left.end()  # too slow: a condition ends a wait whose loop has not run for long, as if notified
        until(lambda: thing.waiting() in (None, 1))
        thing.give()
        other.result()

    async def give() -> None:
        """Keep the loop busy until its task, or the other waiter, has been woken."""
        thing.give()
        until(lambda: bool(left.loop._ready) or other.done)  # type: ignore[attr-defined]

    left.loop.run_until_complete(give())
    if left.tasks[0].done():  # it was about to poll in any case and got it: give once more
        thing.give()
    if closed:
        left.loop.close()
        left.tasks.clear()
        gc.collect()
    other.result()
    left.end()


def test_a_task_that_passed_a_barrier_while_its_loop_did_not_run_returns_from_that_round(kit: Kit) -> None:
    barrier = kit.Barrier(2)
    mine: int | None = None
    while mine is None:
        left = Left(False, barrier.await_(), ready=lambda: barrier.n_waiting == 1)
        try:
            mine = barrier.wait(1)
        except threading.BrokenBarrierError:  # too slow: a task whose loop does not run has not come
            left.end()
            barrier.reset()
    next_round = [Task(barrier.wait), Task(barrier.wait)]
    assert sorted(task.result() for task in next_round) == [0, 1]
    assert sorted([mine, *left.go_on()]) == [0, 1]
    assert barrier.n_waiting == 0
    left.end()
