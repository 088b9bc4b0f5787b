"""The child of a fork has all handles of its parent, whatever other threads of the parent did meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, end_by_alarm, until

import sharedkit as sk
from sharedkit.manager import connect, requests
from sharedkit.manager.client import Client


def test_a_child_has_all_handles_that_its_parent_has(ctx: Any) -> None:
    """Three threads make handles while a fourth forks."""
    made: list[Any] = []
    enough = threading.Event()

    def make() -> None:
        while not enough.is_set():
            mine = ctx.Counter()
            made.extend((mine, ctx.attach(mine.name)))
            if len(made) > 50:
                del made[:25]

    makers = [Task(make) for _ in range(3)]
    ends = []
    for _ in range(30):
        pid = os.fork()
        if not pid:
            dead = 255
            try:
                end_by_alarm()
                dead = sum(not _works(each) for each in list(made))
            finally:
                os._exit(min(dead, 255))
        ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    enough.set()
    for each in makers:
        each.result()
    assert ends == [0] * 30


def test_a_handle_opened_just_before_a_fork_is_the_childs_too(ctx: Any) -> None:
    """Another thread may open it, and close it, when the ticket of the child has already been made."""
    ctx.Counter()
    client = ctx.server.client()
    ticket = "of-a-child"
    client.before_fork(ticket)
    counter = ctx.Counter(7)
    client.in_parent(ticket)
    ident = counter._ident
    counter.close()
    assert not client.tickets
    end, _ = connect.connect(
        client.address, client.authkey, "kit_session", os.getpid(), (client._ident, ticket, (ident,))
    )
    child = requests.Requests(end, "the server")
    over = threading.Event()
    loaded = child.begin(ident, "load", ("",), 1, lambda _: over.set())
    assert over.wait(LIMIT)
    assert loaded.result() == 7
    end.hang_up()
    end.close()


def _works(counter: Any) -> bool:
    try:
        return bool(counter.add())
    except sk.GoneError:
        return False


def test_two_threads_fork_at_once(ctx: Any) -> None:
    counter = ctx.Counter()
    together = threading.Barrier(2)

    def fork() -> None:
        for _ in range(10):
            together.wait(LIMIT)
            pid = os.fork()
            if not pid:
                try:
                    end_by_alarm()
                    counter.add()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)

    for each in [Task(fork), Task(fork)]:
        each.result()
    assert counter.value == 20


def test_a_signal_while_a_fork_is_prepared_breaks_nothing(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the handler raises there can only be reported by Python as an ignored exception."""
    counter = ctx.Counter()
    tell = requests.Requests.tell_soon

    def interrupt(_: Any, ident: int, method: str, args: Any) -> None:
        assert method == "ticket"
        raise KeyboardInterrupt

    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    monkeypatch.setattr(requests.Requests, "tell_soon", interrupt)
    pid = os.fork()
    monkeypatch.setattr(requests.Requests, "tell_soon", tell)
    if not pid:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            end_by_alarm()
            os._exit(ctx.Counter(4).add())
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert [each.exc_type for each in ignored] == [KeyboardInterrupt]
    assert counter.add() == 1
    assert Task(ctx.Counter(2).add).result() == 3
    until(lambda: counter.statistics().attached == (os.getpid(),))


# --- a server that is stopped


