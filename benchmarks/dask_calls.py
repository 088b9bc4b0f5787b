"""The cost of calls by `Executor(on=client)`, beside that of the bare Dask client, in one run.

    python benchmarks/dask_calls.py [URL]

Without a URL a Redis server is started for it, as the tests do. The cluster is a LocalCluster of two workers with one
thread each. The rounds of both alternate; a figure is the median of all rounds, the best one beside it.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

import distributed
import numpy as np
from redis_server import Server

import sharedkit as sk
from benchmarks.usage import arguments

ROUNDS = 15
LONE = 50  # calls in a round, each submitted when the one before is over
BULK = 1000
ARRAY = 1_000_000  # float64


def double(x: Any) -> Any:
    return 2 * x


def total(array: Any) -> float:
    return float(array.sum())


def seconds(call: Callable[[], object]) -> float:
    """How long the call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def lone(submit: Callable[..., Any]) -> None:
    """Calls one after the other."""
    for x in range(LONE):
        assert submit(double, x).result() == 2 * x


def main(url: str) -> None:
    array = np.ones(ARRAY)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
        sk.get_context("redis", url=url, prefix="bench") as ctx,
        ctx.Executor(on=client) as executor,
    ):

        def submit(fn: Callable[..., Any], *args: Any) -> Any:
            return client.submit(fn, *args, pure=False)

        pairs: dict[str, tuple[int, Callable[[], object], Callable[[], object]]] = {
            "a call and its result": (LONE, lambda: lone(executor.submit), lambda: lone(submit)),
            f"{BULK} calls by map": (
                1,
                lambda: list(executor.map(double, range(BULK))),
                lambda: client.gather(client.map(double, range(BULK), pure=False)),
            ),
            f"{BULK} calls by submit": (
                1,
                lambda: [each.result() for each in [executor.submit(double, x) for x in range(BULK)]],
                lambda: client.gather([submit(double, x) for x in range(BULK)]),
            ),
            "an array of 8 MB": (
                1,
                lambda: executor.submit(total, array).result(),
                lambda: submit(total, client.scatter(array, hash=False)).result(),
            ),
        }
        spent: dict[str, list[tuple[float, float]]] = {what: [] for what in pairs}
        list(executor.map(double, range(100)))  # the children start
        for _ in range(ROUNDS):
            for what, (_, ours, bare) in pairs.items():
                spent[what].append((seconds(ours), seconds(bare)))
        print(f"{platform.node()}, Python {platform.python_version()}, distributed {distributed.__version__}")
        for what, rounds in spent.items():
            times = pairs[what][0]
            mine, theirs = ([1e3 * each[side] / times for each in rounds] for side in (0, 1))
            middle, other = statistics.median(mine), statistics.median(theirs)
            print(
                f"{what:22} {middle:8.2f} ms = {middle / other:4.2f} of Dask's {other:8.2f} ms;"
                f" best {min(mine):8.2f} = {min(mine) / min(theirs):4.2f} of {min(theirs):8.2f}"
            )


if __name__ == "__main__":
    url = arguments(__doc__, most=1)
    if url:
        main(url[0])
    else:
        with Server() as server:
            main(server.url)
