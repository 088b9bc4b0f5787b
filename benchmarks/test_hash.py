"""Batches of messages: the loop that people write today beside one call of ours, on one thread and on two.

A list of messages fills about 4 MB at most, so small messages stay in the cache for our call as for the loop. `kind`
"floor": two threads, two processes or asyncio with today's packages; "ours": one call, one call with threads, asyncio,
and two processes over shared Arrays.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks.race import Entrant, group
from benchmarks.workloads.digesting import Digesting, Way
from benchmarks.workloads.hash_placements import OverAsyncio, OverProcesses, OverSharedArrays, plainly
from sharedkit.hashing import hash_many

SIZES = [16, 64, 256, 1024, 1 << 20]
COLUMN = 1_000_000


def package(name: str) -> tuple[Any, str | None]:
    """A module, or None and the reason why it cannot take part."""
    try:
        return importlib.import_module(name), None
    except ImportError as error:
        return None, str(error)


BLAKE3, NO_BLAKE3 = package("blake3")
XXHASH, NO_XXHASH = package("xxhash")
POLARS, NO_POLARS = package("polars")


def messages(size: int) -> list[bytes]:
    count = min(4096, max(8, (4 << 20) // size))
    data = np.random.default_rng(size).bytes(count * size)
    return [data[i * size : (i + 1) * size] for i in range(count)]


def byte_rows(digests: list[bytes]) -> np.ndarray[Any, Any]:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)


def big_endian_words(digests: list[bytes]) -> np.ndarray[Any, Any]:
    return np.frombuffer(b"".join(digests), ">u8")


def loop(make: Callable[[bytes], Any]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda batch: [make(message).digest() for message in batch]


def in_two_threads(run: Callable[[list[bytes]], list[bytes]]) -> Callable[[list[bytes]], list[bytes]]:
    pool = ThreadPoolExecutor(2)

    def both(batch: list[bytes]) -> list[bytes]:
        half = len(batch) // 2
        first, second = pool.map(run, (batch[:half], batch[half:]))
        return first + second

    return both


def ours(algorithm: str, threads: int = 1) -> Way:
    name = "sharedkit" if threads == 1 else f"sharedkit, {threads} threads"
    return Way(name, "ours", partial(hash_many, algorithm=algorithm, threads=threads), rows=np.asarray)


def placed(algorithm: str, name: str, rows: Callable[[Any], Any], why: str | None) -> list[Way]:
    """The package called `name`, and ours, with two processes and from asyncio."""
    processes, arrays = OverProcesses(algorithm), OverSharedArrays(algorithm)
    loop_over = OverAsyncio(partial(plainly, algorithm=algorithm), list.__add__)
    loop_ours = OverAsyncio(partial(hash_many, algorithm=algorithm), lambda a, b: np.concatenate((a, b)))
    shared = {"run": arrays, "rows": np.array, "place": arrays.place, "close": arrays.close}
    return [
        Way(f"{name}, 2 processes", "floor", processes, rows=rows, missing=why, close=processes.close),
        Way(f"{name}, asyncio", "floor", loop_over, rows=rows, missing=why, close=loop_over.close),
        Way("sharedkit, asyncio", "ours", loop_ours, rows=np.asarray, close=loop_ours.close),
        Way("sharedkit, 2 processes", "ours", **shared),
    ]


def ways(algorithm: str) -> list[Way]:
    if algorithm == "xxh3_64":
        make = XXHASH and XXHASH.xxh3_64_intdigest
        name, why, rows = "xxhash", NO_XXHASH, big_endian_words
        loops = [
            Way(name, "rival", lambda b: [make(m) for m in b], rows=np.array, missing=why),
            Way(
                f"{name}, 2 threads",
                "floor",
                in_two_threads(lambda b: [make(m) for m in b]),
                rows=np.array,
                missing=why,
            ),
        ]
    else:
        make = BLAKE3 and BLAKE3.blake3 if algorithm == "blake3" else getattr(hashlib, algorithm)
        name, why = ("blake3", NO_BLAKE3) if algorithm == "blake3" else ("hashlib", None)
        kind, rows = "rival" if algorithm == "blake3" else "stdlib", byte_rows
        loops = [
            Way(name, kind, loop(make), rows=rows, missing=why),
            Way(f"{name}, 2 threads", "floor", in_two_threads(loop(make)), rows=rows, missing=why),
        ]
    return [*loops, *placed(algorithm, name, rows, why), ours(algorithm), ours(algorithm, 2)]


def expected(algorithm: str, batch: Any) -> np.ndarray[Any, Any]:
    if algorithm == "xxh3_64":
        return np.array([XXHASH.xxh3_64_intdigest(m) for m in batch], np.uint64)
    make = BLAKE3.blake3 if algorithm == "blake3" else getattr(hashlib, algorithm)
    return byte_rows([make(m).digest() for m in batch])


def lists() -> list[Any]:
    entries = []
    for algorithm in ("sha384", "sha256", "blake3", "xxh3_64"):
        for size in SIZES:
            title = f"hash: {algorithm}, {size} bytes" if size < 1 << 20 else f"hash: {algorithm}, 1 MiB"
            for way in ways(algorithm):
                marks = [group(title)]
                absent = (
                    way.missing() or (algorithm == "blake3" and NO_BLAKE3) or (algorithm == "xxh3_64" and NO_XXHASH)
                )
                if absent:
                    marks.append(pytest.mark.skip(reason=f"{way.name}: {absent}"))
                entrant = Digesting(way, partial(messages, size), partial(expected, algorithm))
                entries.append(pytest.param(entrant, id=f"{algorithm}-{size}-{way.name}", marks=marks))
    return entries


@pytest.mark.parametrize("entrant", lists())
def test_a_list_of_messages(entrant: Entrant, race: Callable[[Entrant], None]) -> None:
    race(entrant)


def splitmix64(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The mixing function that NumPy programs write by hand."""
    x = column + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def integers() -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 2**64, COLUMN, np.uint64)


