"""What the tests' children run: importable, because `spawn` and `forkserver` find them by name."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from conformance.kinds import BY_NAME
from conformance.watchdog import end_by_alarm

import sharedkit as sk

_from_initializer: dict[str, Any] = {}


def add_many(counter: Any, times: int) -> None:
    for _ in range(times):
        counter.add(1)


def add_by_assignment(counter: Any, times: int) -> None:
    for _ in range(times):
        counter += 1


def add_to_group(group: Any, times: int) -> None:
    for _ in range(times):
        group["a"] += 1
        group.add("b", 2)


def win_steps(counter: Any, times: int) -> int:
    won = 0
    for _ in range(times):
        seen = counter.value
        won += counter.compare_exchange(seen, seen + 1)
    return won


def produce(queue: Any, producer: int, count: int) -> None:
    for i in range(count):
        queue.put((producer, i, "x" * (i % 300)))


def produce_batches(queue: Any, producer: int, count: int) -> None:
    items = [(producer, i, "x" * (i % 300)) for i in range(count)]
    for start in range(0, count, 37):
        queue.put_many(items[start : start + 37])


def consume(queue: Any) -> list[tuple[int, int]]:
    """Take until None comes; each item is as `produce` made it."""
    out = []
    while (item := queue.get()) is not None:
        producer, i, filling = item
        assert filling == "x" * (i % 300)
        out.append((producer, i))
        queue.task_done()
    queue.task_done()
    return out


def consume_until_shutdown(queue: Any) -> int:
    taken = 0
    while True:
        try:
            queue.get()
        except sk.ShutDown:
            return taken
        taken += 1
        queue.task_done()


def add_to_elements(array: Any, times: int) -> None:
    indices = np.arange(40) % 4
    for i in range(times):
        array.fetch_add(i % 4, 1)
        array.add_at(indices, 1)


def add_under_lock(array: Any, times: int) -> None:
    for _ in range(times):
        with array.lock:
            array[0] = array[0] + 1
            array[1] = array[1] - 1


def fill(array: Any, value: int) -> tuple[Any, ...]:
    array[...] = value
    return array.shape, str(array.dtype), float(array.ndarray.sum())


def change(kind: str, handle: Any) -> Any:
    BY_NAME[kind].change(handle)
    return BY_NAME[kind].look(handle)


def change_what_comes(kind: str, queue: Any) -> Any:
    with queue.get() as handle:
        return change(kind, handle)


def change_all_that_come(kinds: list[str], queue: Any) -> list[Any]:
    return [change_what_comes(kind, queue) for kind in kinds]


def keep_from_initializer(handles: dict[str, Any]) -> None:
    end_by_alarm()
    _from_initializer.update(handles)


def change_from_initializer(kind: str) -> Any:
    return change(kind, _from_initializer[kind])


def hold(handle: Any, ready: Any, go: Any) -> tuple[int, ...]:
    """Say that the handle is here, and keep it until told to go on."""
    ready.put(os.getpid())
    go.get()
    attached: tuple[int, ...] = handle.statistics().attached
    return attached
