"""Notifications that tasks have not looked at yet: one thread of the process watches them, while there are any.

A task is told by way of its loop, which may be busy, or stop, or be closed before the task looks. What it was told of
must not wait for it then, as long as others wait.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Protocol

from sharedkit._core.background import background

__all__ = ["Undelivered", "add_undelivered"]

EVERY = 0.05  # seconds between two looks
IDLE = 20  # looks at nothing, after which the thread ends


class Undelivered(Protocol):
    """Something that tasks were told."""

    def reclaim(self) -> bool:
        """Give it to others if the task can no longer receive it; whether to come again."""


_undelivered: set[Undelivered] = set()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def add_undelivered(what: Undelivered) -> None:
    """Have it looked after, from now on until its `reclaim` says no. From any thread, holding whatever lock."""
    _undelivered.add(what)
    if _thread is None:
        _start()


def _start() -> None:
    global _thread
    if not _starting.acquire(False):
        return  # somebody starts it just now
    try:
        if _thread is None:
            thread = background(_run, name="sharedkit reclaims")
            _thread = thread
            try:
                thread.start()
            except BaseException as error:
                _thread = None
                if not isinstance(error, RuntimeError):  # that: the interpreter ends, and with it all loops
                    raise
    finally:
        _starting.release()


def _run() -> None:
    global _thread
    idle = 0
    while True:
        time.sleep(EVERY)
        idle = 0 if _undelivered else idle + 1
        for each in list(_undelivered):
            _undelivered.discard(each)  # first: it may be added anew meanwhile
            try:
                if each.reclaim():
                    _undelivered.add(each)
            except Exception:
                sys.excepthook(*sys.exc_info())
            del each  # nothing is kept while it sleeps
        if idle > IDLE:
            _thread = None
            if _undelivered:  # since the last look, when this thread was still there
                _start()
            return


def _in_child() -> None:
    """It has none of the threads, and none of the loops."""
    global _starting, _thread
    _starting = threading.Lock()
    _thread = None
    _undelivered.clear()


os.register_at_fork(after_in_child=_in_child)
