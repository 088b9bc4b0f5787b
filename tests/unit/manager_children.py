"""Functions that child processes of the server's tests run."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import sharedkit as sk


def hold_and_sleep(handles: dict[str, Any], ready: Any) -> None:
    """Take everything that can be held, report that, and wait to be killed."""
    handles["lock"].acquire()
    handles["rlock"].acquire()
    handles["bounded"].acquire()
    handles["rw"].acquire_write()
    ready.put(os.getpid())
    time.sleep(600)


def get_and_say(queue: Any, ready: Any) -> None:
    ready.put(os.getpid())
    queue.get()


def wait_at(barrier: Any, ready: Any) -> None:
    ready.put(os.getpid())
    barrier.wait()


def wait_in(condition: Any, ready: Any) -> None:
    with condition:
        ready.put(os.getpid())
        condition.wait()


def own_a_server(answer: Any) -> None:
    """Start a server, report who serves, and die without ending it."""
    context: Any = sk.get_context("manager")
    counter = context.Counter(3)
    answer.send((context.server._process.pid, context.address, counter.name))
    answer.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def get_and_say_how_it_ended(queue: Any, ends: Any) -> None:
    """Wait in a queue; report the name of the exception."""
    try:
        queue.get()
    except Exception as error:
        ends.put(type(error).__name__)
