"""A server that is stopped: calls with a time limit end in time; nothing is lost or taken when the server continues."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Full
from threading import BrokenBarrierError
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from processes.programs import is_stopped
from unit.manager_serving import KEY, served

import sharedkit as sk
from sharedkit.manager import stopped_server
from sharedkit.manager.requests import Requests

BRIEF = 0.2  # seconds: the timeout of a call
WAYS = {"at once": {"block": False}, "in time": {"timeout": BRIEF}}


@contextmanager
def stopped(ctx: Any) -> Iterator[int]:
    pid: int = ctx.server._process.pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid))
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    """The awaitable twin, as a call that a thread can make."""

    def call(*args: Any, **kwargs: Any) -> Any:
        async def main() -> Any:
            return await function(*args, **kwargs)

        return asyncio.run(main())

    return call


def ended(call: Callable[..., Any], **how: Any) -> Any:
    """The result of the call, once in a new thread and once in this one; it must not end before its timeout."""
    for run in (lambda: Task(call, **how).result(), lambda: call(**how)):
        begun = time.monotonic()
        try:
            answer = run()
        except (Empty, Full, BrokenBarrierError) as error:
            answer = error
        assert time.monotonic() - begun >= how.get("timeout", 0)
    return answer


each_way = pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
either = pytest.mark.parametrize("asynchronous", [False, True], ids=["here", "awaited"])


@each_way
@either
@pytest.mark.parametrize("many", [False, True])
def test_a_get_ends_and_takes_nothing(ctx: Any, how: dict[str, Any], asynchronous: bool, many: bool) -> None:
    with ctx.Queue() as q:
        q.put_many("ab")
        get = (awaited(q.aget_many) if many else awaited(q.aget)) if asynchronous else q.get_many if many else q.get
        with stopped(ctx) as pid:
            error = ended(get, **how)
            assert isinstance(error, Empty)
            assert f"pid {pid} is stopped" in str(error)
        assert [q.get(timeout=60), q.get(timeout=60)] == ["a", "b"]
        assert q.empty()


@each_way
@either
@pytest.mark.parametrize("size", [1, 100_000, 8 << 20])
@pytest.mark.parametrize("full", [False, True])
def test_a_put_ends_and_puts_nothing(ctx: Any, how: dict[str, Any], asynchronous: bool, size: int, full: bool) -> None:
    with ctx.Queue(1) as q:
        if full:
            q.put("first")
        getter = None if full else Task(q.get)  # would take the item at once
        until(lambda: full or q.statistics().waiting_getters == 1)
        item = bytes(size)
        put = awaited(q.aput) if asynchronous else q.put
        with stopped(ctx) as pid:
            error = ended(lambda **how: put(item, **how), **how)
            assert isinstance(error, Full)
            assert f"pid {pid} is stopped" in str(error)
        if getter is None:
            assert q.get(timeout=60) == "first"
        q.put("second", timeout=60)
        assert (getter.result() if getter is not None else q.get(timeout=60)) == "second"
        assert q.empty()
        assert q.unfinished_tasks == 1 + full


@pytest.mark.parametrize("size", [1, 8 << 20])
def test_a_put_that_is_left_before_it_is_sent_whole_never_begins(
    ctx: Any, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A `cancel` in a message of its own may come too late: here a second later than all else."""
    tell = Requests.tell

    def late(self: Requests, ident: int, method: str, *rest: Any) -> None:
        if method == "cancel":
            threading.Timer(1.0, tell, (self, ident, method, *rest)).start()
        else:
            tell(self, ident, method, *rest)

    monkeypatch.setattr(Requests, "tell", late)
    with ctx.Queue() as q, ctx.Queue() as other:
        getter = Task(q.get)  # would take the item at once
        until(lambda: q.statistics().waiting_getters == 1)
        with stopped(ctx):
            plug = Task(awaited(other.aput), bytes(8 << 20)) if size == 1 else None  # fills the connection
            with pytest.raises(Full):
                if plug is not None:
                    until(lambda: any(each.message for each in q._client._requests._outgoing))
                awaited(q.aput)(bytes(size), timeout=BRIEF)
        awaited(other.aput)("behind it")
        q.put("second", timeout=60)
        assert getter.result() == "second"
        assert plug is None or plug.result() is None


@each_way
@either
def test_a_batch_ends_and_puts_nothing(ctx: Any, how: dict[str, Any], asynchronous: bool) -> None:
    with ctx.Queue() as q:
        put = awaited(q.aput_many) if asynchronous else q.put_many
        with stopped(ctx):
            error = ended(lambda **how: put("abc", **how), **how)
            assert isinstance(error, Full)
            assert vars(error)["put"] is None
        q.put("later")
        assert q.get_many() == ["later"]


