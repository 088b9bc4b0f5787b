"""Clients of a Redis server are killed, blocked in each method that waits and just served: what they would have got, or
held, goes to the client that waits next, and nothing is lost. The run prints a table of it.

The killed client is the first in line and this process the second. "Blocked": the client is killed, and then the
thing is given. "Served": it is given to the client, which is killed within 3 ms, before or after its method has
returned.
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
AT_ONCE = 25  # clients that live at the same time
LONGEST = 0.003  # seconds between the giving and the kill
SLACK = 5.0  # seconds by which a busy machine may be late
NEXT = 1.5  # seconds after which the next has it, on a machine that is not busy


@dataclass(frozen=True)
class Method:
    """`make` a structure in which a client can `wait`; `give` what ends one wait; `waiting` is the number of waits.
    `other` is the wait of the next client, if it differs. `finish` makes the next one's wait end, and returns whether
    all is right; it gets whether the killed client's method had returned, and whether it was killed as "served"."""

    name: str
    make: Callable[[Any], Any]
    wait: Callable[[Any], Any]
    give: Callable[[Any], Any]
    waiting: Callable[[Any, Server], int]
    finish: Callable[[Any, Task, bool, bool], bool]
    other: Callable[[Any], Any] | None = None


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


def in_line(structure: Any, server: Server) -> int:
    s = structure.statistics()
    names = ("waiting", "waiting_getters", "waiting_putters", "waiting_readers", "waiting_writers")
    return sum(int(getattr(s, name, 0)) for name in names)


def in_join(q: Any, server: Server) -> int:
    """How many wait for all tasks, which no statistics tell."""
    (key,) = server.ask("KEYS", f"{{kills:{q.name}}}:*:second") or (b"none",)
    return int(server.ask("LLEN", key))


def passes(b: Any) -> str:
    try:
        b.wait()
    except BrokenBarrierError:
        return "broken"
    return "passed"


def got_it(structure: Any, other: Task, had_returned: bool, served: bool) -> bool:
    return other.result()[0] is True


def got_the_item(q: Any, other: Task, had_returned: bool, served: bool) -> bool:
    return other.result()[0] == "it" and q.empty()


def was_notified(c: Any, other: Task, had_returned: bool, served: bool) -> bool:
    """A client that has returned may have used the notification; if it has not, the next one gets it, too."""
    if had_returned and not other.done:
        notify(c)
    return got_it(c, other, had_returned, served)


def all_are_there(q: Any, other: Task, had_returned: bool, served: bool) -> bool:
    """The items of waiting puts: that of the killed client once, or not at all if its put had not returned."""
    items = list[str]()  # "first" was taken to make room
    while "other" not in items:
        items.append(q.get(timeout=30))
    other.result()
    return items.count("killed") in ((1,) if had_returned else (0, 1))


def is_over(structure: Any, other: Task, had_returned: bool, served: bool) -> bool:
    other.result()
    return True


def broke_or_passed(b: Any, other: Task, had_returned: bool, served: bool) -> bool:
    return bool(other.result()[0] == ("passed" if served else "broken"))


def nothing(_: Any) -> None:
    pass


def acquire(x: Any) -> Any:
    return x.acquire()


def release(x: Any) -> None:
    x.release()


def lock(cls: str, *args: Any) -> Method:
    """A lock or permit, which its process holds."""
    make = taken(lambda ctx: getattr(ctx, cls)(*args), acquire)
    return Method(f"{cls}.acquire", make, acquire, release, in_line, got_it)


def side(what: str) -> Method:
    return Method(
        f"RWLock.acquire_{what}", taken(lambda ctx: ctx.RWLock(), lambda x: x.acquire_write()),
        lambda x: getattr(x, f"acquire_{what}")(), lambda x: x.release_write(), in_line, got_it,
    )  # fmt: skip


METHODS = (
    Method("Queue.get", lambda ctx: ctx.Queue(), lambda q: q.get(), lambda q: q.put("it"), in_line, got_the_item),
    Method(
        "Queue.put", taken(lambda ctx: ctx.Queue(1), lambda q: q.put("first")), lambda q: q.put("killed"),
        lambda q: q.get(), in_line, all_are_there, lambda q: q.put("other"),
    ),
    Method(
        "Queue.join", taken(lambda ctx: ctx.Queue(), lambda q: q.put(1)), lambda q: q.join(),
        lambda q: q.task_done(), in_join, is_over,
    ),
    lock("Lock"),
    lock("RLock"),
    Method("Semaphore.acquire", lambda ctx: ctx.Semaphore(0), acquire, release, in_line, got_it),
    lock("BoundedSemaphore", 1),
    side("read"),
    side("write"),
    Method("Event.wait", lambda ctx: ctx.Event(), lambda e: e.wait(), lambda e: e.set(), in_line, got_it),
    Method(
        "Condition.wait", lambda ctx: ctx.Condition(), lambda c: c.acquire() and c.wait(), notify, in_line,
        was_notified, in_condition,
    ),
    Method(
        "Barrier.wait", lambda ctx: ctx.Barrier(3), passes, nothing, lambda b, _: b.n_waiting, broke_or_passed,
    ),
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


def kill(method: Method, served: bool, ctx: Any, server: Server, kills: int) -> dict[str, Any]:
    chance = random.Random(len(method.name) + served)
    returned = wrong = 0
    spans: list[float] = []
    for first in range(0, kills, AT_ONCE):
        structures = [method.make(ctx) for _ in range(min(AT_ONCE, kills - first))]
        children = [forked(waits_and_says(method.wait, each)) for each in structures]
        for each in structures:
            until(lambda each=each: method.waiting(each, server) == 1)  # type: ignore[misc]
        others = [Task(timed, method.other or method.wait, each) for each in structures]
        for each in structures:
            until(lambda each=each: method.waiting(each, server) == 2)  # type: ignore[misc]
        since, had_returned = [], []
        give = passes if served and method.give is nothing else method.give
        for each, child in zip(structures, children, strict=True):
            if served:
                give(each)
                time.sleep(chance.random() * LONGEST)
            had_returned.append(bool(ended(*child)))
            since.append(time.monotonic())
            if not served:
                give(each)
        for each, other, began, had in zip(structures, others, since, had_returned, strict=True):
            returned += had
            wrong += not method.finish(each, other, had, served)
            spans.append(max(0.0, other.result()[1] - began))
            each.close()
    spans.sort()
    return {
        "method": method.name, "killed": "served" if served else "blocked", "kills": kills, "had returned": returned,
        "lost or wrong": wrong, "median ms": round(spans[len(spans) // 2] * 1000),
        "longest ms": round(spans[-1] * 1000),
    }  # fmt: skip


each_method = pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
each_moment = pytest.mark.parametrize("served", [False, True], ids=["blocked", "served"])


def survives(method: Method, served: bool, ctx: Any, server: Server, soaks: Any, kills: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sk.OwnerDiedWarning)
        row = kill(method, served, ctx, server, kills)
    soaks("clients of a Redis server, killed in a method that waits", row)
    assert row["lost or wrong"] == 0, row
    assert row["longest ms"] < 1000 * (NEXT + SLACK), row


@each_moment
@each_method
def test_some_killed_clients_take_nothing_along(
    method: Method, served: bool, ctx: Any, server: Server, soaks: Any
) -> None:
    survives(method, served, ctx, server, soaks, 3)


@pytest.mark.stress
@each_moment
@each_method
def test_many_killed_clients_take_nothing_along(
    method: Method, served: bool, ctx: Any, server: Server, soaks: Any
) -> None:
    survives(method, served, ctx, server, soaks, KILLS)
