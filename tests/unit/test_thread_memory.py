"""A structure of the thread placement is memory of this process, without a file, descriptor or mapping of its own."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from sharedkit import get_context
from sharedkit.thread import Array, Barrier, BoundedSemaphore, Condition, Counter, Event, Lock, RLock, RWLock, Semaphore

MAKERS = [
    Lock,
    RLock,
    Semaphore,
    BoundedSemaphore,
    Condition,
    Event,
    RWLock,
    Counter,
    lambda: Barrier(2),
    lambda: Array(8),
    lambda: Counter(striped=True),
]


def look() -> tuple[tuple[int, int], list[str]]:
    """The numbers of descriptors and mappings of this process, and its mappings of shared memory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return (len(os.listdir("/proc/self/fd")), len(lines)), [each for each in lines if "/dev/shm" in each]


@pytest.mark.parametrize("make", MAKERS)
def test_ten_thousand_cost_no_descriptor_and_few_mappings(make: object) -> None:
    gc.collect()  # collecting leftovers of earlier tests closes descriptors
    before, shared = look()
    made = [make() for _ in range(10_000)]  # type: ignore[operator]
    after, shared_then = look()
    assert after[0] == before[0]
    assert after[1] < before[1] + 200
    assert shared_then == shared
    del made


def test_it_is_a_class_of_its_own_with_methods_of_its_own() -> None:
    """Python's fast path for method calls needs the class that defines the method."""
    for cls in (Lock, RLock, Semaphore, Event, Counter, Array):
        for name in ("acquire", "set", "add", "fetch_add"):
            if hasattr(cls, name):
                assert vars(cls)[name].__objclass__ is cls


def test_a_condition_takes_more_waiters_than_shared_memory_has_slots() -> None:
    condition = Condition()
    count = 1500
    told: list[bool] = []

    def wait() -> None:
        with condition:
            told.append(condition.wait(60))

    stack = threading.stack_size(64 * 1024)
    try:
        threads = [threading.Thread(target=wait) for _ in range(count)]
        for each in threads:
            each.start()
    finally:
        threading.stack_size(stack)
    while True:
        with condition:
            if condition.statistics().waiting == count:
                condition.notify_all()
                break
    for each in threads:
        each.join(60)
    assert told == [True] * count


def test_a_lock_copied_by_a_fork_is_held_as_before() -> None:
    thread = get_context("thread")
    free, held, counted = thread.Lock(), thread.Lock(), thread.Counter(5)
    held.acquire()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            counted.add(1)
            right = free.acquire(False), held.acquire(False), held.owner == os.getpid(), counted.value
            held.release()
            status = 0 if right == (True, False, True, 6) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert held.locked()
    assert counted.value == 5
