"""A client's mistake, or a temporary lack of resources, ends neither the server nor the structures of others."""

from __future__ import annotations

import os
import resource
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task

import sharedkit as sk
from sharedkit.manager import loop, server
from sharedkit.manager.states import Call

KEY = b"the key of this test"


@contextmanager
def without_descriptors(pid: int, but: int = 0) -> Iterator[None]:
    """Until the end of the block the process can open at most `but` descriptors."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(each) for each in os.listdir(f"/proc/{pid}/fd")}
    free = next(n for n in range(1 << 20) if len(set(range(n)) - taken) == but and n >= max(taken))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("timeout", [3_000_000, threading.TIMEOUT_MAX, float("inf")])
def test_a_long_timeout_does_not_end_the_server(timeout: float) -> None:
    here = loop.Loop()  # a loop without the timers that a server always has, which are due earlier
    here.timers.at(time.monotonic() + timeout, here.stop)
    here.soon(here.stop)
    Task(here.run).result()


@pytest.mark.parametrize("timeout", [float("inf"), 1e18])
def test_an_infinite_timeout_is_refused_if_the_call_would_wait(ctx: Any, timeout: float) -> None:
    q = ctx.Queue()
    with pytest.raises(OverflowError, match="None is for ever"):
        q.get(timeout=timeout)
    assert q.statistics().waiting_getters == 0
    q.put("there")
    assert q.get(timeout=timeout) == "there"


def test_a_timeout_beyond_any_float_fails_only_its_call(ctx: Any) -> None:
    q = ctx.Queue()
    with pytest.raises(OverflowError):
        q.get(timeout=10**400)
    assert q.statistics().waiting_getters == 0


def test_callbacks_of_the_loop_may_raise(capfd: pytest.CaptureFixture[str]) -> None:
    here = loop.Loop()
    ours, theirs = socket.socketpair()
    done: list[str] = []

    def fail(*_: object) -> None:
        done.append("tried")
        raise LookupError("on purpose")

    with ours, theirs:
        here.watch(ours.fileno(), 1, fail)
        theirs.send(b"x")
        here.timers.at(0.0, fail)
        here.soon(fail)
        here.soon(lambda: here.soon(here.stop))
        Task(here.run).result()
    assert done == ["tried"] * 3
    assert capfd.readouterr().err.count("on purpose") == 3 * 2  # twice each: the traceback shows the source line


def test_a_connection_that_was_reset_can_be_turned_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stranger = socket.create_connection(listener.getsockname())
        end, _ = listener.accept()
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stranger.close()
        with pytest.raises(ConnectionResetError):
            end.recv(1)
        guest = server._Guest(Connection(end.detach()))
        guest.expire()
        guest.turn_away()
        assert guest.connection.closed


def test_a_server_without_a_free_descriptor_survives() -> None:
    with sk.get_context("manager") as context:
        ctx: Any = context
        counter = ctx.Counter()
        with without_descriptors(ctx.server._process.pid, but=1):
            assert Task(counter.add).result() == 1  # the connection takes the last one
        assert counter.add() == 2


def test_silent_peers_take_the_last_descriptors_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.05)
    here: Any = server.Manager(None, KEY).get_server()
    serving = Task(here.serve_forever)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(LIMIT)
        dup = os.dup

        def none_left(descriptor: int) -> int:
            raise OSError(24, f"Too many open files, {descriptor} too")

        monkeypatch.setattr(os, "dup", none_left)
        silent.connect(here.address)
        while silent.recv(1000):
            pass
        monkeypatch.setattr(os, "dup", dup)
    here.loop.soon(here.loop.stop)
    serving.result()
    here.listener.close()


def test_a_server_that_could_not_start_a_thread_accepts_the_next_client(monkeypatch: pytest.MonkeyPatch) -> None:
    here: Any = server.Manager(None, KEY).get_server()
    serving = Task(here.serve_forever)
    start = threading.Thread.start

    def refuse(thread: Any) -> None:
        if getattr(thread._target, "__name__", "") == "_receive":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with socket.socket(socket.AF_UNIX) as refused:
        refused.settimeout(LIMIT)
        refused.connect(here.address)
        assert refused.recv(1) == b""
    monkeypatch.setattr(threading.Thread, "start", start)
    with socket.socket(socket.AF_UNIX) as guest:
        guest.settimeout(LIMIT)
        guest.connect(here.address)
        assert guest.recv(1)
    here.loop.soon(here.loop.stop)
    serving.result()
    here.listener.close()


@pytest.mark.parametrize("method", ["kit_session", "kit_calls"])
@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3, 4), (1, [], []), None], ids=str)
def test_a_first_request_that_makes_no_sense_closes_the_connection(ctx: Any, method: str, args: Any) -> None:
    client = ctx.server.client()
    with Client(client.address) as stranger:
        answer_challenge(stranger, client.authkey)
        deliver_challenge(stranger, client.authkey)
        stranger.send((None, method, args, {}))
        with suppress(EOFError):
            assert stranger.recv()[0] in ("#REFUSED", "#ENDED")
    assert ctx.Counter(4).value == 4


def test_undoing_a_call_may_raise(capfd: pytest.CaptureFixture[str]) -> None:
    """An undo can raise, for example, when it compares a user's keys."""

    class State:
        def undo_pop(self, call: Any, result: Any) -> None:
            raise LookupError("on purpose")

    nobody: Any = None
    Call(nobody, 1, State(), "pop", (), 0).undo(None)
    assert "on purpose" in capfd.readouterr().err


def test_a_default_timeout_of_sockets_does_not_apply_to_sharedkit() -> None:
    socket.setdefaulttimeout(0.05)
    try:
        with sk.get_context("manager") as ctx:
            jobs, done = ctx.Queue(), ctx.Event()
            threading.Timer(0.3, done.set).start()
            assert done.wait(LIMIT)
            jobs.put(b"x" * (20 << 20))
            assert len(jobs.get()) == 20 << 20
    finally:
        socket.setdefaulttimeout(None)
