"""The child of a fork has what its parent had, whatever other threads of the parent did meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, end_by_alarm, until

import sharedkit as sk
from sharedkit.manager import session


def test_a_child_has_all_handles_that_its_parent_has(ctx: Any) -> None:
    """Three threads make them while a fourth forks."""
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


def test_a_signal_in_the_preparations_of_a_fork_breaks_nothing(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it raises there nobody can be told but by Python's word of an exception that it ignores."""
    counter = ctx.Counter()
    call = session.Link.call

    def interrupt(link: Any, ident: int, method: str, *args: Any, **options: Any) -> Any:
        if method == "ticket":
            raise KeyboardInterrupt
        return call(link, ident, method, *args, **options)

    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    monkeypatch.setattr(session.Link, "call", interrupt)
    pid = os.fork()
    monkeypatch.setattr(session.Link, "call", call)
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
