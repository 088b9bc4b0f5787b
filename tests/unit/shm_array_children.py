"""Functions that child processes of the array tests run, and how these are started and watched.

They have a module of their own, because the children of `spawn` and `forkserver` import them by name.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

LIMIT = 60.0


def _guarded(target: Callable[..., None], args: tuple[Any, ...]) -> None:
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    target(*args)


def start(method: str, target: Callable[..., None], *args: Any) -> Any:
    """Start a process that ends after LIMIT seconds at the latest."""
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=_guarded, args=(target, args), daemon=True)
    process.start()
    return process


def finish(*processes: Any) -> None:
    """Wait for the processes and check that each has exit code 0."""
    try:
        for process in processes:
            process.join(LIMIT)
            assert process.exitcode == 0, f"the child ended with {process.exitcode}"
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
            process.join()


def add_one_by_one(array: Any, times: int) -> None:
    for i in range(times):
        array.fetch_add(i % len(array), 1)


def add_many(array: Any, indices: Any, rounds: int) -> None:
    for _ in range(rounds):
        array.add_at(indices, 1)


def step_by_compare_exchange(array: Any, times: int) -> None:
    done = 0
    while done < times:
        seen = int(array[0])
        done += array.compare_exchange(0, seen, seen + 1)


def increment_under_lock(array: Any, times: int) -> None:
    view = array.ndarray
    for _ in range(times):
        with array.lock:
            seen = int(view[0])
            view[1] += 1
            view[0] = seen + 1


def increment_under_a_lock_of_its_own(lock: Any, array: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            array[0] = array[0] + 1


def check_and_fill(array: Any, told: Any, value: Any) -> None:
    assert array.shape == told.shape
    assert array.dtype == told.dtype
    assert np.array_equal(array.ndarray, told)
    array[...] = value


def fill(array: Any, value: Any) -> int:
    array[...] = value
    return os.getpid()


def take_and_tell(lock: Any, ready: Any, go_on: Any) -> None:
    """Take the lock, report that, and release it when told to."""
    lock.acquire()
    ready.send(os.getpid())
    go_on.recv()
    lock.release()
    ready.send("released")


def take_and_die(lock: Any) -> None:
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_the_second_hand(lock: Any) -> None:
    warnings.simplefilter("ignore")
    lock.acquire()
    assert lock.owner_died
    os.kill(os.getpid(), signal.SIGKILL)


def release_it(lock: Any) -> None:
    lock.release()
