"""A task gets its turn although threads want the same thing all the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance.loops import eventually, run
from conformance.watchdog import Task

Kit = Any
LOCKS: dict[str, Callable[[Kit], Any]] = {
    "Lock": lambda kit: kit.Lock(),
    "RLock": lambda kit: kit.RLock(),
    "Condition": lambda kit: kit.Condition(),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", LOCKS)
def test_a_task_gets_a_lock_that_threads_take_again_as_soon_as_they_release_it(
    kit: Kit, kind: str, threads: int
) -> None:
    lock, over = LOCKS[kind](kit), list[bool]()
    taken = lost = 0

    def take_it_all_the_time() -> None:
        nonlocal taken
        while not over:
            with lock:
                taken += 1
                time.sleep(0.001)  # so that another thread waits for the lock whenever it is released

    async def main() -> None:
        nonlocal lost
        for _ in range(10):
            before = taken
            await eventually(lambda: taken > before + 1)  # noqa: B023
            before = taken
            async with lock:
                lost += taken - before

    others = [Task(take_it_all_the_time) for _ in range(threads)]
    try:
        run(main)
    finally:
        over.append(True)
    for each in others:
        each.result()
    assert lost < 1000  # over ten rounds; by luck alone a task would lose about that many in each round
    assert lock.acquire(timeout=60) is True
    lock.release()
