"""The workload `queue` in one event loop: producers and consumers are tasks of `asyncio.Queue`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sharedkit.compare.messages import Plan, arrivals, make
from sharedkit.compare.workload import Course, Lap

__all__ = ["asyncio_course"]


@contextmanager
def asyncio_course(plan: Plan, room: int) -> Iterator[Course]:
    """A course on one event loop that lives for all laps."""
    with asyncio.Runner() as runner:
        yield lambda amount: runner.run(_lap(plan, room, amount))


async def _lap(plan: Plan, room: int, amount: int) -> Lap:
    shared: asyncio.Queue[bytes | None] = asyncio.Queue(room)
    stores = [make(producer, amount, plan.size) for producer in range(plan.producers)]
    taken: list[list[bytes]] = [[] for _ in range(plan.consumers)]

    async def produce(items: list[bytes]) -> None:
        for item in items:
            await shared.put(item)
        for _ in range(plan.consumers):
            await shared.put(None)

    async def consume(items: list[bytes]) -> None:
        marks = plan.producers
        while marks:
            item = await shared.get()
            if item is None:
                marks -= 1
            else:
                items.append(item)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for items in stores:
            group.create_task(produce(items))
        for items in taken:
            group.create_task(consume(items))
    seconds = time.perf_counter() - start
    return Lap(seconds, [arrivals(items, plan.size) for items in taken])
