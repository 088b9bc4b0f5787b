"""The workload `queue`: producers put small numbered messages, consumers take them.

In the end, every producer puts one end mark for each consumer, and a consumer leaves when it has taken as many marks as
there are producers. So the last item in the queue is always a mark, and no message can be left behind it.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sharedkit.compare import asyncio_queue
from sharedkit.compare.crew import Clock
from sharedkit.compare.entry import AWAITED, PLACEMENTS, Entry, Placement, SharedStateWorkload, in_redis, local, managed
from sharedkit.compare.messages import SMALLEST, Arrivals, Plan, arrivals, check, make
from sharedkit.compare.numbers import counted
from sharedkit.compare.tasks import in_a_loop
from sharedkit.compare.workload import BadInput, Lap, Settings

__all__ = ["QueueWorkload"]

ROOM = 1000
"""The number of messages that the bounded queues hold."""
HELD = 96 * 1024 * 1024
"""Bytes of messages that one lap keeps in each process, to check them afterwards."""

Role = Callable[[Plan, Any, int, int, Clock], Any]


def _produce(plan: Plan, shared: Any, rank: int, amount: int, clock: Clock) -> None:
    items = make(rank, amount, plan.size)
    put = shared.put
    with clock:
        for item in items:
            put(item)
        for _ in range(plan.consumers):
            put(None)


def _consume(plan: Plan, shared: Any, _rank: int, _amount: int, clock: Clock) -> Arrivals:
    taken: list[bytes] = []
    keep, get, marks = taken.append, shared.get, plan.producers
    with clock:
        while marks:
            item = get()
            if item is None:
                marks -= 1
            else:
                keep(item)
    return arrivals(taken, plan.size)


def _produce_lists(plan: Plan, shared: Any, rank: int, amount: int, clock: Clock) -> None:
    items = make(rank, amount, plan.size)
    put = shared.put
    with clock:
        for at in range(0, amount, plan.batch):
            put(items[at : at + plan.batch])
        for _ in range(plan.consumers):
            put(None)


def _consume_lists(plan: Plan, shared: Any, _rank: int, _amount: int, clock: Clock) -> Arrivals:
    taken: list[bytes] = []
    keep, get, marks = taken.extend, shared.get, plan.producers
    with clock:
        while marks:
            items = get()
            if items is None:
                marks -= 1
            else:
                keep(items)
    return arrivals(taken, plan.size)


def _produce_many(plan: Plan, shared: Any, rank: int, amount: int, clock: Clock) -> None:
    items = make(rank, amount, plan.size)
    put_many = shared.put_many
    with clock:
        for at in range(0, amount, plan.batch):
            put_many(items[at : at + plan.batch])
        put_many([None] * plan.consumers)


def _consume_many(plan: Plan, shared: Any, _rank: int, _amount: int, clock: Clock) -> Arrivals:
    taken: list[bytes] = []
    keep, get_many, marks, alone = taken.extend, shared.get_many, plan.producers, plan.producers == 1
    with clock:
        while marks:
            items = get_many()
            # After one producer's mark only marks can follow, so checking the last item is enough.
            if not alone or items[-1] is None:
                came = items.count(None)
                items = [item for item in items if item is not None]
                surplus = max(0, came - marks)
                shared.put_many([None] * surplus)
                marks -= came - surplus
            keep(items)
    return arrivals(taken, plan.size)


@contextmanager
def _queue(context: Any) -> Iterator[Any]:
    made = context.Queue(ROOM)
    try:
        yield made
    finally:
        made.close()
        made.join_thread()


@contextmanager
def _simple_queue(context: Any) -> Iterator[Any]:
    made = context.SimpleQueue()
    try:
        yield made
    finally:
        made.close()


class QueueWorkload(SharedStateWorkload):
    """An amount is one message from every producer. Half of the workers produce, at least one; the others consume."""

    name = "queue"
    unit = "messages"
    smallest = 100

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        producers = max(1, settings.workers // 2)
        self.plan = Plan(producers, max(1, settings.workers - producers), settings.item_bytes)
        self.largest = max(self.smallest, HELD // settings.item_bytes)

    def prepare(self) -> None:
        """Check that a message has room for its number. Raises BadInput."""
        if self.plan.size < SMALLEST:
            raise BadInput(f"a message needs at least {SMALLEST} bytes for its number: {self.plan.size}")

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        plan = self.plan
        return (
            f"{plan.size}-byte messages, {counted(plan.producers, 'producer')} → {counted(plan.consumers, 'consumer')}"
        )

    def entries(self) -> list[Entry]:
        """The standard library's queues, then sharedkit's in every placement."""

        def crew(produce: Role, consume: Role) -> list[Any]:
            producers = [partial(produce, self.plan)] * self.plan.producers
            return [*producers, *[partial(consume, self.plan)] * self.plan.consumers]

        def ours(placement: Placement, what: str, produce: Role, consume: Role) -> Entry:
            made = local(lambda: placement.context.Queue(ROOM))
            roles = crew(produce, consume)
            return Entry(placement.where, placement.name(what), "sharedkit", made, roles, placement=placement)

        def theirs(where: str, name: str, made: Any, produce: Role = _produce, consume: Role = _consume) -> Entry:
            return Entry(where, name, "stdlib", made, crew(produce, consume))

        tasks: list[Any] = crew(asyncio_queue.produce, asyncio_queue.consume)
        placements = (*PLACEMENTS, *in_redis(self.settings))
        loops = [
            *[in_a_loop(asyncio_queue.produce, self.plan)] * self.plan.producers,
            *[in_a_loop(asyncio_queue.consume, self.plan)] * self.plan.consumers,
        ]
        shared = local(lambda: AWAITED.context.Queue(ROOM))
        lists = "multiprocessing.Queue, lists"
        return [
            theirs("processes", "multiprocessing.Queue", _queue),
            theirs("processes", "multiprocessing.SimpleQueue", _simple_queue),
            theirs("processes", "Manager().Queue", managed(lambda manager: manager.Queue(ROOM))),
            theirs("processes", lists, _queue, _produce_lists, _consume_lists),
            theirs("threads", "queue.Queue", local(lambda: queue.Queue[Any](ROOM))),
            theirs("threads", "queue.SimpleQueue", local(queue.SimpleQueue)),
            Entry("asyncio", "asyncio.Queue", "stdlib", local(lambda: asyncio.Queue[Any](ROOM)), tasks),
            *(ours(placement, "Queue", _produce, _consume) for placement in placements),
            Entry("asyncio", "sharedkit Queue", "sharedkit", shared, tasks),
            Entry("processes", "sharedkit Queue, awaited", "sharedkit", shared, loops),
            *(ours(placement, "Queue, batches", _produce_many, _consume_many) for placement in placements),
        ]

    def operations(self, amount: int) -> int:
        """The number of messages."""
        return amount * self.plan.producers

    def volume(self, amount: int) -> int:
        """The number of bytes of all messages."""
        return self.operations(amount) * self.plan.size

    def verify(self, amount: int, lap: Lap) -> str:
        """Check that every message came once, each producer's in order."""
        check([came for came in lap.results if came is not None], self.plan, amount)
        return "exact"

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return "every message came once, each producer's in order"
