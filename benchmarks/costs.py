"""The costs of one object: memory, descriptors, and the time to make and to attach it.

    python benchmarks/costs.py          prints the Markdown table of docs/costs.md

Times are processor time, the least of five runs of a hundred operations; those of an import are wall time, the least of
nine. Memory is that of the segment's file while the structure is empty, without the Python object of the handle.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import sharedkit as sk
from benchmarks.usage import arguments
from sharedkit import segments
from sharedkit.compare.machine import this_machine, versions

RUNS, EACH = 5, 100
IMPORTS = 9

MAKERS: dict[str, Callable[[], Any]] = {
    "Counter": sk.Counter,
    "Counters of 10 names": lambda: sk.Counters([f"n{i}" for i in range(10)]),
    "Value": lambda: sk.Value("q"),
    "Array of 1,000 float64": lambda: sk.Array(1000),
    "Queue": sk.Queue,
    "Dict": sk.Dict,
    "Set": sk.Set,
    "Lock": sk.Lock,
    "RLock": sk.RLock,
    "RWLock": sk.RWLock,
    "Semaphore": sk.Semaphore,
    "BoundedSemaphore": sk.BoundedSemaphore,
    "Event": sk.Event,
    "Condition": sk.Condition,
    "Barrier": lambda: sk.Barrier(2),
}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def microseconds(call: Callable[[], object]) -> float:
    runs = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(EACH):
            call()
        runs.append((time.process_time() - began) / EACH * 1e6)
    return min(runs)


def attach_microseconds(make: Callable[[], Any]) -> float:
    """The time to attach and close in a process that has not attached the structure; another process keeps it."""
    with_name = make()
    code = (
        "import sys, time, sharedkit as sk\n"
        "runs = []\n"
        f"for _ in range({RUNS}):\n"
        "    began = time.process_time()\n"
        f"    for _ in range({EACH}):\n"
        "        sk.attach(sys.argv[1]).close()\n"
        f"    runs.append((time.process_time() - began) / {EACH} * 1e6)\n"
        "print(min(runs))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, with_name.name], capture_output=True, text=True, check=True)
    with_name.close()
    return float(done.stdout)


def open_cost(make: Callable[[], Any]) -> tuple[int, int, int]:
    """Bytes of shared memory for each of 50 objects, descriptors that they keep open, bytes of a pickled handle."""
    count = 50
    before = descriptors()
    made = [make() for _ in range(count)]
    opened = descriptors() - before
    here = os.getpid()
    held = sum(each.size for each in segments.live() if here in each.attached)
    pickled = len(pickle.dumps(made[0]))
    for each in made:
        each.close()
    return held // count, opened, pickled


def import_milliseconds(module: str) -> float:
    code = f"import time; began = time.perf_counter(); import {module}; print((time.perf_counter() - began) * 1000)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(IMPORTS)
    ]
    return min(runs)


def main() -> None:
    arguments(__doc__, most=0)
    machine = this_machine()
    sk.Counter().close()  # the first one opens descriptors that stay open for all
    print(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, {versions()['python']}, "
        f"{time.strftime('%Y-%m-%d')}, load average {machine.load}"
    )
    print()
    print("| structure | shared memory | make and close | attach and close | descriptors | pickled handle |")
    print("|---|---|---|---|---|---|")
    for name, make in MAKERS.items():
        held, opened, pickled = open_cost(make)
        life, attach = microseconds(lambda make=make: make().close()), attach_microseconds(make)  # type: ignore[misc]
        print(f"| {name} | {held >> 10} KiB | {life:.0f} µs | {attach:.0f} µs | {opened} | {pickled} bytes |")
    print()
    print(", ".join(f"import {each}: {import_milliseconds(each):.0f} ms" for each in ("numpy", "sharedkit")))


if __name__ == "__main__":
    main()