@contextmanager
def stopped(ctx: Any) -> Iterator[None]:
    pid = ctx.server._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _fork(child: Callable[[], int]) -> int:
    """Fork; return what `child` returns in the new process, which has a time limit."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            end_by_alarm()
            code = child()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _nothing() -> int:
    return 7


def test_a_fork_waits_for_no_stopped_server(ctx: Any) -> None:
    """The child does not wait either, and can use its handles as soon as the server continues."""
    counter = ctx.Counter()
    counter.add()
    with stopped(ctx):
        assert _fork(_nothing) == 7
    assert _fork(counter.add) == 2
    assert counter.add() == 3


def test_a_fork_does_not_wait_for_threads_that_wait_for_a_stopped_server(ctx: Any) -> None:
    """The threads wait for answers, make a structure, send more than fits into the buffers, or open a session."""
    q, counter = ctx.Queue(), ctx.Counter()
    counter.add()
    other = sk.get_context("manager", address=ctx.address).server
    with ctx.Executor(1) as executor:
        executor.submit(abs, -1).result()
        with stopped(ctx):
            client = Client(ctx.address, None)
            waiting = [
                Task(counter.add),
                Task(ctx.Counter),
                Task(executor.submit, len, bytes(1 << 24)),
                Task(q.put, bytes(1 << 24)),
                Task(client.open),
            ]
            until(lambda: executor._executor_client._client._requests._sending)
            assert _fork(_nothing) == 7
        assert [waiting[0].result(), waiting[1].result().add()] == [2, 1]
        assert waiting[2].result().result() == 1 << 24
        assert len(q.get()) == 1 << 24
        waiting[3].result()
        waiting[4].result()
        client.close()
    assert other is ctx.server


def test_a_handle_that_the_parent_closes_while_the_server_is_stopped_stays_open_in_the_child(ctx: Any) -> None:
    """The server hears of the fork before it hears of the closed handle, whichever connection each uses."""
    counter = ctx.Counter(40)
    name = counter.name
    Task(counter.add).result()
    ready, go = os.pipe()
    with stopped(ctx):
        pid = os.fork()
        if not pid:
            try:
                end_by_alarm()
                os.read(ready, 1)
                os._exit(counter.add())
            finally:
                os._exit(1)
        closing = Task(counter.close)
    closing.result()
    assert ctx.Counter(1).value == 1
    os.write(go, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    os.close(ready)
    os.close(go)
    until(lambda: _is_gone(ctx, name))


def _is_gone(ctx: Any, name: str) -> bool:
    try:
        ctx.attach(name).close()
    except FileNotFoundError:
        return True
    return False


def test_the_child_of_a_fork_keeps_nothing_open_without_a_handle(ctx: Any) -> None:
    """A structure that another thread of the parent opens after the fork ends with the parent's handle."""
    kept, name = ctx.Counter(), "opened-after-the-fork"
    ready, go = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            end_by_alarm()
            kept.add()
            os.read(ready, 1)
        finally:
            os._exit(0)
    until(lambda: kept.value == 1)
    later = ctx.Counter(name=name)
    later.close()
    assert _is_gone(ctx, name)
    os.write(go, b"x")
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(go)


def test_a_child_that_gave_up_connecting_can_connect_again(ctx: Any) -> None:
    """A ticket that was used by a session which then ended can be used by another session."""
    client = ctx.server.client()
    counter = ctx.Counter(3)
    parent, ident = client._ident, counter._ident
    client.call(0, "ticket", "a-fork", None)
    given_up, _ = connect.connect(
        client.address, client.authkey, "kit_session", os.getpid(), (parent, "a-fork", (ident,))
    )
    counter.close()
    given_up.close()
    until(lambda: ctx.Counter(4).value == 4 and len(_attached(client, ident)) == 0)
    again, _ = connect.connect(client.address, client.authkey, "kit_session", os.getpid(), (parent, "a-fork", (ident,)))
    with again:
        child = requests.Requests(again, "the server")
        answered: list[Any] = []
        child.begin(ident, "load", ("",), 1, answered.append)
        until(lambda: bool(answered))
        assert answered[0].result() == 3


def _attached(client: Any, ident: int) -> tuple[int, ...]:
    try:
        return tuple(client.call(ident, "statistics").attached)
    except sk.GoneError:
        return ()


def test_many_forks_in_a_row_leave_no_tickets(ctx: Any) -> None:
    counter = ctx.Counter()
    for _ in range(20):
        assert _fork(_nothing) == 7
    assert counter.add() == 1
    assert not ctx.server.client().tickets
