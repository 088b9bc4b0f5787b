"""The cost of calls of the placement `redis`, beside that of bare round trips of redis-py, in one run.

    python benchmarks/redis_round_trips.py [URL]

Without a URL a server is started for it, as the tests do. Each figure is the best of some rounds, in µs.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import redis
from redis_server import Server

import sharedkit as sk
from benchmarks.usage import arguments

ROUNDS = 5


def best(call: Callable[[], object], times: int, per: int = 1) -> float:
    """Microseconds of one step, if a call has `per` steps."""
    found = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            call()
        found = min(found, time.perf_counter() - began)
    return found / times / per * 1e6


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
    rows: list[tuple[str, float, float, str]] = []
    with sk.get_context("redis", url=url, prefix="bench") as ctx:
        counter, lock, queue = ctx.Counter(), ctx.Lock(), ctx.Queue()
        item, many = b"x" * 100, [b"x" * 100] * 1000
        trip = best(lambda: bare.evalsha(sha, 1, "{bench:bare}", 1), 2000)
        rows.append(("Counter.add", best(counter.add, 2000), trip, "1.2"))
        trip = min(trip, best(lambda: bare.evalsha(sha, 1, "{bench:bare}", 1), 2000))
        rows.append(("Lock acquire + release", best(lambda: (lock.acquire(), lock.release()), 1000), trip, "2.5"))
        rows.append(("Queue put + get", best(lambda: (queue.put(item), queue.get()), 1000), trip, "2.2"))
        loop = best(lambda: queue.put(item), 1000)
        queue.get_many()
        batch = best(lambda: queue.put_many(many), 10, 1000)
        queue.get_many()
        theirs = bare.lock("{bench:theirs}", timeout=10)
        rivals = best(lambda: (theirs.acquire(), theirs.release()), 500)
        print(f"{platform.node()}, Python {platform.python_version()}, {bare.info('server')['redis_version']}")
        for what, spent, base, most in rows:
            print(
                f"{what:24} {spent:7.0f} µs = {spent / base:4.2f} EVALSHA of redis-py ({base:.0f} µs); at most {most}"
            )
        print(f"{'redis-py Lock pair':24} {rivals:7.0f} µs")
        print(f"{'put_many of 1,000':24} {batch * 1000:7.0f} µs, {loop / batch:.0f} times as fast as a loop of put")
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
