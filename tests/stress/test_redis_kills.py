"""Clients of a Redis server are killed, blocked in each method that waits and just served: what they would have got, or
held, goes to the client that waits next, and nothing is lost. The run prints a table of it.

The killed client is the first in line and this process the second. "Blocked": the client is killed, and then the thing is
given. "Served": it is given to the client, which is killed within 3 ms, before or after its method has returned.
"""

from __future__ import annotations

import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_peers import ended, forked
from redis_server import ABSENT, Server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

KILLS = 50
AT_ONCE = 10  # clients that live at the same time
LONGEST = 0.003  # seconds between the giving and the kill
SLACK = 5.0  # seconds by which a busy machine may be late
NEXT = 1.5  # seconds after which the next has it, on a machine that is not busy


@dataclass(frozen=True)
class Method:
    """`make` a structure in which the method waits; `wait` in it; `give` what ends one wait. `second` is what the next
    client does and gets instead of the same wait, if it is something else. `kept`: a client that has got the thing and
    dies keeps it, so that `give` must be called again for the next one."""

    name: str
    make: Callable[[Any], Any]
    wait: Callable[[Any], Any]
    give: Callable[[Any], Any]
    waiting: Callable[[Any], int]
    second: Callable[[Any], Any] | None = None
    twice: str = "never"


def taken(make: Callable[[Any], Any], take: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def made(ctx: Any) -> Any:
        structure = make(ctx)
        take(structure)
        return structure

    return made


def in_condition(c: Any) -> bool:
    with c:
        return bool(c.wait())


def notify(c: Any) -> None:
    with c:
        c.notify()


def in_line(structure: Any) -> int:
    s = structure.statistics()
    names = ("waiting", "waiting_getters", "waiting_putters", "waiting_readers", "waiting_writers")
    return sum(int(getattr(s, name, 0)) for name in names)


def passes(b: Any) -> str:
    try:
        return str(b.wait())
    except BrokenBarrierError:
        return "broken"


def joiners(q: Any) -> int:
    return int(q._session.ask(q.lua, q._base, b"statistics")[0] is not None)


METHODS = (
    Method("Queue.get", lambda ctx: ctx.Queue(), lambda q: q.get(), lambda q: q.put("it"), in_line, twice="if it had returned"),
    Method(
        "Queue.put", taken(lambda ctx: ctx.Queue(1), lambda q: q.put("first")), lambda q: q.put("it"),
        lambda q: q.get(), in_line,
    ),
    Method("Lock.acquire", taken(lambda ctx: ctx.Lock(), lambda x: x.acquire()), lambda x: x.acquire(), lambda x: x.release(), in_line),
    Method("RLock.acquire", taken(lambda ctx: ctx.RLock(), lambda x: x.acquire()), lambda x: x.acquire(), lambda x: x.release(), in_line),
    Method("Semaphore.acquire", lambda ctx: ctx.Semaphore(0), lambda s: s.acquire(), lambda s: s.release(), in_line, twice="if it had returned"),
    Method(
        "BoundedSemaphore.acquire", taken(lambda ctx: ctx.BoundedSemaphore(1), lambda s: s.acquire()),
        lambda s: s.acquire(), lambda s: s.release(), in_line,
    ),
    Method("RWLock.acquire_read", taken(lambda ctx: ctx.RWLock(), lambda x: x.acquire_write()), lambda x: x.acquire_read(), lambda x: x.release_write(), in_line),
    Method("RWLock.acquire_write", taken(lambda ctx: ctx.RWLock(), lambda x: x.acquire_write()), lambda x: x.acquire_write(), lambda x: x.release_write(), in_line),
    Method("Event.wait", lambda ctx: ctx.Event(), lambda e: e.wait(), lambda e: e.set(), in_line),
    Method("Condition.wait", lambda ctx: ctx.Condition(), in_condition, notify, in_line, twice="if it had returned"),
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="kills") as context:
        yield context


def waits_and_says(wait: Callable[[Any], Any], structure: Any) -> Callable[[int], None]:
    def work(writes: int) -> None:
        wait(structure)
        os.write(writes, b"t")
        time.sleep(60)

    return work


def timed(wait: Callable[[Any], Any], structure: Any) -> tuple[Any, float]:
    result = wait(structure)
    return result, time.monotonic()


def kill(method: Method, served: bool, ctx: Any, kills: int) -> dict[str, Any]:
    chance = random.Random(len(method.name) + served)
    returned = lost = twice = 0
    spans: list[float] = []
    for first in range(0, kills, AT_ONCE):
        structures = [method.make(ctx) for _ in range(min(AT_ONCE, kills - first))]
        children = [forked(waits_and_says(method.wait, each)) for each in structures]
        for each in structures:
            until(lambda each=each: method.waiting(each) == 1)  # type: ignore[misc]
        others = [Task(timed, method.wait, each) for each in structures]
        for each in structures:
            until(lambda each=each: method.waiting(each) == 2)  # type: ignore[misc]
        since, had_returned = [], []
        for each, child in zip(structures, children, strict=True):
            if served:
                method.give(each)
                time.sleep(chance.random() * LONGEST)
            had_returned.append(bool(ended(*child)))
            since.append(time.monotonic())
            if not served:
                method.give(each)
        for each, other, began, had in zip(structures, others, since, had_returned, strict=True):
            returned += had
            try:
                until(lambda other=other: other.done, 2 * NEXT + SLACK)  # type: ignore[misc]
            except AssertionError:
                if method.name == "Condition.wait" and had:  # it was notified, and returned: its notification is used up
                    method.give(each)
                elif method.name == "Queue.put":  # the item of the dead client went in, and nobody has taken it yet
                    assert each.get() == "it"
                    lost += had and other.result()[0] is not None
                    continue
                else:
                    lost += 1
                    continue
            result, when = other.result()
            spans.append(when - began)
            twice += had and method.twice != "never"
            each.close()
    spans.sort()
    return {
        "method": method.name, "killed": "served" if served else "blocked", "kills": kills, "had returned": returned,
        "lost": lost, "twice": twice,
        "median s": round(spans[len(spans) // 2], 3) if spans else 0.0, "longest s": round(spans[-1], 3) if spans else 0.0,
    }  # fmt: skip


@pytest.mark.stress
@pytest.mark.parametrize("served", [False, True], ids=["blocked", "served"])
@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_what_a_killed_client_would_have_got_goes_to_the_next(method: Method, served: bool, ctx: Any, soaks: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sk.OwnerDiedWarning)
        row = kill(method, served, ctx, KILLS)
    soaks("clients of a Redis server, killed while they wait", row)
    assert row["lost"] == 0, row
    assert row["longest s"] < NEXT + SLACK, row
