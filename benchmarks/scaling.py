"""The gain from a second thread: two threads against one, each with its own handles, on the Python that runs this.

    python3.14t benchmarks/scaling.py [SECONDS]

For each row one thread does its work alone, then two do theirs side by side, in turns, nine times. `ratio` is the
median of the work of two over the work of one: 2 is the whole of a second core, 1 or less is usual with a GIL. Threads
that share a handle, or any other object, share its reference count, and that costs more than these calls do. So each
thread attaches its own handle.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import numpy as np

import sharedkit as sk
from benchmarks.usage import number_of_seconds
from sharedkit.compare.machine import gil_enabled
from sharedkit.hashing import hash_many

ROUNDS = 9
WANTED = {"Counter, striped": 1.8, "own Queues": 1.8, "gets of one Dict": 1.7, "hash_many": 1.8}

Work = Callable[[int], None]


def counter(place: Any) -> Callable[[], Work]:
    whole = place.Counter(striped=True, name="scaling", exist_ok=True)

    def mine() -> Work:
        add = place.attach(whole.name).add

        def work(n: int) -> None:
            for _ in range(n):
                add(1)

        return work

    return mine


def queues(place: Any) -> Callable[[], Work]:
    def mine() -> Work:
        queue = place.Queue()
        put, get, item = queue.put, queue.get, b"x" * 100

        def work(n: int) -> None:
            for _ in range(n):
                put(item)
                get()

        return work

    return mine


def gets(place: Any) -> Callable[[], Work]:
    whole = place.Dict({f"key {i}": bytes([i]) * 200 for i in range(8)}, name="scaling dict")
    keys = itertools.cycle(range(8))

    def mine() -> Work:
        get, key = place.attach(whole.name).get, f"key {next(keys)}"

        def work(n: int) -> None:
            for _ in range(n):
                get(key)

        return work

    return mine


def hashing(place: Any) -> Callable[[], Work]:
    def mine() -> Work:
        column = np.arange(20_000, dtype="u8")

        def work(n: int) -> None:
            for _ in range(n // 1000):
                hash_many(column, "sha256", threads=1)

        return work

    return mine


ROWS = {"Counter, striped": counter, "own Queues": queues, "gets of one Dict": gets, "hash_many": hashing}


def rate(mine: Callable[[], Work], count: int, seconds: float) -> float:
    """Steps a second of `count` threads together."""
    ready = threading.Barrier(count + 1)
    done, spans = [0] * count, [0.0] * count

    def run(i: int) -> None:
        work = mine()  # in the thread: objects of different threads lie apart, and are counted faster by their maker
        ready.wait()
        start = time.perf_counter()
        n = 0
        while (now := time.perf_counter()) - start < seconds:
            work(2000)
            n += 2000
        done[i], spans[i] = n, now - start

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    for thread in threads:
        thread.join()
    return sum(n / span for n, span in zip(done, spans, strict=True))


def main() -> None:
    seconds = number_of_seconds(__doc__, 0.2)
    gil = gil_enabled()
    print(f"Python {sys.version.split()[0]}, {'with' if gil else 'without'} a GIL")
    print(f"{'':28} {'one, a second':>14} {'two':>14} {'ratio':>6} {'wanted':>6}")
    for name in ("thread", "shm"):
        place = sk.get_context(name)
        for row, make in ROWS.items():
            if row == "hash_many" and name == "shm":
                continue
            mine = make(place)
            pairs = [(rate(mine, 1, seconds), rate(mine, 2, seconds)) for _ in range(ROUNDS)]
            ratio = statistics.median(b / a for a, b in pairs)
            alone, both = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{name + ' ' + row:28} {alone:>14,.0f} {both:>14,.0f} {ratio:>6.2f} {WANTED[row]:>6}")


if __name__ == "__main__":
    main()
