"""Barriers that tasks of event loops and threads wait at together."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from conformance.loops import cancelled, eventually, in_loop, perhaps, run, settle, start
from conformance.watchdog import Task

Kit = Any
Broken = threading.BrokenBarrierError


def test_tasks_and_threads_pass_a_barrier_together(kit: Kit) -> None:
    b = kit.Barrier(5)
    rounds = 30

    async def wait() -> list[list[int]]:
        async def one() -> list[int]:
            return [await b.await_() for _ in range(rounds)]

        return list(await asyncio.gather(one(), one()))

    def wait_here() -> list[int]:
        return [b.wait(60) for _ in range(rounds)]

    loops, thread = [in_loop(wait), in_loop(wait)], Task(wait_here)
    indices = [each for loop in loops for each in loop.result()] + [thread.result()]
    for turn in zip(*indices, strict=True):
        assert sorted(turn) == [0, 1, 2, 3, 4]
    assert b.n_waiting == 0


def test_one_of_them_calls_the_action_before_any_returns(kit: Kit) -> None:
    called: list[int] = []
    b = kit.Barrier(3, lambda: called.append(b.n_waiting))

    async def main() -> None:
        async def one() -> int:
            await b.await_()
            return len(called)

        assert await asyncio.gather(one(), one(), one()) == [1, 1, 1]
        thread = Task(b.wait, 60)
        assert await asyncio.gather(one(), one()) == [2, 2]
        thread.result()

    run(main)


def test_the_loop_goes_on_while_a_thread_runs_the_action(kit: Kit) -> None:
    go, started = threading.Event(), threading.Event()
    b = kit.Barrier(2, lambda: started.set() or go.wait(60))

    async def main() -> None:
        (task,) = start([b.await_(60)])
        await eventually(lambda: b.n_waiting == 1)
        thread = Task(b.wait, 60)
        await eventually(started.is_set)
        (late,) = start([b.await_(60)])
        await settle()
        assert not task.done() and not late.done()
        go.set()
        await asyncio.wait([task])
        await eventually(lambda: b.n_waiting == 1)
        assert not late.done()
        thread.result()
        await asyncio.gather(late, b.await_(60))

    run(main)


def test_a_timeout_breaks_it_for_all(kit: Kit) -> None:
    b = kit.Barrier(4)

    async def main() -> None:
        tasks, thread = start([b.await_()]), Task(b.wait)
        await eventually(lambda: b.n_waiting == 2)
        with pytest.raises(Broken):
            await b.await_(0.02)
        with pytest.raises(Broken):
            await tasks[0]
        with pytest.raises(Broken):
            thread.result()
        with pytest.raises(Broken):
            await b.await_()
        b.reset()
        assert not b.broken

    run(main)


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_abort_and_reset_free_tasks_that_wait(kit: Kit, how: str) -> None:
    b = kit.Barrier(3)

    async def main() -> None:
        tasks = start([b.await_(), b.await_()])
        await eventually(lambda: b.n_waiting == 2)
        await asyncio.to_thread(getattr(b, how))
        assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [Broken, Broken]
        assert b.broken is (how == "abort")
        b.reset()
        assert sorted(await asyncio.gather(*(b.await_() for _ in range(3)))) == [0, 1, 2]

    run(main)


def test_an_action_that_fails_breaks_it(kit: Kit) -> None:
    def fail() -> None:
        raise LookupError

    b = kit.Barrier(2, fail)

    async def main() -> None:
        (task,) = start([b.await_()])
        await eventually(lambda: b.n_waiting == 1)
        with pytest.raises(LookupError):
            await b.await_()
        with pytest.raises(Broken):
            await task
        assert b.broken

    run(main)


def test_a_cancelled_task_has_not_come(kit: Kit) -> None:
    b = kit.Barrier(3)

    async def main() -> None:
        tasks = start(b.await_() for _ in range(2))
        await eventually(lambda: b.n_waiting == 2)
        assert await cancelled(tasks[0])
        await eventually(lambda: b.n_waiting == 1)
        assert not tasks[1].done()
        rest = await asyncio.gather(tasks[1], b.await_(), b.await_())
        assert sorted(rest) == [0, 1, 2]
        assert not b.broken

    run(main)


def test_parties_that_come_and_go_never_pass_alone(kit: Kit) -> None:
    acted: list[int] = []
    b, passed = kit.Barrier(3, lambda: acted.append(1)), []

    async def main() -> None:
        async def one(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(30):
                if (mine := await perhaps(chance, b.await_, None)) is not None:
                    passed.append(mine)

        await asyncio.gather(*(one(seed) for seed in range(9)))
        assert b.n_waiting == 0
        assert sorted(await asyncio.gather(*(b.await_() for _ in range(3)))) == [0, 1, 2]

    run(main)
    assert not b.broken
    assert len(passed) <= 3 * (len(acted) - 1)
    assert all(passed.count(mine) <= len(acted) - 1 for mine in range(3))
