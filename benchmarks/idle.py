"""What waiting costs: the share of a core that a process uses while its waits are idle.

    python benchmarks/idle.py [seconds]        measures each row for this many seconds, 5 by default

A row is a number of waits, each for a structure of its own in shared memory: of tasks of one event loop, or of threads.
Another process holds the locks. "looking" is an event loop where each wait looks for itself, every 10 to 50 ms, whether
a process has died; "watched" is how it works, docs/decisions/0019. benchmarks/fairness.py has a similar form.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import sharedkit as sk
from benchmarks.usage import number_of_seconds
from sharedkit._core import watcher

KINDS = ("Queue", "Event", "Lock")
SETTLE = 2.0
LIMIT = 120.0


def hold(locks: list[Any], held: Any, over: Any) -> None:
    for each in locks:
        each.acquire()
    held.set()
    over.wait(LIMIT)


def share(busy: float, began: float) -> float:
    return 100 * (time.process_time() - busy) / (time.monotonic() - began)


async def tasks_wait(things: list[Any], method: str, seconds: float, watched: bool) -> float:
    tasks = [asyncio.ensure_future(getattr(each, method)()) for each in things]
    await asyncio.sleep(SETTLE)
    while watched and watcher.counts()[1] < len(things):
        await asyncio.sleep(0.1)
    busy, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    cost = share(busy, began)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return cost


def thread_waits(thing: Any, method: str, limit: float) -> None:
    with suppress(Exception):
        getattr(thing, method)(timeout=limit)


def threads_wait(things: list[Any], method: str, seconds: float) -> float:
    limit = SETTLE + seconds + 1
    threads = [threading.Thread(target=thread_waits, args=(each, method, limit)) for each in things]
    for each in threads:
        each.start()
    time.sleep(SETTLE)
    busy, began = time.process_time(), time.monotonic()
    time.sleep(seconds)
    cost = share(busy, began)
    for each in threads:
        each.join()
    return cost


def measure(how: str, kind: str, n: int, seconds: float) -> float:
    things = [getattr(sk, kind)() for _ in range(n)]
    held, over = sk.Event(), sk.Event()
    holder = None
    if kind == "Lock":
        holder = multiprocessing.get_context("spawn").Process(target=hold, args=(things, held, over))
        holder.start()
        held.wait(LIMIT)
    try:
        if how == "threads":
            return threads_wait(things, {"Queue": "get", "Event": "wait", "Lock": "acquire"}[kind], seconds)
        watcher.restart(patrol=how == "watched")
        method = {"Queue": "aget", "Event": "await_", "Lock": "aacquire"}[kind]
        return asyncio.run(tasks_wait(things, method, seconds, how == "watched"))
    finally:
        over.set()
        if holder is not None:
            holder.join()


def main() -> None:
    seconds = number_of_seconds(__doc__, 5.0)
    print(f"sharedkit {sk.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores; % of a core")
    print(f"{'waits':>6} {'for':8}{'looking':>10}{'watched':>10}{'threads':>10}")
    for n in (100, 1000):
        for kind in KINDS:
            costs = [measure(how, kind, n, seconds) for how in ("looking", "watched", "threads")]
            print(f"{n:>6,} {kind:8}" + "".join(f"{each:>10.2f}" for each in costs), flush=True)


if __name__ == "__main__":
    main()
