"""Signal handlers that use the server while their thread is using it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until

from sharedkit.manager.client import Client


@contextmanager
def on_signal(number: int, action: Callable[[], object]) -> Iterator[None]:
    before = signal.signal(number, lambda *_: (action(), None)[1])
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)


def test_a_handler_may_end_the_wait_that_it_interrupts(ctx: Any) -> None:
    event, q = ctx.Event(), ctx.Queue()
    for act, wait, waiting in (
        (event.set, event.wait, lambda: event.statistics().waiting),
        (lambda: q.put(True), q.get, lambda: q.statistics().waiting_getters),
    ):
        with on_signal(signal.SIGUSR1, act):
            helper = Task(lambda waiting=waiting: (until(lambda: waiting() == 1), os.kill(os.getpid(), signal.SIGUSR1)))
            assert wait(timeout=LIMIT) is True
            helper.result()


def test_a_handler_in_a_handler_may_wait_too(ctx: Any) -> None:
    outer, inner = ctx.Event(), ctx.Event()
    waits = [lambda: outer.statistics().waiting, lambda: inner.statistics().waiting]

    def first() -> None:
        helper = Task(lambda: (until(lambda: waits[1]() == 1), os.kill(os.getpid(), signal.SIGUSR2)))
        assert inner.wait(LIMIT)
        helper.result()
        outer.set()

    with on_signal(signal.SIGUSR1, first), on_signal(signal.SIGUSR2, inner.set):
        helper = Task(lambda: (until(lambda: waits[0]() == 1), os.kill(os.getpid(), signal.SIGUSR1)))
        assert outer.wait(LIMIT)
        helper.result()


def test_calls_of_a_handler_between_any_two_steps_of_calls_confuse_nothing(ctx: Any) -> None:
    q, beats, beaten = ctx.Queue(), ctx.Counter(), [0]

    def beat() -> None:
        assert type(beats.add()) is int
        beaten[0] += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0007)

    with on_signal(signal.SIGALRM, beat):
        signal.setitimer(signal.ITIMER_REAL, 0.0007)
        for number in range(3000):
            q.put(number)
            assert q.get(timeout=LIMIT) == number
    assert beats.value == beaten[0]
    assert beaten[0] > 0


def test_a_handler_may_make_the_first_call(ctx: Any) -> None:
    """The signal comes at any step of a process's first call, which opens a session."""
    for after in range(1, 40):
        client = Client(ctx.address, None)

        nested: list[bool] = []

        def act(client: Any = client, nested: list[bool] = nested) -> None:
            client.call(0, "release")
            nested.append(True)

        with on_signal(signal.SIGALRM, act):
            signal.setitimer(signal.ITIMER_REAL, after * 5e-5)
            client.call(0, "release")
            until(lambda nested=nested: bool(nested))
        client.call(0, "release")
        client.close()


class Interrupted(Exception):
    pass


def _interrupt(*_: object) -> None:
    raise Interrupted


def test_a_signal_while_a_large_request_is_sent_ends_only_that_request(ctx: Any) -> None:
    """The server is stopped, so that the request cannot be sent whole."""
    q, lock, pid = ctx.Queue(), ctx.Lock(), ctx.server._process.pid
    lock.acquire()
    q.put("kept")
    large = np.ones(20_000_000, "u1")
    with ctx.Executor(1) as executor:
        assert executor.submit(len, b"1").result() == 1

        async def put() -> None:
            await q.aput(large)

        for send in (lambda: executor.submit(len, large), lambda: asyncio.run(put())):
            os.kill(pid, signal.SIGSTOP)
            try:
                with on_signal(signal.SIGALRM, _interrupt), pytest.raises(Interrupted):
                    signal.setitimer(signal.ITIMER_REAL, 0.1)
                    send()
            finally:
                os.kill(pid, signal.SIGCONT)
        assert executor.submit(len, b"12").result() == 2
    assert q.get() == "kept"
    assert lock.owner == os.getpid()
    lock.release()


def test_a_handler_may_submit_a_call_while_its_thread_submits_a_large_one(ctx: Any) -> None:
    pid = ctx.server._process.pid
    large = np.ones(20_000_000, "u1")
    nested: list[Any] = []
    with ctx.Executor(1) as executor:

        def act() -> None:
            nested.append(executor.submit(len, b"123"))
            os.kill(pid, signal.SIGCONT)

        os.kill(pid, signal.SIGSTOP)
        try:
            with on_signal(signal.SIGALRM, act):
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                assert executor.submit(len, large).result() == len(large)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert nested[0].result() == 3
