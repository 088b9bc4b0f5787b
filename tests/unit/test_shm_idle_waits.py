"""Waits of event loops that last: they cost nothing, and deaths and lost wake-ups are noticed all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from unit.shm_waiting_children import crew, kill, until

import sharedkit as sk
from sharedkit._core import watcher

T = TypeVar("T")
WATCHDOG = 60.0


def run(main: Coroutine[Any, Any, T]) -> T:
    async def guarded() -> T:
        async with asyncio.timeout(WATCHDOG):
            return await main

    return asyncio.run(guarded())


@pytest.fixture(params=["patrol", "no patrol", "polling"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whether one thread looks for deaths for all waits, or each wait looks for itself; and the watcher that polls."""
    watcher.stop()
    watcher.restart(polling=request.param == "polling", patrol=request.param != "no patrol")
    yield request.param
    watcher.stop()
    watcher.restart()


async def covered(way: str, n: int) -> None:
    """Return when n waits have lasted so long that they look for nothing any more, if this is how they wait."""
    while True:
        watched, quiet = watcher.counts()
        if watched == n and quiet == (0 if way == "no patrol" else n):
            return
        await asyncio.sleep(0.01)


def acquires(thing: Any, held: Any, leave: str, over: Any) -> None:
    thing.acquire()
    held.set()
    over.wait()
    _leave(thing, leave)


def reads(thing: Any, held: Any, leave: str, over: Any) -> None:
    thing.acquire_read()
    held.set()
    over.wait()
    _leave(thing, leave)


def writes(thing: Any, held: Any, leave: str, over: Any) -> None:
    thing.acquire_write()
    held.set()
    over.wait()
    _leave(thing, leave)


def arrives(thing: Any, held: Any, leave: str, over: Any) -> None:
    thread = threading.Thread(target=lambda: contextlib.suppress(Exception).__enter__() or thing.wait(), daemon=True)
    thread.start()
    until(lambda: thing.n_waiting > 0)
    held.set()
    over.wait()
    _leave(thing, leave)


def _leave(thing: Any, leave: str) -> None:
    if leave == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if leave == "exec":
        os.execlp("sleep", "sleep", "60")
    thing.close()
    time.sleep(WATCHDOG)


CASES: dict[str, tuple[Callable[[], Any], Callable[..., None], Callable[[Any], Awaitable[Any]]]] = {
    "Lock": (sk.Lock, acquires, lambda lock: lock.aacquire()),
    "RLock": (sk.RLock, acquires, lambda lock: lock.aacquire()),
    "BoundedSemaphore": (sk.BoundedSemaphore, acquires, lambda lock: lock.aacquire()),
    "reader": (sk.RWLock, writes, lambda lock: lock.aacquire_read()),
    "writer": (sk.RWLock, reads, lambda lock: lock.aacquire_write()),
    "Barrier": (lambda: sk.Barrier(3), arrives, lambda barrier: barrier.await_()),
}


@pytest.mark.parametrize("leave", ["kill", "exec", "close"])
@pytest.mark.parametrize("case", CASES)
def test_a_wait_ends_when_the_process_that_it_waits_for_leaves(way: str, case: str, leave: str) -> None:
    if case == "Barrier" and leave == "close":
        pytest.skip("a thread waits in the barrier, so its handle is not closed")
    make, child, wait = CASES[case]

    async def main() -> Any:
        thing, held, over = make(), sk.Event(), sk.Event()
        with crew(child, thing, held, leave, over, n=1):
            await held.await_()
            task = asyncio.ensure_future(wait(thing))
            await covered(way, 1)
            over.set()
            return await task

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sk.OwnerDiedWarning)
        if case == "Barrier":
            with pytest.raises(threading.BrokenBarrierError):
                run(main())
        else:
            assert run(main())


def sleeps(queue: Any, ready: Any) -> None:
    ready.set()
    queue.get()


def test_a_wake_up_that_went_to_a_stopped_process_is_not_lost(way: str) -> None:
    async def main() -> int:
        queue: sk.Queue[int] = sk.Queue()
        ready = sk.Event()
        with crew(sleeps, queue, ready, n=3) as children:
            await ready.await_()
            task = asyncio.ensure_future(queue.aget())
            if way == "polling":  # each child that sleeps changes the word every 50 ms, so quiet is a matter of luck
                while watcher.counts()[0] != 1:
                    await asyncio.sleep(0.01)
            else:
                await covered(way, 1)
            for each in children:
                os.kill(each.pid, signal.SIGSTOP)
            queue.put(1)
            try:
                return await task
            finally:
                kill(*children)

    assert run(main()) == 1


