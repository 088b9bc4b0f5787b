"""The server or its owner is killed while callers wait, or Ctrl-C ends a wait: prompt errors, nothing left."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until
from unit import manager_children as children

import sharedkit as sk

# For each structure that has a wait: how to wait for ever, and how its statistics count the waiters.
WAITS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], int]]] = {
    "Lock": (lambda ctx: _taken(ctx.Lock()), lambda x: x.acquire(), lambda x: x.statistics().waiting),
    "RLock": (lambda ctx: _taken_by_a_task(ctx.RLock()), lambda x: x.acquire(), lambda x: x.statistics().waiting),
    "Semaphore": (lambda ctx: ctx.Semaphore(0), lambda x: x.acquire(), lambda x: x.statistics().waiting),
    "BoundedSemaphore": (
        lambda ctx: _taken(ctx.BoundedSemaphore(1)),
        lambda x: x.acquire(),
        lambda x: x.statistics().waiting,
    ),
    "Condition": (lambda ctx: ctx.Condition(), lambda x: _wait_in(x), lambda x: x.statistics().waiting),
    "Event": (lambda ctx: ctx.Event(), lambda x: x.wait(), lambda x: x.statistics().waiting),
    "Barrier": (lambda ctx: ctx.Barrier(9), lambda x: x.wait(), lambda x: x.n_waiting),
    "RWLock": (lambda ctx: _read(ctx.RWLock()), lambda x: x.acquire_write(), lambda x: x.statistics().waiting_writers),
    "Queue.get": (lambda ctx: ctx.Queue(), lambda x: x.get(), lambda x: x.statistics().waiting_getters),
    "Queue.put": (lambda ctx: _full(ctx.Queue(1)), lambda x: x.put(2), lambda x: x.statistics().waiting_putters),
    "Array.lock": (
        lambda ctx: _locked(ctx.Array(2)),
        lambda x: x.lock.acquire(),
        lambda x: x.lock.statistics().waiting,
    ),
}


def _taken(lock: Any) -> Any:
    lock.acquire()
    return lock


def _taken_by_a_task(lock: Any) -> Any:
    """A lock held by a task whose number no thread ever has, not even a later thread."""
    asyncio.run(lock._aask("acquire", True, -1, thread=-1))
    return lock


def _read(lock: Any) -> Any:
    lock.acquire_read()
    return lock


def _full(queue: Any) -> Any:
    queue.put(1)
    return queue


def _locked(array: Any) -> Any:
    array.lock.acquire()
    return array


def _wait_in(condition: Any) -> None:
    condition.acquire()
    condition.wait()


def test_a_killed_server_is_a_prompt_error_for_all_its_waiters() -> None:
    """The waiters are threads of this process, other processes, and tasks of a loop."""
    with sk.get_context("manager") as context:
        ctx: Any = context
        things = {name: make(ctx) for name, (make, _, _) in WAITS.items()}
        q, ends = ctx.Queue(), multiprocessing.get_context("fork").SimpleQueue()
        forked = multiprocessing.get_context("fork")
        processes = [forked.Process(target=children.get_and_say_how_it_ended, args=(q, ends)) for _ in range(3)]
        for process in processes:
            process.start()
        until(lambda: q.statistics().waiting_getters == 3)
        threads = [Task(wait, things[name]) for name, (_, wait, _) in WAITS.items()]  # started after the forks
        until(lambda: all(waiting(things[name]) == 1 for name, (_, _, waiting) in WAITS.items()))
        task = Task(lambda: asyncio.run(q._acall("get_many", 1, True, None)))
        until(lambda: q.statistics().waiting_getters == 4)
        os.kill(ctx.server._process.pid, signal.SIGKILL)
        for waiter in [*threads, task]:
            with pytest.raises(sk.ServerGoneError, match="gone"):
                waiter.result()
        for process in processes:
            process.join(LIMIT)
            assert process.exitcode == 0
        assert [ends.get() for _ in processes] == ["ServerGoneError"] * 3
        for thing in things.values():
            with pytest.raises(sk.ServerGoneError):
                thing.statistics()
            thing.close()


OWNER = """
import os, signal, sys, threading, time
import sharedkit as sk
ctx = sk.get_context("manager")
q, lock = ctx.Queue(), ctx.Lock()
q.put(bytes(1 << 20))
threading.Thread(target=ctx.Queue().get, daemon=True).start()
print(ctx.server._process.pid, ctx.address[1:], flush=True)
time.sleep(600)
"""


def test_nothing_is_left_of_an_owner_that_was_killed() -> None:
    shared = set(os.listdir("/dev/shm"))
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, name = owner.stdout.readline().split()
        assert name in Path("/proc/net/unix").read_text()
        owner.kill()
    until(lambda: not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] in "ZX")
    until(lambda: name not in Path("/proc/net/unix").read_text())  # the last thread of the killed process has closed it
    assert not [each for each in set(os.listdir("/dev/shm")) - shared if "manager" in each]


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c_ends_a_wait_and_others_get_what_it_waited_for(name: str) -> None:
    """A program of its own waits, and the test sends it Ctrl-C."""
    code = "import sys; from unit.test_manager_deaths import interrupted; interrupted(sys.argv[1])"
    program = subprocess.Popen(
        [sys.executable, "-c", code, name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
    )
    try:
        out, error = program.communicate(timeout=LIMIT)
    finally:
        program.kill()
        program.communicate()
    assert (program.returncode, out.split(), error) == (0, ["interrupted", "nobody"], "")


def interrupted(name: str) -> None:
    """The program: wait, be interrupted by Ctrl-C, and check that no waiter is left."""
    make, wait, waiting = WAITS[name]
    with sk.get_context("manager") as ctx:
        thing = make(ctx)
        presser = Task(lambda: (until(lambda: waiting(thing) == 1), os.kill(os.getpid(), signal.SIGINT)))
        try:
            wait(thing)
        except KeyboardInterrupt:
            print("interrupted")
        presser.result()
        until(lambda: waiting(thing) == 0 or name == "Barrier")
        print("nobody")
