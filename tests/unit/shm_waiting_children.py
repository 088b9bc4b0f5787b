"""Functions that child processes of the tests of Event, Barrier, Condition and RWLock run; starting and watching them.

They have a module of their own, because the children of `spawn` and `forkserver` import them by name.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

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


@contextlib.contextmanager
def crew(target: Callable[..., None], *args: Any, n: int, method: str = "fork") -> Iterator[list[Any]]:
    """n such processes; those that are still alive at the end of the block are killed."""
    processes = [start(method, target, *args) for _ in range(n)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def finish(*processes: Any) -> None:
    """Wait for the processes and check that each has exit code 0."""
    for process in processes:
        process.join(LIMIT)
        assert process.exitcode == 0, f"the child ended with {process.exitcode}"


def kill(*processes: Any) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    for process in processes:
        process.join(LIMIT)
        assert process.exitcode == -signal.SIGKILL


def until(true: Callable[[], Any]) -> None:
    """Return as soon as `true()` holds."""
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.0005)


@contextlib.contextmanager
def signalled_when(ready: Callable[[], Any], number: int = signal.SIGINT) -> Iterator[None]:
    """Send this process a signal as soon as `ready()`."""

    def send() -> None:
        until(ready)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    yield
    sender.join(LIMIT)
    assert not sender.is_alive()


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Run the call in a thread; return a function that waits for its result."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append((True, call()))
        except BaseException as why:
            results.append((False, why))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(LIMIT)
        assert results, "the thread never came back"
        fine, value = results[0]
        if not fine:
            raise value
        return value

    return result


# --- events -----------------------------------------------------------------------------------------------


def wait_and_say(event: Any, said: Any) -> None:
    assert event.wait() is True
    said.add()


def set_it(event: Any) -> None:
    event.set()


def set_by_name(name: str) -> None:
    import sharedkit

    with sharedkit.attach(name) as event:
        event.set()


# --- barriers ---------------------------------------------------------------------------------------------


def meet(barrier: Any, indices: Any, rounds: int) -> None:
    for _ in range(rounds):
        indices.add_at(barrier.wait(), 1)


def meet_until_broken(barrier: Any, indices: Any) -> None:
    with contextlib.suppress(threading.BrokenBarrierError):
        while True:
            indices.add_at(barrier.wait(), 1)


def meet_in_vain(barrier: Any) -> None:
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        return
    raise AssertionError("the barrier let us go")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_up(counter: Any) -> None:
    counter.add()


# --- conditions -------------------------------------------------------------------------------------------


def wait_once(condition: Any, said: Any) -> None:
    with condition:
        assert condition.wait() is True
        said.add()


def take_items(condition: Any, items: Any, taken: Any) -> None:
    """Take items one by one. Each of the two counts changes in one atomic step, `taken` last."""
    while True:
        with condition:
            while items[0] == 0:
                condition.wait()
            items[0] -= 1
        taken.add()


def notify_by_name(name: str) -> None:
    import sharedkit

    condition = sharedkit.attach(name)
    with condition:
        condition.notify_all()
    condition.close()


# --- readers and writers ----------------------------------------------------------------------------------


def read_and_write(lock: Any, pair: Any, times: int) -> None:
    """Write and read; a reader never sees the two numbers differ."""
    for i in range(times):
        if i % 4:
            with lock.reader:
                assert pair[0] == pair[1]
        else:
            with lock.writer:
                pair[0] += 1
                pair[1] += 1


def hold(lock: Any, side: str, holds: Any) -> None:
    """Take one side, and hold it until the process is killed."""
    getattr(lock, side).acquire()
    holds.add()
    signal.pause()


def take_once(lock: Any, side: str, done: Any) -> None:
    import warnings

    warnings.simplefilter("ignore")
    with getattr(lock, side):
        done.add()


def write_by_name(name: str) -> None:
    import sharedkit

    with sharedkit.attach(name) as lock, lock.writer:
        pass
