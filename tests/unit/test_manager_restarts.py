"""A server is restarted at its address, or a session is begun anew: nothing old is taken for something new."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, end_by_alarm, until
from unit.manager_serving import KEY, served

import sharedkit as sk

Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@pytest.fixture
def start(path: str) -> Iterator[Start]:
    """Start a server at `path`; a previous one is killed."""
    with ExitStack() as stack:
        before: list[subprocess.Popen[str]] = []

        def run() -> subprocess.Popen[str]:
            for each in before:
                each.kill()
                each.wait(LIMIT)
            process, _ = stack.enter_context(served(path))
            before.append(process)
            return process

        yield run


@pytest.fixture
def ctx(path: str, start: Start) -> Iterator[Any]:
    start()
    with sk.get_context("manager", address=path, authkey=KEY) as context:
        yield context


def test_a_handle_of_the_previous_server_is_invalid_at_the_new_one(ctx: Any, start: Start) -> None:
    old = ctx.Queue(name="orders")
    sent = pickle.dumps(old)
    start()
    ctx.close()
    new = ctx.Queue(name="payments")
    with pytest.raises(sk.GoneError):
        old.put("an order")
    with pytest.raises(sk.GoneError):
        pickle.loads(sent)
    assert new.qsize() == 0


@pytest.mark.parametrize("kind", ["Queue", "Executor"])
def test_a_handle_dropped_by_the_previous_session_stays_open_in_the_next(ctx: Any, kind: str) -> None:
    old = getattr(ctx, kind)(name="shared", persist=True)
    other = ctx.Counter()
    ctx.close()
    new = ctx.attach("shared")
    del old
    gc.collect()
    other.close()
    ctx.Counter()
    new.statistics()


def test_a_handle_closed_in_the_child_of_a_fork_is_released(ctx: Any) -> None:
    inherited = ctx.Counter(name="inherited")
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            end_by_alarm()
            inherited.close()
            os.read(read, 1)
        finally:
            os._exit(0)
    try:
        until(lambda: inherited.statistics().attached == (os.getpid(),))
    finally:
        os.write(write, b"x")
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)


def test_a_client_gets_one_error_about_the_new_server_and_goes_on(ctx: Any, path: str, start: Start) -> None:
    old, forgotten = ctx.Queue(name="orders"), ctx.Counter()
    start()
    with pytest.raises(sk.ServerGoneError):
        old.put("an order")
    again: Any = sk.get_context("manager", address=path, authkey=KEY)
    new = again.Queue(name="payments")
    with pytest.raises(sk.GoneError):
        old.put("an order")
    new.put("a payment")
    assert new.get() == "a payment"
    old.close()
    forgotten.close()
    new.put("another")
    assert new.qsize() == 1


def test_a_new_thread_gets_the_error_about_the_new_server_too(ctx: Any, start: Start) -> None:
    old = ctx.Counter()
    start()
    with pytest.raises(sk.ServerGoneError, match="it was restarted"):
        Task(old.add).result()
    assert ctx.Counter(3).value == 3


def test_a_task_gets_the_error_about_the_new_server_too(ctx: Any, start: Start) -> None:
    old = ctx.Queue()

    async def wait_through(q: Any) -> None:
        waiting = asyncio.ensure_future(q.aget())
        await asyncio.to_thread(until, lambda: q.statistics().waiting_getters == 1)
        await asyncio.to_thread(start)
        with pytest.raises(sk.ServerGoneError):
            await waiting
        with pytest.raises(sk.ServerGoneError):
            await q.aget()
        with pytest.raises(sk.GoneError):
            await q.aget()
        new = ctx.Queue()
        await new.aput("there")
        assert await new.aget() == "there"

    asyncio.run(asyncio.wait_for(wait_through(old), LIMIT))


def test_handles_of_the_previous_server_can_be_closed(ctx: Any, start: Start) -> None:
    handles = [ctx.Queue(), ctx.Executor(1), ctx.Queue()]
    start()
    for each in handles:
        each.close()
        assert each.closed
    assert ctx.Counter(3).value == 3


def test_a_broken_connection_does_not_end_its_session(ctx: Any) -> None:
    lock = ctx.Lock()
    Task(lock.acquire).result()
    ctx.server.client()._calls.idle_connections[-1].socket.hang_up()
    with pytest.raises(sk.ServerGoneError):
        lock.release()
    assert lock.owner == os.getpid()
    lock.release()
