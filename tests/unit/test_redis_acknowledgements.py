"""What a process has taken from a queue comes again exactly if it dies before the server has heard that it was used."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import until
from redis_peers import ended, forked
from redis_server import ABSENT, Server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

LEASE = 1.5  # seconds of the child; its heartbeat comes after a third of it


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="acks") as context:
        yield context


def in_another_lane(queue: Any, call: Callable[[], object]) -> None:
    """Call while the lane in which the item was taken is in use."""
    session = queue._session
    lane = session.home.idle.pop()
    call()
    lane.put_back()


def is_alone(queue: Any, server: Server) -> bool:
    """Look for dead sessions, and return whether this is the only one."""
    queue._read(b"look")
    return [key[:2] for key in server.ask("HKEYS", queue._base)].count(b"e ") == 1


def refused(queue: Any) -> None:
    """A call that the server refuses: it changes nothing, but it is the next one in the lane."""
    with pytest.raises(ValueError, match="task_done"):
        queue.task_done()


NEXT: dict[str, tuple[Callable[[Any, Any], object], list[str]]] = {
    "nothing": (lambda queue, other: None, ["a", "b"]),
    "a put": (lambda queue, other: queue.put("x"), ["b", "x"]),
    "a get": (lambda queue, other: queue.get(), ["b"]),
    "a put in another lane": (lambda queue, other: in_another_lane(queue, lambda: queue.put("x")), ["b", "x"]),
    "a question": (lambda queue, other: queue.qsize(), ["b"]),
    "a put of many": (lambda queue, other: queue.put_many(["x", "y"]), ["b", "x", "y"]),
    "a call on another structure": (lambda queue, other: other.add(), ["a", "b"]),
    "a call that is refused": (lambda queue, other: refused(queue), ["a", "b"]),
    "a call after one that is refused": (lambda queue, other: (refused(queue), queue.qsize()), ["b"]),
    "a put of a task": (lambda queue, other: asyncio.run(queue.aput("x")), ["b", "x"]),
    "a heartbeat": (lambda queue, other: time.sleep(LEASE), ["b"]),
}


@pytest.mark.parametrize(
    "taker, after",
    [
        (taker, after)
        for taker in ("thread", "task", "waiter")
        for after in NEXT
        if not (taker != "thread" and "refused" in after)  # others say what they acknowledge, as after a wait
    ],
)
def test_the_next_call_on_the_queue_acknowledges(ctx: Any, server: Server, taker: str, after: str) -> None:
    call, left = NEXT[after]
    name = f"{taker} {after}"
    queue = ctx.Queue(name=name)
    if taker != "waiter":
        queue.put_many("ab")
        for _ in "ab":
            queue.task_done()

    def work(writes: int) -> None:
        with sk.get_context("redis", url=server.url, prefix="acks", lease=LEASE) as own:
            mine, other = own.attach(name), own.Counter()
            assert (asyncio.run(mine.aget()) if taker == "task" else mine.get()) == "a"
            call(mine, other)
            os.write(writes, b"called")
            time.sleep(60)

    pid, reads = forked(work)
    try:
        if taker == "waiter":
            until(lambda: queue.statistics().waiting_getters == 1)
            queue.put_many("ab")
        assert os.read(reads, 100) == b"called"
    finally:
        ended(pid, reads)
    until(lambda: is_alone(queue, server))
    assert queue.get_many(timeout=0) == left


def test_what_was_taken_before_a_refusal_does_not_come_again_when_the_queue_is_closed(ctx: Any, server: Server) -> None:
    queue = ctx.Queue(name="closed")
    with sk.get_context("redis", url=server.url, prefix="acks", lease=9) as own:
        mine = own.attach("closed")
        queue.put_many("ab")
        for _ in "ab":
            queue.task_done()
        assert mine.get() == "a"
        refused(mine)
    assert queue.get_many(timeout=0) == ["b"]


def test_a_put_that_waited_at_a_shutdown_may_die_before_it_says_that_it_has_heard(ctx: Any, server: Server) -> None:
    queue = ctx.Queue(1, name="full")
    queue.put("a")

    def work(writes: int) -> None:
        with sk.get_context("redis", url=server.url, prefix="acks", lease=LEASE) as own:
            mine = own.attach("full")
            os.write(writes, b"!")
            with suppress(sk.ShutDown):
                mine.put_many("bcd")
            os.write(writes, b"heard")
            time.sleep(60)

    pid, reads = forked(work)
    try:
        assert os.read(reads, 1) == b"!"
        until(lambda: queue.statistics().waiting_putters == 1)
        queue.shutdown()
        assert os.read(reads, 100) == b"heard"
    finally:
        ended(pid, reads)
    until(lambda: is_alone(queue, server))
    assert queue.get() == "a"
    with pytest.raises(sk.ShutDown):
        queue.get()


def test_the_keys_of_a_queue_expire_however_often_it_was_empty(ctx: Any, server: Server) -> None:
    for persist in (False, True):
        queue = ctx.Queue(persist=persist)

        def lasts(queue: Any = queue) -> int:
            queue.put(1)
            left: int = server.ask("PTTL", queue._base + b":items")
            assert queue.get() == 1
            return left

        for _ in range(2):
            assert lasts() == -1 if persist else 60_000 < lasts() <= 90_000
        with sk.get_context("redis", url=server.url, prefix="acks", lease=300) as own:
            longer = own.attach(queue.name)
            assert lasts() == -1 if persist else 900_000 < lasts() <= 960_000
            longer.close()
        queue.unlink()
        assert 60_000 < lasts() <= 960_000
        queue.close()