def puts_and_dies(queue: Any) -> None:
    queue.put(os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


def test_waits_end_while_processes_come_and_go(way: str) -> None:
    async def main() -> None:
        queue: sk.Queue[int] = sk.Queue()
        others = [sk.Queue[int]() for _ in range(150)]
        tasks = [asyncio.ensure_future(each.aget()) for each in others]
        await covered(way, len(others))
        for _ in range(10):
            with crew(puts_and_dies, queue, n=2) as children:
                got = {await queue.aget() for _ in children}
                assert got == {each.pid for each in children}
        await asyncio.to_thread(lambda: [each.put(n) for n, each in enumerate(others)])
        assert await asyncio.gather(*tasks) == list(range(len(others)))

    run(main())


IDLES = """
import asyncio, multiprocessing, sys, time, warnings
import sharedkit as sk
from sharedkit._core import watcher

n = int(sys.argv[1])
warnings.simplefilter("ignore", sk.OwnerDiedWarning)


def hold(locks, held):
    for each in locks:
        each.acquire()
    held.set()
    time.sleep(600)


async def main():
    queues, events, locks = ([kind() for _ in range(n)] for kind in (sk.Queue, sk.Event, sk.Lock))
    held = sk.Event()
    child = multiprocessing.get_context("fork").Process(target=hold, args=(locks, held))
    child.start()
    await held.await_()
    waits = [*(q.aget() for q in queues), *(e.await_() for e in events), *(each.aacquire() for each in locks)]
    tasks = [asyncio.ensure_future(each) for each in waits]
    while watcher.counts() != (3 * n, 3 * n):
        await asyncio.sleep(0.01)
    busy, began = time.process_time(), time.monotonic()
    await asyncio.sleep(2)
    print((time.process_time() - busy) / (time.monotonic() - began))
    assert not any(each.done() for each in tasks)
    for q in queues:
        q.put(1)
    for e in events:
        e.set()
    child.kill()
    await asyncio.gather(*tasks)
    child.join()


asyncio.run(main())
"""


@pytest.mark.parametrize("n", [1, 300])
def test_idle_waits_use_hardly_any_time_of_a_core(n: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # no other program looks at these segments
        done = subprocess.run(
            [sys.executable, "-c", IDLES, str(n)], capture_output=True, text=True, timeout=WATCHDOG,
            env=os.environ | {"SHAREDKIT_DIR": folder},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.15


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_the_threads_that_watch_end_with_the_waits(way: str) -> None:
    before = _threads()

    async def main() -> None:
        queues = [sk.Queue[int]() for _ in range(300)]
        tasks = [asyncio.ensure_future(each.aget()) for each in queues]
        await covered(way, len(queues))
        assert _threads() > before
        for each in queues:
            each.put(1)
        await asyncio.gather(*tasks)

    run(main())
    until(lambda: _threads() == before)


LOOKS = """
import ctypes, os, subprocess, sys
import sharedkit as sk

libc = ctypes.CDLL(None, use_errno=True)
lock = sk.Lock()
lock.acquire()
fd = libc.inotify_init1(os.O_NONBLOCK)
assert libc.inotify_add_watch(fd, os.path.join(os.environ["SHAREDKIT_DIR"], "sk_" + lock.name).encode(), 8) > 0
look = "from sharedkit import segments; segments.sweep(); assert len(segments.live()) == 1"
subprocess.run([sys.executable, "-c", look], check=True)
try:
    print("a notice of", len(os.read(fd, 4096)), "bytes")
except BlockingIOError:
    print("no notice")
subprocess.run([sys.executable, "-c", "import sys, sharedkit as sk; sk.attach(sys.argv[1])", lock.name], check=True)
assert os.read(fd, 4096)
"""


def test_a_process_that_only_looks_at_segments_disturbs_no_wait() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        done = subprocess.run(
            [sys.executable, "-c", LOOKS], capture_output=True, text=True, timeout=WATCHDOG,
            env=os.environ | {"SHAREDKIT_DIR": folder},
        )  # fmt: skip
    assert (done.stdout, done.stderr) == ("no notice\n", "")
