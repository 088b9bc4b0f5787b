"""The latency of `sharedkit.wait` with one structure and with several, beside a plain `get`.

    python benchmarks/several.py [seconds]        measures each row for this many seconds in all, 3 by default

A process waits for one of n queues, takes the item, and answers through another queue. Each time it sleeps when the
item comes. The table shows the median time of a round trip in the best of ten rounds, and its ratio to the row with one
queue.
"""

from __future__ import annotations

import statistics
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import sharedkit as sk
from benchmarks.usage import number_of_seconds

ROUNDS = 10
PAUSE = 0.001  # seconds; by then the process that waits is asleep
ROWS = (0, 1, 2, 8, 32, 100)  # 0: a plain get


def answer(queues: list[Any], answers: Any, plain: bool) -> None:
    methods = [each.get for each in queues]
    while True:
        item = methods[0]() if plain else sk.wait(methods)[0](block=False)
        answers.put(item)
        if item is None:
            return


def round_trips(queues: list[Any], answers: Any, seconds: float) -> float:
    """The median in microseconds."""
    times, i, end = [], 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        time.sleep(PAUSE)
        began = time.perf_counter()
        queues[i % len(queues)].put(i)
        answers.get()
        times.append(time.perf_counter() - began)
        i += 1
    return statistics.median(times) * 1e6


def main() -> None:
    seconds = number_of_seconds(__doc__, 3.0)
    peers = {}
    for n in ROWS:
        queues, answers = [sk.Queue() for _ in range(max(n, 1))], sk.Queue()
        peer = get_context("spawn").Process(target=answer, args=(queues, answers, n == 0))
        peer.start()
        queues[0].put(0)
        answers.get()
        peers[n] = (queues, answers, peer)
    best = {n: min(round_trips(*peers[n][:2], seconds / ROUNDS) for _ in range(ROUNDS)) for n in ROWS}
    print(f"sharedkit {sk.__version__}, Python {sys.version.split()[0]}")
    print(f"{'':16}{'p50, us':>9}{'ratio':>7}")
    for n in ROWS:
        what = "a plain get" if n == 0 else f"wait for {n}"
        print(f"{what:16}{best[n]:>9.1f}{best[n] / best[1]:>7.2f}")
    for queues, answers, peer in peers.values():
        queues[0].put(None)
        answers.get()
        peer.join()


if __name__ == "__main__":
    main()
