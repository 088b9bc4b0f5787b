"""The functions of child processes, which the tests of the placement `redis` kill, stop or interrupt."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sharedkit as sk


def context(url: str, lease: float = 10.0, prefix: str = "faults") -> Any:
    return sk.get_context("redis", url=url, prefix=prefix, lease=lease)


def say(*words: object) -> None:
    print(*words, flush=True)


def take_until_killed(url: str, name: str) -> None:
    """Print each item as soon as it has come."""
    queue = context(url).attach(name)
    say("ready")
    while True:
        say(queue.get())


def take_and_close(url: str, name: str) -> None:
    with context(url).attach(name) as queue:
        say(queue.get())


def lock_until_killed(url: str, name: str, prefix: str = "faults") -> None:
    lock = context(url, prefix=prefix).attach(name)
    say("ready")
    lock.acquire()
    say("taken")
    time.sleep(60)


def read_until_killed(url: str, name: str, prefix: str) -> None:
    reader = iter(context(url, prefix=prefix).attach(name).items())
    say(*next(reader))
    time.sleep(60)


def hold(url: str, name: str, lease: str) -> None:
    """Take the lock and print its fence; after a line on stdin, print what the next calls return or raise."""
    ctx = context(url, float(lease))
    lock, counter = ctx.attach(name), ctx.attach(name + " counter")
    lock.acquire()
    say(lock.fence)
    sys.stdin.readline()
    for call in (counter.add, lock.release, lambda: lock.fence):
        try:
            say(call())
        except sk.LeaseLostError as why:
            say("LeaseLostError", why)
    say(ctx.attach(name + " counter").add())


def interrupted(url: str, what: str) -> None:
    """Wait three times, until a SIGINT ends the wait; print how many waiters are counted; then wait with success."""
    ctx = context(url)
    queue, lock, semaphore, event, full = ctx.Queue(), ctx.Lock(), ctx.Semaphore(0), ctx.Event(), ctx.Queue(1)
    rlock, bounded, array, value = ctx.RLock(), ctx.BoundedSemaphore(1), ctx.Array(1, "i8"), ctx.Value("i")
    lock.acquire()
    full.put(1)
    bounded.acquire()
    with ThreadPoolExecutor(1) as other:  # an RLock belongs to its thread
        for each in (rlock, array.lock, value):
            assert other.submit(each.acquire).result()
        waits: dict[str, tuple[Any, Any]] = {
            "get": (queue.get, lambda: queue.put(1)),
            "get_many": (queue.get_many, lambda: queue.put(1)),
            "put": (lambda: full.put(2), full.get),
            "put_many": (lambda: full.put_many([2]), full.get),
            "acquire": (lock.acquire, lock.release),
            "acquire an RLock": (rlock.acquire, lambda: other.submit(rlock.release).result()),
            "permit": (semaphore.acquire, semaphore.release),
            "bounded permit": (bounded.acquire, bounded.release),
            "wait": (event.wait, event.set),
            "join": (lambda: full.join(), full.task_done),
            "lock of an array": (array.lock.acquire, lambda: other.submit(array.lock.release).result()),
            "lock of a value": (value.acquire, lambda: other.submit(value.release).result()),
            "value": (lambda: value.value, lambda: other.submit(value.release).result()),
        }
        wait, give = waits[what]
        for _ in range(3):
            say("waits")
            try:
                wait()
            except KeyboardInterrupt:
                say("interrupted")
        waiting = [
            queue.statistics().waiting_getters, full.statistics().waiting_putters, lock.statistics().waiting,
            semaphore.statistics().waiting, event.statistics().waiting, rlock.statistics().waiting,
            bounded.statistics().waiting, value.lock.statistics().waiting, array.lock.statistics().waiting,
        ]  # fmt: skip
        say("left", *waiting)
        give()
        wait()
        say("done")


def cancelled(url: str) -> None:
    """Cancel tasks, at any of their awaits and at random times; print what is left."""
    import random

    ctx = context(url)
    queue, lock, semaphore = ctx.Queue(), ctx.Lock(), ctx.BoundedSemaphore(2)
    got: list[int] = []

    async def take(chance: random.Random) -> None:
        got.append(await queue.aget())

    async def hold_lock(chance: random.Random) -> None:
        async with lock:
            await asyncio.sleep(chance.random() * 0.001)

    async def hold_permit(chance: random.Random) -> None:
        async with semaphore:
            await asyncio.sleep(chance.random() * 0.001)

    async def main() -> None:
        chance, put = random.Random(7), 0
        for turn in range(300):
            work = (take, hold_lock, hold_permit)[turn % 3]
            tasks = [asyncio.create_task(work(chance)) for _ in range(3)]
            await queue.aput(put)
            put += 1
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0 if chance.random() < 0.5 else chance.random() * 0.001)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        while not queue.empty():
            got.append(await queue.aget())
        say(put, len(got), len(set(got)), lock.locked(), semaphore.get_value(), lock.statistics().waiting)

    asyncio.run(main())


def die_at_once(url: str, name: str) -> None:
    """Take the lock, a permit and an item; then kill this process."""
    ctx = context(url)
    lock, permits, items = (ctx.attach(name + each) for each in (" lock", " permits", " items"))
    lock.acquire()
    permits.acquire()
    items.get()
    say("holds")
    os.kill(os.getpid(), signal.SIGKILL)


def kept(url: str, name: str, what: str, lease: str) -> None:
    """Wait for, or take, what `name` says; print when that has begun, and what the next call returns or raises."""
    handle = context(url, float(lease)).attach(name)

    def wait_for_notice() -> None:
        with handle:
            say("begins")
            handle.wait()

    def read_or_write(acquire: Any, release: Any) -> None:
        acquire()
        say("begins")
        sys.stdin.readline()
        release()

    def pass_barrier() -> None:
        say("begins")
        handle.wait()

    calls = {
        "notice": wait_for_notice,
        "party": pass_barrier,
        "reads": lambda: read_or_write(handle.acquire_read, handle.release_read),
        "writes": lambda: read_or_write(handle.acquire_write, handle.release_write),
    }
    try:
        calls[what]()
        say("done")
    except sk.LeaseLostError:
        say("LeaseLostError")


def interrupted_rendezvous(url: str, what: str) -> None:
    """Wait three times, until a SIGINT ends the wait; print how many waiters are counted; then wait with success."""
    ctx = context(url)
    condition, barrier, rw, full = ctx.Condition(), ctx.Barrier(2), ctx.RWLock(), ctx.RWLock()
    full.acquire_write()
    rw.acquire_read()
    told: list[int] = []

    def notice() -> None:
        with condition:  # RuntimeError if the lock is not held at the end of the block
            condition.wait_for(lambda: told)

    def notify() -> None:
        with condition:
            told.append(1)
            condition.notify()

    waits: dict[str, tuple[Any, Any]] = {
        "notice": (notice, notify),
        "party": (barrier.wait, barrier.wait),
        "reading": (full.acquire_read, full.release_write),
        "writing": (rw.acquire_write, rw.release_read),
    }
    wait, give = waits[what]
    for _ in range(3):
        say("waits")
        try:
            wait()
        except KeyboardInterrupt:
            say("interrupted")
    waiting = [
        condition.statistics().waiting, condition.statistics().notified, condition.statistics().lock.count,
        barrier.n_waiting, full.statistics().waiting_readers, rw.statistics().waiting_writers,
    ]  # fmt: skip
    say("left", *waiting, barrier.broken)
    other = threading.Thread(target=give)
    other.start()
    wait()
    other.join()
    say("done")


def interrupted_twice(url: str, name: str) -> None:
    """Wait for a notification until a SIGINT; wait for the lock again until another one; print how the block ends."""
    condition = context(url).attach(name)
    try:
        with condition:
            say("waits")
            condition.wait()
    except sk.NotLockedError as why:
        cause: BaseException | None = why
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__context__
        say(type(cause).__name__)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(100)
    globals()[sys.argv[1]](*sys.argv[2:])
