"""The workload `queue` from event loops: the programs of producers and consumers that await."""

from __future__ import annotations

from typing import Any

from sharedkit.compare.crew import Clock
from sharedkit.compare.messages import Arrivals, Plan, arrivals, make

__all__ = ["consume", "produce"]


async def produce(plan: Plan, shared: Any, rank: int, amount: int, clock: Clock) -> None:
    """Put all messages; works for an `asyncio.Queue` and for a sharedkit Queue."""
    items = make(rank, amount, plan.size)
    put = getattr(shared, "aput", shared.put)
    with clock:
        for item in items:
            await put(item)
        for _ in range(plan.consumers):
            await put(None)


async def consume(plan: Plan, shared: Any, _rank: int, _amount: int, clock: Clock) -> Arrivals:
    """Take messages until every producer has put its mark."""
    taken: list[bytes] = []
    keep, get, marks = taken.append, getattr(shared, "aget", shared.get), plan.producers
    with clock:
        while marks:
            item = await get()
            if item is None:
                marks -= 1
            else:
                keep(item)
    return arrivals(taken, plan.size)
