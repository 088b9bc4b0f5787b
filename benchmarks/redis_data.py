"""The cost of Dict, Value and Array in a Redis server, beside redis-py's own commands, in one run.

    python benchmarks/redis_data.py [URL]

Without a URL a server is started for it, as the tests do. Each figure is the best of some rounds. Arrays of 100 MB are
compared with SETRANGE and GETRANGE of 1 MiB each: by redis-py, and as bare as can be, through the module `address`.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import numpy as np
import redis
from redis_server import Server

import sharedkit as sk
from benchmarks.usage import arguments
from sharedkit.redis.address import Address, pack, send

ROUNDS = 5
SIZE, CHUNK = 100 << 20, 1 << 20


def best_of_each(calls: dict[str, Callable[[], object]], times: int = 1) -> dict[str, float]:
    """Seconds of each call; the calls of a round take turns, so that all of them meet the same machine."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for what, call in calls.items():
            began = time.perf_counter()
            for _ in range(times):
                call()
            found[what] = min(found[what], (time.perf_counter() - began) / times)
    return found


def small(bare: Any, ctx: Any) -> None:
    d, value, array = ctx.Dict(k=1, n=0), ctx.Value("i"), ctx.Array(10, "i8")
    spent = best_of_each(
        {
            "redis-py HSET": lambda: bare.hset("{data:bare}", "k", "1"),
            "redis-py HGET": lambda: bare.hget("{data:bare}", "k"),
            "d[k] = 1": lambda: d.__setitem__("k", 1),
            "d[k]": lambda: d["k"],
            "d.add(k)": lambda: d.add("n"),
            "value.value": lambda: value.value,
            "array[3]": lambda: array[3],
            "array[3] = 1": lambda: array.__setitem__(3, 1),
            "array.fetch_add(3, 1)": lambda: array.fetch_add(3, 1),
        },
        500,
    )
    for what, seconds in spent.items():
        print(f"{what:32} {seconds * 1e6:8.0f} µs")
    value.close()


def many(ctx: Any) -> None:
    d, array = ctx.Dict(), ctx.Array(1_000_000, "i8")
    keys, places = dict.fromkeys(range(100_000), 1), np.random.default_rng(1).integers(0, 1_000_000, 100_000)
    spent = best_of_each(
        {
            "update of 100,000 keys": lambda: d.update(keys),
            "as_dict of 100,000 keys": d.as_dict,
            "add_at of 100,000": lambda: array.add_at(places, 1),
        }
    )
    for what, seconds in spent.items():
        print(f"{what:32} {seconds * 1e3:8.0f} ms")


def large(bare: Any, ctx: Any, url: str) -> None:
    data = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)
    connection = Address(url, 60.0).connect()
    key, array = "{data:bare}:large", ctx.Array(SIZE, "u1")

    def plain(*parts: bytes) -> Any:
        send(connection, pack(*parts))
        return connection.read_response(disable_decoding=True)

    def put(set_range: Callable[[int, bytes], object]) -> None:
        bare.unlink(key)
        set_range(SIZE - 1, b"\0")
        for at in range(0, SIZE, CHUNK):
            set_range(at, data[at : at + CHUNK].tobytes())

    def take(get_range: Callable[[int, int], bytes]) -> None:
        out = np.empty(SIZE, np.uint8)
        for at in range(0, SIZE, CHUNK):
            out[at : at + CHUNK] = np.frombuffer(get_range(at, at + CHUNK - 1), np.uint8)

    name = key.encode()
    spent = best_of_each(
        {
            "SETRANGE, bare": lambda: put(lambda at, some: plain(b"SETRANGE", name, b"%d" % at, some)),
            "SETRANGE, redis-py": lambda: put(lambda at, some: bare.setrange(key, at, some)),
            "array[...] = data": lambda: array.__setitem__(..., data),
            "array[1:] = data[1:]": lambda: array.__setitem__(slice(1, None), data[1:]),
            "Array.from_array(data)": lambda: ctx.Array.from_array(data).close(),
            "GETRANGE, bare": lambda: take(lambda low, high: plain(b"GETRANGE", name, b"%d" % low, b"%d" % high)),
            "GETRANGE, redis-py": lambda: take(lambda low, high: bare.getrange(key, low, high)),
            "array.ndarray": lambda: array.ndarray,
        }
    )
    for what, seconds in spent.items():
        print(f"100 MiB by {what:22} {seconds * 1e3:7.0f} ms = {SIZE / seconds / 1e9:5.2f} GB/s")
    print(f"in: {spent['SETRANGE, bare'] / spent['array[...] = data']:.2f} of bare SETRANGE")
    print(f"out: {spent['GETRANGE, bare'] / spent['array.ndarray']:.2f} of bare GETRANGE")
    bare.delete(key, "{data:bare}")
    connection.disconnect()


def main(url: str) -> None:
    bare = redis.Redis.from_url(url)
    print(f"{platform.node()}, Python {platform.python_version()}, {bare.info('server')['redis_version']}")
    with sk.get_context("redis", url=url, prefix="data", timeout=60.0) as ctx:
        small(bare, ctx)
        many(ctx)
        large(bare, ctx, url)
    bare.close()


if __name__ == "__main__":
    url = arguments(__doc__, most=1)
    if url:
        main(url[0])
    else:
        with Server() as server:
            main(server.url)
