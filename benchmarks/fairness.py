"""Fairness: processes compete for one structure for a while; the result is the share of the one that got least.

    python benchmarks/fairness.py [seconds]        rounds of this many seconds each, 1 by default

A share is relative to the compared processes: two that are served equally have a half each. The table shows the
smallest share in three rounds, and how often per second all together were served. docs/placements.md says what is
promised.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import sharedkit as sk
from benchmarks.usage import number_of_seconds

ROUNDS = 3
LIMIT = 60.0


def acquire(thing: Any) -> None:
    thing.acquire()
    thing.release()


def acquire_write(thing: Any) -> None:
    thing.acquire_write()
    thing.release_write()


def acquire_read(thing: Any) -> None:
    thing.acquire_read()
    thing.release_read()


def put(thing: Any) -> None:
    with suppress(queue.Full):
        thing.put(1, timeout=0.1)


def get(thing: Any) -> None:
    with suppress(queue.Empty):
        thing.get(timeout=0.1)


def work(thing: Any, do: Callable[[Any], None], start: Any, seconds: float, answer: Any) -> None:
    start.wait(LIMIT)
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(16):
            do(thing)
        done += 16
    answer.put(done)


def counts(thing: Any, crew: list[Callable[[Any], None]], seconds: float) -> list[int]:
    """How often each of the processes did its work, in their order."""
    context = get_context("fork")
    start = context.Barrier(len(crew))
    answers = [context.SimpleQueue() for _ in crew]
    children = [
        context.Process(target=work, args=(thing, do, start, seconds, answer), daemon=True)
        for do, answer in zip(crew, answers, strict=True)
    ]
    for child in children:
        child.start()
    try:
        return [int(answer.get()) for answer in answers]
    finally:
        for child in children:
            child.join(LIMIT)
            child.kill()


CASES: list[tuple[str, Callable[[], Any], list[Callable[[Any], None]], int]] = [
    ("Lock", sk.Lock, [acquire, acquire], 2),
    ("Semaphore(1)", sk.Semaphore, [acquire, acquire], 2),
    ("BoundedSemaphore(1)", sk.BoundedSemaphore, [acquire, acquire], 2),
    ("BoundedSemaphore(2) of 3", lambda: sk.BoundedSemaphore(2), [acquire] * 3, 3),
    ("Queue, 2 producers", lambda: sk.Queue[int](100), [put, put, get], 2),
    ("Queue, 2 consumers", lambda: sk.Queue[int](100), [get, get, put], 2),
    ("RWLock, 2 writers", sk.RWLock, [acquire_write, acquire_write], 2),
    ("RWLock, 2 writers and a reader", sk.RWLock, [acquire_write, acquire_write, acquire_read], 3),
    ("RWLock, 2 readers and a writer", sk.RWLock, [acquire_read, acquire_read, acquire_write], 3),
]


def main() -> None:
    seconds = number_of_seconds(__doc__, 1.0)
    print(f"{'':32}{'smallest share':>16}{'even':>8}{'a second':>12}   of each")
    for name, make, crew, compared in CASES:
        rounds = []
        for _ in range(ROUNDS):
            thing = make()
            rounds.append(counts(thing, crew, seconds)[:compared])
            thing.close()
        worst = min(rounds, key=lambda done: min(done) / max(sum(done), 1))
        share = min(worst) / max(sum(worst), 1)
        each = " ".join(f"{done / seconds:,.0f}" for done in worst)
        print(f"{name:32}{share:>15.1%} {1 / compared:>7.0%}{sum(worst) / seconds:>12,.0f}   {each}", flush=True)


if __name__ == "__main__":
    main()
