"""Streams beside queues and beside a memcpy loop into a ring of slots, and beside global-buffer if it is installed.

    python benchmarks/streams.py          every row
    python benchmarks/streams.py arrays   the rows whose names contain the word

Each figure is the best of three runs of a second, in one run of the program. Readers are processes of their own.
"memcpy" fills as many slots of ordinary shared memory as the stream has, one after the other, and nobody reads them.
"""

from __future__ import annotations

import multiprocessing as mp
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import sharedkit as sk
from benchmarks.usage import arguments

RUNS, SECONDS = 3, 1.0
FORK = mp.get_context("fork")


def read_all(reader: Any, ready: Any, total: Any) -> None:
    ready.set()
    total.add(sum(1 for _ in reader))


def look_at_all(stream: Any, ready: Any, total: Any) -> None:
    reader, seen = stream.reader(), 0
    ready.set()
    try:
        while True:
            with reader.read() as view:
                seen += int(view[0, 0]) >= 0
    except sk.ShutDown:
        total.add(seen)


def follow(stream: Any, ready: Any, total: Any) -> None:
    reader, seen = stream.reader(), 0
    ready.set()
    try:
        while True:
            reader.latest()
            seen += 1
    except sk.ShutDown:
        total.add(seen)


def read_from_stream(stream: Any, ready: Any, total: Any) -> None:
    read_all(stream.reader(), ready, total)


def one_run(
    structure: Any, targets: list[tuple[Callable[..., None], Any]], write: Callable[[], None]
) -> tuple[float, float]:
    """Writes, and messages that all readers together have seen, both in a second."""
    total = sk.Counter()
    ready = [sk.Event() for _ in targets]
    crew = [
        FORK.Process(target=target, args=(end, event, total))
        for (target, end), event in zip(targets, ready, strict=True)
    ]
    for process in crew:
        process.start()
    for event in ready:
        event.wait()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        for _ in range(16):
            write()
        count += 16
    structure.shutdown()
    for process in crew:
        process.join()
    passed = time.perf_counter() - began
    return count / passed, total.value / passed


def best(make: Callable[[], tuple[Any, list[Any], Callable[[], None]]]) -> tuple[float, float]:
    return max((one_run(*make()) for _ in range(RUNS)), key=lambda rates: rates[1] or rates[0])


def ring(array: np.ndarray[Any, Any], slots: int) -> float:
    """Copies in a second into a ring of shared memory."""
    memory = sk.Array((slots, *array.shape), array.dtype)
    places = [memory.ndarray[i] for i in range(slots)]
    rates = []
    for _ in range(RUNS):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            for place in places:
                np.copyto(place, array)
            count += slots
        rates.append(count / (time.perf_counter() - began))
    return max(rates)


def filled(shape: tuple[int, ...], slots: int) -> float:
    memory = sk.Array((slots, *shape), "u1")
    places = [memory.ndarray[i] for i in range(slots)]
    rates = []
    for _ in range(RUNS):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            for place in places:
                place.fill(count & 127)
            count += slots
        rates.append(count / (time.perf_counter() - began))
    return max(rates)


def small_arrays() -> None:
    array = np.zeros(8)

    def make() -> Any:
        stream = sk.Stream((8,), "f8", slots=8)
        return stream, [(follow, stream)] * 2, lambda: stream.put(array)

    writes, reads = best(make)
    line = f"arrays of 64 bytes, two readers with latest(): {writes / 1e6:.2f} M writes/s, {reads / 1e6:.2f} M reads/s"
    if find_spec("global_buffer") is not None:
        rival = max(one_run(*rival_make())[0] for _ in range(RUNS))
        line += f"; global-buffer {rival / 1e6:.2f} M writes/s: {writes / rival:.2f} times"
    print(line)


def rival_follow(names: tuple[str, Any], ready: Any, total: Any) -> None:
    import global_buffer as gb

    name, over = names
    reader, seen = gb.attach(name), 0
    ready.set()
    while not over.is_set():
        for _ in range(100):
            seen += reader.latest() is not None
    total.add(seen)
    reader.close()


def rival_make() -> Any:
    """global-buffer, whose readers are told of the end by an event."""
    import global_buffer as gb

    name, over, array = f"sk-{time.monotonic_ns()}", sk.Event(), np.zeros(8)
    buffer = gb.create(name=name, schema=gb.ArraySpec(dtype="float64", shape=(8,)), capacity=8)

    class Rival:
        def shutdown(self) -> None:
            over.set()
            buffer.close()

    return Rival(), [(rival_follow, (name, over))] * 2, lambda: buffer.write(array)


def objects() -> None:
    item = b"x" * 100

    def queue() -> Any:
        q = sk.Queue(64)
        return q, [(read_all, q)], lambda: q.put(item)

    _, one = best(queue)
    print(f"objects of 100 bytes, one Queue(64) to one consumer: {one / 1e6:.2f} M/s")
    for readers in (1, 2, 4):

        def make(readers: int = readers) -> Any:
            stream = sk.Stream(slots=64, overflow="block")
            return stream, [(read_from_stream, stream)] * readers, lambda: stream.put(item)

        _, seen = best(make)
        print(f"  stream, {readers} readers, nothing lost: {seen / 1e6:.2f} M/s delivered: {seen / one:.2f} times")


def frames(shape: tuple[int, ...], title: str) -> None:
    array = np.ones(shape, "u1")
    slots = 8

    def put() -> Any:
        stream = sk.Stream(shape, "u1", slots=slots, overflow="block")
        return stream, [(look_at_all, stream)] * 2, lambda: stream.put(array)

    def fill() -> Any:
        stream = sk.Stream(shape, "u1", slots=slots, overflow="block")

        def write() -> None:
            with stream.write() as view:
                view.fill(7)

        return stream, [(look_at_all, stream)] * 2, write

    def queues() -> Any:
        both = sk.Queue(slots), sk.Queue(slots)

        class Both:
            def shutdown(self) -> None:
                for q in both:
                    q.shutdown()

        def write() -> None:
            for q in both:
                q.put(array)

        return Both(), [(read_all, q) for q in both], write

    writes, memcpy = best(put)[0], ring(array, slots)
    two = best(queues)[0]
    print(f"arrays of {title}, put and read, two readers, nothing lost: {writes:,.0f}/s; memcpy {memcpy:,.0f}/s: "
          f"{writes / memcpy:.2f}; two queues {two:,.0f}/s: {writes / two:.1f} times")  # fmt: skip
    writes, fills = best(fill)[0], filled(shape, slots)
    print(f"  filled in place: {writes:,.0f}/s; fill of a ring {fills:,.0f}/s: {writes / fills:.2f}")


ROWS: dict[str, Callable[[], None]] = {
    "small arrays": small_arrays,
    "objects": objects,
    "arrays of 1 MB": lambda: frames((1024, 1024), "1 MB"),
    "arrays of 6.2 MB": lambda: frames((1080, 5760), "6.2 MB"),
}


def main() -> None:
    words = arguments(__doc__, most=1)
    for name, row in ROWS.items():
        if not words or words[0] in name:
            row()


if __name__ == "__main__":
    main()
