"""Functions that child processes of the tests of locks and semaphores run.

They have a module of their own, because the children of `spawn` and `forkserver` import them by name.
"""

from __future__ import annotations

import os
import signal
import warnings
from typing import Any


def hold(lock: Any, ready: Any, go_on: Any, times: int = 1) -> None:
    """Take it, report that, and give it back when told to."""
    warnings.simplefilter("ignore")
    for _ in range(times):
        assert lock.acquire()
    ready.send(os.getpid())
    go_on.recv()
    for _ in range(times):
        lock.release()
    ready.send("released")


def hold_and_die(lock: Any, times: int = 1) -> None:
    warnings.simplefilter("ignore")
    for _ in range(times):
        assert lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def hold_and_end(lock: Any, times: int) -> None:
    for _ in range(times):
        assert lock.acquire()


def wait_for_it(lock: Any) -> None:
    assert lock.acquire()
    lock.release()


def take_one(semaphore: Any, taken: Any) -> None:
    assert semaphore.acquire()
    taken.add()


def give(semaphore: Any, n: int) -> None:
    semaphore.release(n)


def increment(lock: Any, counts: Any, times: int) -> None:
    """Increment two plain numbers under the lock, which is taken twice if that is possible."""
    twice = hasattr(lock, "_is_owned")
    for _ in range(times):
        with lock:
            seen = int(counts[0])
            if twice:
                lock.acquire()
            counts[1] += 1
            if twice:
                lock.release()
            counts[0] = seen + 1


def hog(lock: Any, stop: Any) -> None:
    """Take the lock and release it again and again, without a pause."""
    while not stop.value:
        for _ in range(100):
            lock.acquire()
            lock.release()


def inside_at_most(semaphore: Any, inside: Any, bound: int, times: int) -> None:
    for _ in range(times):
        with semaphore:
            assert inside.add() <= bound
            inside.add(-1)
