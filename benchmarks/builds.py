"""Two builds of sharedkit side by side: the time of each operation in this build, as a ratio to another build.

    python benchmarks/builds.py OTHER_PYTHON [WORD …]        rows whose names hold one of the words; by default all

OTHER_PYTHON is the interpreter of an environment where the other build is installed. Each build has its own process,
both on one core. They take turns of a few milliseconds, so that other load on the machine affects both alike. A row
shows the least nanoseconds of each build (processor time) and the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import timeit
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

from benchmarks.usage import arguments

ROUNDS = 31
TURN = 0.004  # seconds

# Name: (setup, timed statement).
ROWS: dict[str, tuple[str, str]] = {
    "Counter.add": ("c = sk.Counter()", "c.add(1)"),
    "Counter.add, striped": ("c = sk.Counter(striped=True)", "c.add(1)"),
    "Counter.value": ("c = sk.Counter()", "c.value"),
    "Counter.value, striped": ("c = sk.Counter(striped=True)", "c.value"),
    "Counter.exchange": ("c = sk.Counter()", "c.exchange(1)"),
    "Counter.compare_exchange": ("c = sk.Counter()", "c.compare_exchange(0, 0)"),
    "Counters.add": ("c = sk.Counters(['a', 'b'])", "c.add('b', 1)"),
    "Counter, made and closed": ("", "sk.Counter().close()"),
    "Counter, pickled and back": ("c = sk.Counter()", "pickle.loads(pickle.dumps(c))"),
    "Lock": ("x = sk.Lock()", "x.acquire(); x.release()"),
    "Lock, with": ("x = sk.Lock()", "with x: pass"),
    "RLock": ("x = sk.RLock()", "x.acquire(); x.release()"),
    "RLock, again": ("x = sk.RLock(); x.acquire()", "x.acquire(); x.release()"),
    "Semaphore": ("x = sk.Semaphore(2)", "x.acquire(); x.release()"),
    "BoundedSemaphore": ("x = sk.BoundedSemaphore(2)", "x.acquire(); x.release()"),
    "RWLock, read": ("x = sk.RWLock()", "x.acquire_read(); x.release_read()"),
    "RWLock, write": ("x = sk.RWLock()", "x.acquire_write(); x.release_write()"),
    "Event.set, clear": ("x = sk.Event()", "x.set(); x.clear()"),
    "Event.is_set": ("x = sk.Event()", "x.is_set()"),
    "Event.wait, set": ("x = sk.Event(); x.set()", "x.wait()"),
    "Condition.notify": ("x = sk.Condition(); x.acquire()", "x.notify()"),
    "Condition, with": ("x = sk.Condition()", "with x: pass"),
    "Barrier.wait, alone": ("x = sk.Barrier(1)", "x.wait()"),
    "Array.fetch_add": ("x = sk.Array(8, 'i8')", "x.fetch_add(3, 1)"),
    "Array[i]": ("x = sk.Array(8, 'i8')", "x[3]"),
    "Array.compare_exchange": ("x = sk.Array(8, 'i8')", "x.compare_exchange(3, 0, 0)"),
    "Array.add_at, 1,000": ("x = sk.Array(1000, 'i8'); at = np.arange(1000)[::-1].copy()", "x.add_at(at, 1)"),
    "Array.lock": ("x = sk.Array(8, 'i8')", "with x.lock: pass"),
    "Queue, 100 B": ("x = sk.Queue(); item = bytes(100)", "x.put(item); x.get()"),
    "Queue, an int": ("x = sk.Queue()", "x.put(7); x.get()"),
    "Queue, bounded": ("x = sk.Queue(10); item = bytes(100)", "x.put(item); x.get()"),
    "Queue, 100 kB array": ("x = sk.Queue(); item = np.zeros(12500)", "x.put(item); x.get()"),
    "Queue, 32 at once": ("x = sk.Queue(); items = [bytes(100)] * 32", "x.put_many(items); x.get_many(32)"),
    "Queue.qsize": ("x = sk.Queue()", "x.qsize()"),
    "Dict get": ("x = sk.Dict({f'key {i}': i for i in range(1000)})", "x['key 77']"),
    "Dict get, int key": ("x = sk.Dict({i: i for i in range(1000)})", "x[77]"),
    "Dict get, tuple key": ("x = sk.Dict({(i, 'a'): i for i in range(1000)})", "x[77, 'a']"),
    "Dict set": ("x = sk.Dict({f'key {i}': i for i in range(1000)})", "x['key 77'] = 5"),
    "Dict set, del": ("x = sk.Dict({f'key {i}': i for i in range(1000)})", "x['new'] = 5; del x['new']"),
    "Dict in": ("x = sk.Dict({f'key {i}': i for i in range(1000)})", "'key 77' in x"),
    "Dict.add": ("x = sk.Dict({f'key {i}': i for i in range(1000)})", "x.add('key 77', 1)"),
    "Dict, 1 kB value": ("x = sk.Dict(); item = bytes(1000)", "x['a'] = item; x['a']"),
    "Dict, 100 kB array": ("x = sk.Dict(); item = np.zeros(12500)", "x['a'] = item; x['a']"),
    "sha256, 1,000 of 64 B": ("items = [bytes(64)] * 1000", "hs.hash_many(items, 'sha256')"),
    "xxh3_64, 1,000 of 64 B": ("items = [bytes(64)] * 1000", "hs.hash_many(items, 'xxh3_64')"),
    "xxh3_64, uint64 column": ("items = np.arange(10000, dtype='u8')", "hs.hash_many(items, 'xxh3_64')"),
    "xxh3_64, 1,000 str": ("items = [f'key {i}' for i in range(1000)]", "hs.hash_many(items, 'xxh3_64')"),
    "thread Lock": ("x = th.Lock()", "x.acquire(); x.release()"),
    "thread Queue": ("x = th.Queue()", "x.put(7); x.get()"),
    "thread Counter.add": ("x = th.Counter()", "x.add(1)"),
    "thread Dict get": ("x = th.Dict(a=1)", "x['a']"),
    "server Counter.add": ("x = server().Counter()", "x.add(1)"),
    "server Queue": ("x = server().Queue()", "x.put(7); x.get()"),
}  # fmt: skip


def serve() -> None:
    """Serve one build: read a row's name; answer with the nanoseconds of a call, or with what is missing."""
    import pickle

    import numpy as np

    import sharedkit as sk
    from sharedkit import hashing

    contexts: list[Any] = []

    def server() -> Any:
        if not contexts:
            contexts.append(sk.get_context("manager").__enter__())
        return contexts[0]

    names: dict[str, Any] = {"sk": sk, "hs": hashing, "np": np, "pickle": pickle, "th": sk.get_context("thread")} | {
        "server": server
    }
    timers: dict[str, tuple[timeit.Timer, int]] = {}
    print(json.dumps(sk.__file__), flush=True)
    for line in sys.stdin:
        name = line.rstrip("\n")
        try:
            if name not in timers:
                made, timed = ROWS[name]
                # The processor time of this process does not include a server's.
                clock = time.perf_counter if name.startswith("server") else time.process_time
                timer = timeit.Timer(timed, made, clock, dict(names))
                loops = 1
                while (took := timer.timeit(loops)) < TURN / 2:
                    loops *= 2 if took == 0 else max(2, min(100, int(TURN / took)))
                timers[name] = timer, loops
            timer, loops = timers[name]
            print(json.dumps(timer.timeit(loops) / loops * 1e9), flush=True)
        except (AttributeError, TypeError) as why:
            print(json.dumps(str(why)), flush=True)
    for context in contexts:
        context.__exit__(None, None, None)


