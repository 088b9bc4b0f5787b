"""Functions that child processes of the tests run. They are importable: `spawn` and `forkserver` find them by name."""

from __future__ import annotations

import os
from contextlib import closing
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
    """Return the items up to the first None; each item is as `produce` made it."""
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


def change_all(kinds: list[str], *handles: Any) -> list[Any]:
    return [change(kind, handle) for kind, handle in zip(kinds, handles, strict=True)]


def change_what_comes(kind: str, queue: Any) -> Any:
    with closing(queue.get()) as handle:
        return change(kind, handle)


def change_all_that_come(kinds: list[str], queue: Any) -> list[Any]:
    return [change_what_comes(kind, queue) for kind in kinds]


def keep_from_initializer(handles: dict[str, Any]) -> None:
    end_by_alarm()
    _from_initializer.update(handles)


def change_from_initializer(kind: str) -> Any:
    return change(kind, _from_initializer[kind])


def hold(handle: Any, ready: Any, go: Any) -> tuple[int, ...]:
    """Use the handle, report that this process is attached, and keep the handle until `go` has an item."""
    handle.statistics()
    ready.put(os.getpid())
    go.get()
    attached: tuple[int, ...] = handle.statistics().attached
    return attached


def count_under(lock: Any, number: Any, times: int) -> None:
    """Add to a number of several bytes that has no lock of its own, in two steps."""
    for _ in range(times):
        with lock:
            seen = number.value
            number.value = seen + 1


def count_under_twice(lock: Any, number: Any, times: int) -> None:
    for _ in range(times):
        with lock, lock:
            seen = number.value
            number.value = seen + 1


def try_to_take(lock: Any) -> tuple[bool, bool]:
    """Try to take a lock that another process holds: at once, and for 0.05 s."""
    return lock.acquire(False), lock.acquire(timeout=0.05)


def ends_of(rw: Any) -> list[bool]:
    """For each way to end a read or a write: whether this process, which neither reads nor writes, may call it."""
    ended = []
    for end in (rw.release_read, rw.release_write, rw.reader.release, rw.writer.release):
        try:
            end()
            ended.append(True)
        except sk.NotLockedError:
            ended.append(False)
    return ended


def take_and_keep(lock: Any, held: Any, go: Any) -> None:
    lock.acquire()
    held.put("held")
    go.get()
    lock.release()


def crowd(semaphore: Any, inside: Any, times: int) -> int:
    """Return the largest number of processes seen inside at once, this one included."""
    most = 0
    for _ in range(times):
        with semaphore:
            most = max(most, inside.add(1))
            inside.add(-1)
    return most


def wait_for(event: Any, waiting: Any) -> bool:
    waiting.add(1)
    came: bool = event.wait(60)
    return came


def set_it(event: Any) -> None:
    event.set()


def take_turns(condition: Any, turn: Any, mine: int, players: int, times: int) -> int:
    """Wait for this player's turn and pass it on, `times` times; return the number of turns it had."""
    had = 0
    with condition:
        for _ in range(times):
            while turn.value % players != mine:
                assert condition.wait(60)
            turn.value += 1
            had += 1
            condition.notify_all()
    return had


def pass_often(barrier: Any, came: Any, parties: int, times: int) -> list[int]:
    indices = []
    for turn in range(times):
        came.add(1)
        indices.append(barrier.wait(60))
        assert came.value >= parties * (turn + 1), "a party passed before all had come"
    return indices


def write_pairs(rw: Any, first: Any, second: Any, times: int) -> None:
    for _ in range(times):
        with rw.writer:
            first.value += 1
            second.value += 1


def read_pairs(rw: Any, first: Any, second: Any, times: int) -> int:
    """Return how many reads saw half of a write."""
    torn = 0
    for _ in range(times):
        with rw.reader:
            torn += first.value != second.value
    return torn


def double_all(jobs: Any, out: Any) -> None:
    """Put twice the value of each item until the jobs are shut down."""
    for item in jobs:
        out.put(2 * item)


def insert_all(members: Any, count: int) -> list[int]:
    return [n for n in range(count) if members.insert(n)]


def add_to_value(value: Any, times: int) -> None:
    for _ in range(times):
        with value.get_lock():
            value.value += 1


def try_lock_of_value(value: Any) -> bool:
    if not value.acquire(False):
        return False
    value.release()
    return True