def _locks(ctx: Any) -> dict[str, tuple[Any, Any]]:
    """Everything that can be taken, by name, with the structures that it belongs to."""
    array, rw, condition = ctx.Array(1), ctx.RWLock(), ctx.Condition()
    held = {
        "Lock": ctx.Lock(),
        "RLock": ctx.RLock(),
        "Array": array.lock,
        "Condition": condition,
        "reader": rw.reader,
        "writer": rw.writer,
        "Semaphore": ctx.Semaphore(1),
        "BoundedSemaphore": ctx.BoundedSemaphore(1),
    }
    return {name: (each, (array, rw, condition)) for name, each in held.items()}


@each_way
@either
@pytest.mark.parametrize(
    "name", ["Lock", "RLock", "Array", "Condition", "reader", "writer", "Semaphore", "BoundedSemaphore"]
)
@pytest.mark.parametrize("held", [False, True])
def test_a_lock_is_not_taken(ctx: Any, how: dict[str, Any], asynchronous: bool, name: str, held: bool) -> None:
    thing, _ = _locks(ctx)[name]
    if held and name != "reader":
        thing.acquire()
    with stopped(ctx):
        acquire = awaited(thing.aacquire) if asynchronous else thing.acquire
        assert Task(acquire, **how).result() is False
        if not (held and name in ("RLock", "Condition")):
            assert acquire(**how) is False
    if held and name != "reader":
        thing.release()
    take = Task(lambda: (thing.acquire(timeout=60), thing.release()))
    assert take.result() == (True, None)
    assert Task(thing.acquire, False).result() is True  # it has no holder, and no waiter will become one


@either
@pytest.mark.parametrize("seconds", [0, BRIEF])
def test_an_event_ends_its_wait(ctx: Any, asynchronous: bool, seconds: float) -> None:
    with ctx.Event() as event:
        wait = awaited(event.await_) if asynchronous else event.wait
        event.set()
        with stopped(ctx):
            assert ended(wait, timeout=seconds) is False
        assert wait(timeout=seconds) is True


@either
@pytest.mark.parametrize("limit", [None, BRIEF])
def test_a_barrier_whose_wait_ends_is_broken_for_all(ctx: Any, asynchronous: bool, limit: float | None) -> None:
    with ctx.Barrier(2, timeout=limit) as barrier:
        wait = awaited(barrier.await_) if asynchronous else barrier.wait
        other = Task(barrier.wait, 60)
        until(lambda: barrier.n_waiting == 1)
        with stopped(ctx) as pid:
            error = ended(wait, **({"timeout": BRIEF} if limit is None else {}))
            assert isinstance(error, BrokenBarrierError)
            assert f"pid {pid} is stopped" in str(error)
        with pytest.raises(BrokenBarrierError):
            other.result()
        until(lambda: barrier.broken)
        barrier.reset()
        both = [Task(barrier.wait, 60), Task(barrier.wait, 60)]
        assert sorted(each.result() for each in both) == [0, 1]


def test_a_wait_that_reached_the_server_before_it_stopped_ends_in_time_and_takes_nothing(ctx: Any) -> None:
    with ctx.Queue() as q, ctx.Queue(1) as full:
        full.put("first")
        get, put = Task(q.get, timeout=2.0), Task(full.put, "left", timeout=2.0)
        lock = ctx.Lock()
        lock.acquire()
        take = Task(lock.acquire, timeout=2.0)
        until(lambda: q.statistics().waiting_getters == full.statistics().waiting_putters == lock.statistics().waiting)
        with stopped(ctx):
            for task, kind in ((get, Empty), (put, Full)):
                with pytest.raises(kind, match="is stopped"):
                    task.result()
            assert take.result() is False
        q.put("it")
        assert q.get(timeout=60) == "it"
        assert full.get(timeout=60) == "first"
        lock.release()
        assert lock.acquire(timeout=60) is True
        assert full.empty()


def test_calls_without_a_timeout_wait_until_the_server_continues(ctx: Any) -> None:
    with ctx.Queue() as q:
        lock = ctx.Lock()
        q.put_many("abc")
        with stopped(ctx):
            waits = [Task(q.get), Task(q.get, True, None), Task(awaited(q.aget)), Task(lock.acquire)]
            with pytest.raises(Empty):
                q.get(timeout=BRIEF)
            assert not any(each.done for each in waits)
        assert sorted(each.result() for each in waits[:3]) == ["a", "b", "c"]
        assert waits[3].result() is True


def test_many_calls_in_a_row_end_and_take_nothing(ctx: Any) -> None:
    with ctx.Queue() as q:
        q.put("it")

        async def wait() -> int:
            ended = 0
            for _ in range(8):
                for answer in await asyncio.gather(*(q.aget(False) for _ in range(100)), return_exceptions=True):
                    assert isinstance(answer, Empty)
                    ended += 1
            return ended

        with stopped(ctx):
            for _ in range(5):
                with pytest.raises(Empty):
                    q.get_nowait()
            assert asyncio.run(wait()) == 800  # more requests than the connection's buffers hold
        assert q.get(timeout=60) == "it"