def texts() -> np.ndarray[Any, Any]:
    return np.array([b"key:%012d" % i for i in np.random.default_rng(2).integers(0, 10**12, COLUMN)], "S16")


def digests_of_items(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.array([XXHASH.xxh3_64_intdigest(item.tobytes()) for item in column], np.uint64)


def into(threads: int) -> Callable[[Any], Any]:
    """Ours, into one array that is used again, like a program that hashes column after column."""
    out = np.empty(COLUMN, np.uint64)
    return lambda column: hash_many(column, "xxh3_64", out=out, threads=threads)


def columns() -> list[Any]:
    entries = []
    for title, make in (("a uint64 column", integers), ("a column of 16-byte strings", texts)):
        everyone = [
            Way("sharedkit", "ours", into(1), rows=np.asarray, missing=NO_XXHASH),
            Way("sharedkit, 2 threads", "ours", into(2), rows=np.asarray, missing=NO_XXHASH),
            Way("polars", "rival", lambda s: s.hash(), missing=NO_POLARS),
        ]
        if make is integers:
            everyone.append(Way("NumPy splitmix64", "rival", splitmix64))
        for way in everyone:
            source: Callable[[], Any] = make
            if way.name == "polars":
                source = partial(polars_series, make)
            marks = [group(f"hash: xxh3_64 of {title}")]
            if why := way.missing():
                marks.append(pytest.mark.skip(reason=f"{way.name}: {why}"))
            entries.append(
                pytest.param(Digesting(way, source, digests_of_items), id=f"{title}-{way.name}", marks=marks)
            )
    return entries


def polars_series(make: Callable[[], np.ndarray[Any, Any]]) -> Any:
    column = make()
    return POLARS.Series([item.decode() for item in column] if column.dtype.kind == "S" else column)


@pytest.mark.parametrize("entrant", columns())
def test_a_column(entrant: Entrant, race: Callable[[Entrant], None]) -> None:
    race(entrant)