class Build:
    """A process with one of the builds."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-W", "ignore", __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.file = self.answer()

    def answer(self) -> float | str:
        assert self.process.stdout is not None
        answer: float | str = json.loads(self.process.stdout.readline())
        return answer

    def turn(self, row: str) -> float | str:
        assert self.process.stdin is not None
        print(row, file=self.process.stdin, flush=True)
        return self.answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


def main() -> None:
    other_python, *words = arguments(__doc__, least=1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    this, other = Build(sys.executable), Build(other_python)
    if this.file == other.file:
        sys.exit(f"both interpreters import {this.file}: unset PYTHONPATH, and give the interpreter of another build")
    print(f"{'ns a call':28} {'other':>12} {'this':>12}  this/other")
    for row in ROWS:
        if words and not any(word in row for word in words):
            continue
        pairs = []
        for n in range(ROUNDS):
            first, second = (this, other) if n % 2 else (other, this)
            a, b = first.turn(row), second.turn(row)
            pairs.append((b, a) if n % 2 else (a, b))
        numbers = [(a, b) for a, b in pairs if isinstance(a, float) and isinstance(b, float)]
        if len(numbers) < ROUNDS:
            print(
                f"{row:28} not in one of them: {next(each for pair in pairs for each in pair if isinstance(each, str))}"
            )
            continue
        least = [min(column) for column in zip(*numbers, strict=True)]
        ratio = statistics.median(b / a for a, b in numbers)
        print(f"{row:28} {least[0]:12,.1f} {least[1]:12,.1f}  {ratio:.3f}", flush=True)
    this.end()
    other.end()


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main()