def test_a_server_that_is_stopped_for_a_moment_makes_no_call_fail(ctx: Any) -> None:
    with ctx.Queue() as q:
        q.put("it")
        with stopped(ctx):
            get = Task(q.get, timeout=60)
        assert get.result() == "it"


def test_a_server_that_is_busy_makes_no_call_fail(ctx: Any) -> None:
    """Large items of several threads pass through it, while another thread makes calls that do not block."""
    large = bytes(32 << 20)
    with ctx.Queue() as q, ctx.Queue() as small:
        going = True

        def carry() -> None:
            while going:
                q.put(large)
                q.get()

        carriers = [Task(carry), Task(carry)]
        try:
            for i in range(50):
                small.put_nowait(i)
                assert small.get_nowait() == i
        finally:
            going = False
            for each in carriers:
                each.result()


def test_a_large_item_that_is_given_back_is_there_for_the_next_request(ctx: Any) -> None:
    """The server finds the cancelled request and the next one at once."""
    with ctx.Queue() as q:
        client = ctx.server.client()
        for size in (1, 100_000):
            q.put(bytes(size))
            came: list[Any] = []
            get = client.begin(q._ident, "get_many", (1, True, None), came.append)
            until(lambda: bool(came))  # noqa: B023
            with stopped(ctx):
                get.cancel()
                client.begin(0, "undone", (), came.append)
                requests = client.open()
                until(lambda: not (requests._outgoing or requests._sending))  # noqa: B023
            until(lambda: len(came) == 2)  # noqa: B023
            assert q.get(timeout=60) == bytes(size)


def test_stops_at_random_neither_lose_nor_duplicate_items(ctx: Any) -> None:
    """Each item that was put is got once, whichever calls timed out, at whatever point."""
    going, times = True, (0, 0.01, 0.1)
    put: list[int] = []
    got: list[int] = []
    numbers = itertools.count()

    with ctx.Queue(3) as q:

        def put_them() -> None:
            while going:
                number = next(numbers)
                with suppress(Full):
                    q.put((number, bytes(random.choice([0, 100_000, 1 << 20]))), timeout=random.choice(times))
                    put.append(number)

        def get_them() -> None:
            while going:
                with suppress(Empty):
                    got.append(q.get(timeout=random.choice(times))[0])

        async def put_and_get() -> None:
            async def puts() -> None:
                while going:
                    number = next(numbers)
                    with suppress(Full):
                        await q.aput((number, b""), timeout=random.choice(times))
                        put.append(number)

            async def gets() -> None:
                while going:
                    with suppress(Empty):
                        got.append((await q.aget(timeout=random.choice(times)))[0])

            await asyncio.gather(puts(), gets(), gets())

        tasks = [Task(put_them), Task(get_them), Task(lambda: asyncio.run(put_and_get()))]
        for _ in range(25):
            with stopped(ctx):
                time.sleep(random.choice([0.01, 0.05, 0.15]))  # a random length of the stop; nothing depends on it
            time.sleep(random.random() / 20)
        going = False
        for task in tasks:
            task.result()

        def all_there() -> bool:
            if not q.empty():
                got.extend(number for number, _ in q.get_many(block=False))
            return set(put) <= set(got)

        until(all_there)
        assert len(got) == len(set(got))


def test_over_tcp_a_silent_server_is_given_five_more_seconds() -> None:
    with served("127.0.0.1:0") as (server, shown):
        host, _, port = shown.rpartition(":")
        context: Any = sk.get_context("manager", address=(host, int(port)), authkey=KEY)
        q, lock = context.Queue(), context.Lock()
        q.put("it")
        os.kill(server.pid, signal.SIGSTOP)
        until(lambda: is_stopped(server.pid))
        begun = time.monotonic()
        calls = [Task(q.get_nowait), Task(awaited(q.aget), timeout=BRIEF), Task(lock.acquire, timeout=BRIEF)]
        with pytest.raises(Full, match=r"has said nothing for 5 s past the time"):
            q.put(bytes(8 << 20), timeout=BRIEF)
        for each in calls[:2]:
            with pytest.raises(Empty, match="has said nothing"):
                each.result()
        assert calls[2].result() is False
        assert time.monotonic() - begun >= stopped_server.SILENCE
        os.kill(server.pid, signal.SIGCONT)
        assert q.get(timeout=60) == "it"
        assert lock.acquire(timeout=60) is True
        assert q.empty()


def test_over_tcp_a_server_that_runs_makes_no_call_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers other requests, but this one later, as if its turn came late: it was told a later end."""
    monkeypatch.setattr(stopped_server, "SILENCE", 0.5)
    monkeypatch.setattr(stopped_server, "LOOK_FAR", 0.1)
    with served("127.0.0.1:0") as (_, shown):
        host, _, port = shown.rpartition(":")
        context: Any = sk.get_context("manager", address=(host, int(port)), authkey=KEY)
        q = context.Queue()
        late = Task(lambda: q._call("get_many", 1, True, 3.0, bound=0.0))
        with pytest.raises(Empty) as empty:
            late.result()
        assert not str(empty.value)
