"""The cost of live segments for other operations: creation, fork, an array as a Dict value, as ratios in one run.

    python benchmarks/lives.py [OTHER_PYTHON]        OTHER_PYTHON: the interpreter of another build; it runs first

It compares creating and closing a Counter beside 10, 500 and 20,000 live ones; `os.fork()` with 300 used Queues and
with none; `d["frame"] = array` of 6 MB and a `memmove` of the same size. Each result is a median of neighbouring runs.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import numpy as np

import sharedkit as sk
from benchmarks.usage import arguments

FRAME = 6_220_800  # bytes: 1920 x 1080 x 3
PAIRS = 200
FORKS = 60


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def one_life() -> None:
    sk.Counter().close()


def creation(live: int) -> float:
    """Microseconds of processor time for one Counter, the least of 5 runs of 200, beside `live` other segments."""
    others = [sk.Counter() for _ in range(live)]
    runs = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(200):
            one_life()
        runs.append((time.process_time() - began) / 200 * 1e6)
    for each in others:
        each.close()
    return min(runs)


def fork() -> float:
    """Microseconds until the parent of a fork continues, the median; waiting for the child does not count."""
    times = []
    for _ in range(FORKS):
        began = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        times.append((time.perf_counter() - began) * 1e6)
        os.waitpid(pid, 0)
    return statistics.median(times)


def frame() -> float:
    """The time to store a frame, as a multiple of the time to copy its bytes."""
    array = np.ones(FRAME, "u1")
    target = ctypes.create_string_buffer(FRAME)
    with sk.Dict() as d:
        d["frame"] = array
        ratios = []
        for _ in range(PAIRS):
            copied = seconds(lambda: ctypes.memmove(target, array.ctypes.data, FRAME))
            ratios.append(seconds(lambda: d.__setitem__("frame", array)) / copied)
    return statistics.median(ratios)


def main() -> None:
    for other in arguments(__doc__, most=1):
        print(f"with {other}:", flush=True)
        subprocess.run([other, __file__], check=True)
        print("with this one:")
    print(f"frame of 6 MB as a value:      {frame():8.2f} memcpys")
    without = fork()
    queues = [sk.Queue() for _ in range(300)]
    for each in queues:
        each.put(1)
    print(f"fork with 300 queues:          {fork() / without:8.2f} times one with none ({without:.0f} us)")
    for each in queues:
        each.close()
    for live in (10, 500, 20_000):
        print(f"a Counter's life, {live:6,} live: {creation(live):8.1f} us")


if __name__ == "__main__":
    main()
