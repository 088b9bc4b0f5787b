"""The thread placement beside the standard library, in one process and one run: ratios of neighbouring turns.

    python benchmarks/threads.py [WORD …]        rows whose names hold one of the words; by default all

Each row is timed in turns of a few milliseconds, theirs and ours one after the other, 31 times, so that other load on
the machine affects both alike. `ratio` is the median of theirs/ours: how many times as fast ours is. Rows of two
threads and of event loops are rates of a whole lap.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import threading
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import numpy as np

import sharedkit as sk
from benchmarks.usage import arguments

ROUNDS = 31
TURN = 0.004  # seconds
LAP = 0.15  # seconds, of two threads
ITEMS = 20_000

NAMES: dict[str, Any] = {
    "t": sk.get_context("thread"), "sk": sk, "np": np, "threading": threading, "multiprocessing": multiprocessing,
}  # fmt: skip
# The queue has a thousand items, and the next item belongs anywhere among them.
PRIORITIES = (
    "import itertools, random; r = random.Random(1); n = itertools.cycle([r.random() for _ in range(9973)]);"
    "[x.put(next(n)) for _ in range(1000)]"
)

# Name, target ratio if there is one, (setup, statement) of theirs and of ours.
ROWS: list[tuple[str, float | None, tuple[str, str], tuple[str, str]]] = [
    (
        "Lock, acquire and release",
        1.3,
        ("x = threading.Lock()", "x.acquire(); x.release()"),
        ("x = t.Lock()", "x.acquire(); x.release()"),
    ),
    (
        "RLock, acquire and release",
        1.3,
        ("x = threading.RLock()", "x.acquire(); x.release()"),
        ("x = t.RLock()", "x.acquire(); x.release()"),
    ),
    ("Lock, with", 1.0, ("x = threading.Lock()", "with x: pass"), ("x = t.Lock()", "with x: pass")),
    (
        "Queue, put and get",
        0.8,
        ("import queue; x = queue.SimpleQueue()", "x.put(7); x.get()"),
        ("x = t.Queue()", "x.put(7); x.get()"),
    ),
    (
        "Dict get, beside dict behind a Lock",
        1.5,
        ("x = dict(a=1); l = threading.Lock()", "with l: x['a']"),
        ("x = t.Dict(a=1)", "x['a']"),
    ),
    (
        "Dict set, beside dict behind a Lock",
        1.5,
        ("x = dict(a=1); l = threading.Lock()", "with l: x['a'] = 1"),
        ("x = t.Dict(a=1)", "x['a'] = 1"),
    ),
    (
        "Array.add_at of 1,000, thread, beside np.add.at under a Lock",
        1.0,
        ("x = np.zeros(1000, 'i8'); at = np.arange(1000); l = threading.Lock()", "with l: np.add.at(x, at, 1)"),
        ("x = t.Array(1000, 'i8'); at = np.arange(1000)", "x.add_at(at, 1)"),
    ),
    (
        "Array.add_at of 1,000, shm, beside np.add.at under a Lock",
        0.8,
        ("x = np.zeros(1000, 'i8'); at = np.arange(1000); l = threading.Lock()", "with l: np.add.at(x, at, 1)"),
        ("x = sk.Array(1000, 'i8'); at = np.arange(1000)", "x.add_at(at, 1)"),
    ),
    ("Event.set", 1.0, ("x = threading.Event()", "x.set()"), ("x = t.Event()", "x.set()")),
    (
        "LifoQueue, put and get, beside queue.LifoQueue",
        None,
        ("import queue; x = queue.LifoQueue()", "x.put(7); x.get()"),
        ("x = t.LifoQueue()", "x.put(7); x.get()"),
    ),
    (
        "PriorityQueue of 1,000, put and get, beside queue.PriorityQueue",
        None,
        (f"import queue; x = queue.PriorityQueue(); {PRIORITIES}", "x.put(next(n)); x.get()"),
        (f"x = t.PriorityQueue(); {PRIORITIES}", "x.put(next(n)); x.get()"),
    ),
    (
        "JoinableQueue, put, get and task_done, beside queue.Queue",
        None,
        ("import queue; x = queue.Queue()", "x.put(7); x.get(); x.task_done()"),
        ("x = t.JoinableQueue()", "x.put(7); x.get(); x.task_done()"),
    ),
    (
        "Set, add and discard, beside set behind a Lock",
        None,
        ("x = set(); l = threading.Lock()", "with l: x.add(7)\nwith l: x.discard(7)"),
        ("x = t.Set()", "x.add(7); x.discard(7)"),
    ),
    (
        "Set, in, beside set behind a Lock",
        None,
        ("x = {7}; l = threading.Lock()", "with l: 7 in x"),
        ("x = t.Set([7])", "7 in x"),
    ),
    (
        "Set in shm, add and discard, beside set behind multiprocessing.Lock",
        None,
        ("x = set(); l = multiprocessing.Lock()", "with l: x.add(7)\nwith l: x.discard(7)"),
        ("x = sk.Set()", "x.add(7); x.discard(7)"),
    ),
    (
        "Value in shm, add under its lock, beside multiprocessing.Value",
        None,
        ("x = multiprocessing.Value('q')", "with x.get_lock(): x.value += 1"),
        ("x = sk.Value('q')", "with x.get_lock(): x.value += 1"),
    ),
    (
        "RawValue in shm, read and write, beside multiprocessing.RawValue",
        None,
        ("x = multiprocessing.RawValue('q')", "x.value += 1"),
        ("x = sk.RawValue('q')", "x.value += 1"),
    ),
]


def contended(make: Callable[[], Any]) -> float:
    """Seconds an acquisition, of two threads."""
    lock, over, counts = make(), threading.Event(), []

    def run() -> None:
        acquire, release, n = lock.acquire, lock.release, 0
        while not over.is_set():
            for _ in range(100):
                acquire()
                release()
            n += 100
        counts.append(n)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for each in threads:
        each.start()
    time.sleep(LAP)
    over.set()
    for each in threads:
        each.join()
    return LAP / sum(counts)


def one_to_one(make: Callable[[], Any]) -> float:
    """Seconds an item of 100 bytes, from one thread to another."""
    q, item = make(), bytes(100)

    def produce() -> None:
        put = q.put
        for _ in range(ITEMS):
            put(item)

    thread = threading.Thread(target=produce)
    began = time.perf_counter()
    thread.start()
    get = q.get
    for _ in range(ITEMS):
        get()
    thread.join()
    return (time.perf_counter() - began) / ITEMS


def to_and_fro(make: Callable[[], tuple[Any, Any]], signal: str, wait: str) -> float:
    """Seconds a round trip of two threads."""
    ping, pong = make()
    rounds = 300

    def answer() -> None:
        for _ in range(rounds):
            getattr(ping, wait)()
            ping.clear()
            getattr(pong, signal)()

    thread = threading.Thread(target=answer)
    thread.start()
    began = time.perf_counter()
    for _ in range(rounds):
        getattr(ping, signal)()
        getattr(pong, wait)()
        pong.clear()
    taken = time.perf_counter() - began
    thread.join()
    return taken / rounds


def condition_round_trip(make: Callable[[], Any]) -> float:
    condition, turns, rounds = make(), [0], 300

    def play(mine: int) -> None:
        for _ in range(rounds):
            with condition:
                while turns[0] % 2 != mine:
                    condition.wait()
                turns[0] += 1
                condition.notify()

    thread = threading.Thread(target=play, args=(1,))
    thread.start()
    began = time.perf_counter()
    play(0)
    thread.join()
    return (time.perf_counter() - began) / rounds


def barrier_round(make: Callable[[int], Any]) -> float:
    barrier, rounds = make(2), 300

    def play() -> None:
        for _ in range(rounds):
            barrier.wait()

    thread = threading.Thread(target=play)
    thread.start()
    began = time.perf_counter()
    play()
    thread.join()
    return (time.perf_counter() - began) / rounds


def put_then_get(make: Callable[[], Any], put: str, get: str) -> float:
    """Seconds for a put and a get of one task."""

    async def run() -> float:
        q = make()
        putting, getting = getattr(q, put), getattr(q, get)
        began = time.perf_counter()
        for _ in range(2000):
            await putting(7)
            await getting()
        return (time.perf_counter() - began) / 2000

    return asyncio.run(run())


def async_with(make: Callable[[], Any]) -> float:
    async def run() -> float:
        lock = make()
        began = time.perf_counter()
        for _ in range(2000):
            async with lock:
                pass
        return (time.perf_counter() - began) / 2000

    return asyncio.run(run())


def laps() -> list[tuple[str, float, Callable[[], float], Callable[[], float]]]:
    import queue

    t = sk.get_context("thread")
    events = partial(to_and_fro, signal="set", wait="wait")
    return [
        ("Lock, two threads contend", 0.8, partial(contended, threading.Lock), partial(contended, t.Lock)),
        ("Queue 1 to 1, beside queue.Queue", 8.0, partial(one_to_one, queue.Queue), partial(one_to_one, t.Queue)),
        ("Queue 1 to 1, beside SimpleQueue", 0.8, partial(one_to_one, queue.SimpleQueue), partial(one_to_one, t.Queue)),
        (
            "Event, round trip",
            1.5,
            partial(events, lambda: (threading.Event(), threading.Event())),
            partial(events, lambda: (t.Event(), t.Event())),
        ),
        (
            "Condition, round trip",
            1.5,
            partial(condition_round_trip, threading.Condition),
            partial(condition_round_trip, t.Condition),
        ),
        ("Barrier, passage", 1.5, partial(barrier_round, threading.Barrier), partial(barrier_round, t.Barrier)),
        (
            "aput then aget, beside asyncio.Queue",
            1.2,
            partial(put_then_get, asyncio.Queue, "put", "get"),
            partial(put_then_get, t.Queue, "aput", "aget"),
        ),
        (
            "aput then aget in shm, beside asyncio.Queue",
            1.2,
            partial(put_then_get, asyncio.Queue, "put", "get"),
            partial(put_then_get, sk.Queue, "aput", "aget"),
        ),
        ("async with lock", 1.0, partial(async_with, asyncio.Lock), partial(async_with, t.Lock)),
        ("async with lock in shm", 1.0, partial(async_with, asyncio.Lock), partial(async_with, sk.Lock)),
    ]


def of_statement(setup: str, statement: str) -> Callable[[], float]:
    timer = timeit.Timer(statement, setup, time.process_time, dict(NAMES))
    loops = 1
    while (took := timer.timeit(loops)) < TURN / 2:
        loops *= 2 if took == 0 else max(2, min(100, int(TURN / took)))
    return lambda: timer.timeit(loops) / loops


def show(name: str, wanted: float | None, theirs: Callable[[], float], ours: Callable[[], float], rounds: int) -> None:
    pairs = [(theirs(), ours()) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    best = [min(column) * 1e9 for column in zip(*pairs, strict=True)]
    print(f"{name:62} {best[0]:12,.1f} {best[1]:12,.1f} {ratio:7.2f} {wanted or '-':>7}", flush=True)


def main() -> None:
    words = arguments(__doc__)

    def chosen(name: str) -> bool:
        return not words or any(word in name for word in words)

    print(f"{'ns':62} {'theirs':>12} {'ours':>12} {'ratio':>7} {'wanted':>7}")
    for name, wanted, theirs, ours in ROWS:
        if chosen(name):
            show(name, wanted, of_statement(*theirs), of_statement(*ours), ROUNDS)
    for name, wanted, their_lap, our_lap in laps():
        if chosen(name):
            show(name, wanted, their_lap, our_lap, 11)


if __name__ == "__main__":
    main()
