"""Programs as users write them. mypy --strict checks their types, and a test runs this file."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import sharedkit as sk
from sharedkit import protocols
from sharedkit.statistics import ArrayStatistics, CountersStatistics, CounterStatistics, QueueStatistics


def counters() -> None:
    with sk.Counter(5, striped=False) as hits:
        assert_type(hits, sk.Counter)
        assert_type(hits.value, int)
        assert_type(hits.reset(), int)
        assert_type(hits.compare_exchange(0, 1), bool)
        assert_type(hits.statistics(), CounterStatistics)
        hits += 3
        hits -= 1
        hits.value = 7
        assert int(hits) == 7
    with sk.Counters(["ok", "failed"]) as group:
        assert_type(group.add("ok"), int)
        assert_type(group.as_dict(), dict[str, int])
        assert_type(group.statistics(), CountersStatistics)
        group["ok"] += 1
        group["failed"] = 4
        assert list(group) == ["ok", "failed"]


def queues() -> None:
    jobs: sk.Queue[tuple[str, int]] = sk.Queue(10)
    with jobs:
        jobs.put(("a", 1))
        jobs.put_many([("b", 2), ("c", 3)], timeout=1.5)
        assert_type(jobs.get(), tuple[str, int])
        assert_type(jobs.get_many(5), list[tuple[str, int]])
        assert_type(jobs.qsize(), int)
        assert_type(jobs.is_shutdown, bool)
        assert_type(jobs.statistics(), QueueStatistics)
        jobs.shutdown(immediate=True)


def arrays() -> None:
    with sk.Array((2, 3), np.float32) as grid:
        assert_type(grid.shape, tuple[int, ...])
        view: NDArray[Any] = grid.ndarray
        view[0, 0] = 2
        grid[0, 1] = 3.5
        grid.add_at(([0, 1], [0, 0]), 1)
        assert_type(grid.compare_exchange((0, 0), 3, 1), bool)
        assert_type(grid.statistics(), ArrayStatistics)
        with grid.lock:
            grid.fetch_add((1, 2), 1)
        assert float(np.asarray(grid).sum()) == 6.5


def work(todo: protocols.Queue[int], done: protocols.Counter, results: protocols.Array) -> None:
    """A function that takes structures of any placement is annotated with the protocols."""
    for item in todo.get_many():
        results[item] = item * item
        done.add(1)
        todo.task_done()
    todo.join()


def placements() -> None:
    for method in ("thread", "shm"):
        context = sk.get_context(method)
        todo: protocols.Queue[int] = context.Queue()
        with todo, context.Counter() as done, context.Array(4, "i8") as results:
            todo.put_many(range(4))
            work(todo, done, results)
            assert done.value == 4
            assert list(results) == [0, 1, 4, 9]
            again = context.attach(done.name)
            again.close()
    with sk.Queue[int]() as todo_here, sk.Counter() as done_here, sk.Array(2) as results_here:
        todo_here.put(1)
        work(todo_here, done_here, results_here)


def executors() -> None:
    def double(x: int) -> int:
        return 2 * x

    for context in (sk.get_context("thread"), sk.get_context("manager")):
        with context.Executor(2) as executor:
            future = executor.submit(double, 1)
            ended: bool = future.cancel(running=True) or executor.options().submit(double, 2).cancel(running=True)
            assert isinstance(ended, bool)
    with sk.get_context("manager") as served:
        assert served.address is not None
        served.Executor(2, name="pool", exist_ok=True).close()


def main() -> None:
    counters()
    queues()
    arrays()
    placements()
    executors()


if __name__ == "__main__":
    main()
