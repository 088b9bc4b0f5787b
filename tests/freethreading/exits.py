"""A program that ends while its daemon threads work: `exits.py KIND PLACEMENT NUMBER`, run by test_exits.py.

It prints nothing and ends with status 0. CPython ends a daemon thread at its next return to Python code, whatever the
thread was doing. `NUMBER` chooses the structures that the threads use, and how long they run.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import importlib
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from hammers import CLOSED, USES

import sharedkit as sk

THREADS = 6
LIMIT = 40.0
ENDED = sk.ServerGoneError, RuntimeError  # RuntimeError: no new thread can start when the program ends, for example


def daemon(work: Callable[[], object]) -> None:
    """Start a thread that calls `work` again and again until the end of the program or of the server stops it."""

    def run() -> None:
        with contextlib.suppress(*ENDED):
            while True:
                with contextlib.suppress(*CLOSED):
                    work()

    threading.Thread(target=run, daemon=True).start()


def using(place: Any, rng: random.Random) -> None:
    """Threads use handles that the main thread made."""
    for make, use in rng.sample([*USES.values()], THREADS):
        handle = make(place)
        daemon(lambda handle=handle, use=use: use(handle))


def renewing(place: Any, rng: random.Random) -> None:
    """Threads make handles, use and close them."""

    def renew(make: Callable[[Any], Any], use: Callable[[Any], object]) -> None:
        handle = make(place)
        use(handle)
        handle.close()

    for make, use in rng.sample([*USES.values()], THREADS):
        daemon(lambda make=make, use=use: renew(make, use))


def valuing(place: Any, rng: random.Random) -> None:
    """Threads make values. That must not stop all threads: the exit would wait for a thread that ended meanwhile."""
    for _ in range(THREADS):
        daemon(lambda: place.RawValue("i"))


def dropping(place: Any, rng: random.Random) -> None:
    """Threads make handles and drop them, some in cycles."""

    def forget(make: Callable[[Any], Any]) -> None:
        make(place)
        cycle: list[Any] = [make(place)]
        cycle.append(cycle)

    for make, _ in rng.sample([*USES.values()], THREADS):
        daemon(lambda make=make: forget(make))


def waiting(place: Any, rng: random.Random) -> None:
    """Threads wait for something that does not happen."""
    lock, semaphore, rwlock, condition = place.Lock(), place.Semaphore(0), place.RWLock(), place.Condition()
    queue, full, joined = place.Queue(), place.Queue(1), place.JoinableQueue()
    lock.acquire()
    rwlock.acquire_write()
    full.put(1)
    joined.put(1)

    def wait_notified() -> None:
        with condition:
            condition.wait()

    waits = [
        lock.acquire, semaphore.acquire, rwlock.acquire_read, rwlock.acquire_write, wait_notified, queue.get,
        lambda: full.put(2), joined.join, place.Event().wait, place.Barrier(2).wait,
        lambda: queue.get_many(timeout=0.001), lambda: lock.acquire(timeout=0.001),
    ]  # fmt: skip
    for wait in rng.sample(waits, THREADS):
        daemon(wait)


def looping(place: Any, rng: random.Random) -> None:
    """Threads run event loops whose tasks wait and exchange items."""
    queue, lock, empty = place.Queue(2), place.Lock(), place.Queue()

    async def exchange() -> None:
        with contextlib.suppress(*ENDED):  # asyncio prints the error of a task that is cancelled when the server goes
            for _ in range(100):
                await queue.aput(1)
                async with lock:
                    await queue.aget()

    async def all_of() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(exchange(), exchange(), empty.aget()), 0.02)

    for _ in range(3):
        daemon(lambda: asyncio.run(all_of()))


def calling(place: Any, rng: random.Random) -> None:
    """Threads submit calls to an executor that is never shut down."""
    executor = place.Executor(2)
    executor.submit(pow, 2, 2).result(LIMIT)
    for _ in range(3):
        daemon(lambda: [future.result() for future in [executor.submit(pow, 2, i) for i in range(5)]])


KINDS = {each.__name__: each for each in (using, renewing, valuing, dropping, waiting, looping, calling)}


def main() -> None:
    kind, placement, number = sys.argv[1:]
    faulthandler.enable()
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    rng = random.Random(int(number))
    place = sk.get_context("manager") if placement == "manager" else importlib.import_module(f"sharedkit.{placement}")
    KINDS[kind](place, rng)
    time.sleep(rng.random() * 0.03)


if __name__ == "__main__":
    main()
