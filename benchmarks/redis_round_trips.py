"""The cost of calls of the placement `redis`, beside that of bare round trips of redis-py, in one run.

    python benchmarks/redis_round_trips.py [URL]

Without a URL a server is started for it, as the tests do. Each figure is the best of some rounds, which
alternate.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "tests"))

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import redis
from redis_server import Server

import sharedkit as sk
from benchmarks.usage import arguments

ROUNDS = 15


class Step(NamedTuple):
    """What is measured: a call, how often it is made in a round, how many steps it has, and what follows the round."""

    call: Callable[[], object]
    times: int
    steps: int = 1
    after: Callable[[], object] = bool


def best(steps: dict[str, Step]) -> dict[str, float]:
    """Microseconds of one step of each. The rounds alternate, so that all meet the same machine."""
    found = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, (call, times, each, after) in steps.items():
            began = time.perf_counter()
            for _ in range(times):
                call()
            found[name] = min(found[name], (time.perf_counter() - began) / times / each * 1e6)
            after()
    return found


def hand_over(lock: Any, times: int = 100) -> float:
    """Microseconds from a release to the return of another thread's acquire, the median."""
    taken: list[float] = []

    def other() -> None:
        for _ in range(times):
            go.wait()
            go.clear()
            lock.acquire()
            taken.append(time.perf_counter())
            lock.release()
            done.set()

    go, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    spent = []
    for _ in range(times):
        lock.acquire()
        go.set()
        time.sleep(0.002)
        began = time.perf_counter()
        lock.release()
        done.wait()
        done.clear()
        spent.append(taken[-1] - began)
    thread.join()
    return sorted(spent)[len(spent) // 2] * 1e6


async def waits(queue: Any, count: int) -> float:
    """Seconds until `count` tasks that wait have their items, which one `aput_many` brings."""
    began = time.perf_counter()
    tasks = [asyncio.create_task(queue.aget()) for _ in range(count)]
    await asyncio.sleep(0)
    await queue.aput_many(range(count))
    await asyncio.gather(*tasks)
    return time.perf_counter() - began


def main(url: str) -> None:
    bare = redis.Redis.from_url(url)
    sha = bare.script_load("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    with sk.get_context("redis", url=url, prefix="bench") as ctx:
        counter, lock, queue, filled = ctx.Counter(), ctx.Lock(), ctx.Queue(), ctx.Queue()
        item, many = b"x" * 100, [b"x" * 100] * 1000
        theirs = bare.lock("{bench:theirs}", timeout=10)
        spent = best(
            {
                "bare": Step(lambda: bare.evalsha(sha, 1, "{bench:bare}", 1), 400),
                "Counter.add": Step(counter.add, 400),
                "Lock acquire + release": Step(lambda: (lock.acquire(), lock.release()), 200),
                "Queue put + get": Step(lambda: (queue.put(item), queue.get()), 200),
                "put": Step(lambda: filled.put(item), 400, after=filled.get_many),
                "put_many": Step(lambda: filled.put_many(many), 5, 1000, after=filled.get_many),
                "redis-py Lock pair": Step(lambda: (theirs.acquire(), theirs.release()), 50),
            }
        )
        trip = spent["bare"]
        print(f"{platform.node()}, Python {platform.python_version()}, {bare.info('server')['redis_version']}")
        for what, most in (("Counter.add", 1.2), ("Lock acquire + release", 2.5), ("Queue put + get", 2.2)):
            ratio = spent[what] / trip
            print(f"{what:24} {spent[what]:7.0f} µs = {ratio:4.2f} EVALSHA of redis-py ({trip:.0f} µs); at most {most}")
        print(f"{'redis-py Lock pair':24} {spent['redis-py Lock pair']:7.0f} µs")
        batch = spent["put_many"] * 1000
        loop = spent["put"] / spent["put_many"]
        put = f"a loop of put ({spent['put']:.0f} µs each)"
        print(f"{'put_many of 1,000':24} {batch:7.0f} µs, {loop:.0f} times as fast as {put}")
        print(f"{'contended hand-over':24} {hand_over(lock):7.0f} µs (median; redis-py's Lock looks each 100,000)")
        print(f"{'10,000 aget waits':24} {asyncio.run(waits(queue, 10_000)):7.2f} s, on one connection")
    bare.delete("{bench:bare}", "{bench:theirs}")
    bare.close()


if __name__ == "__main__":
    url = arguments(__doc__, most=1)
    if url:
        main(url[0])
    else:
        with Server() as server:
            main(server.url)
