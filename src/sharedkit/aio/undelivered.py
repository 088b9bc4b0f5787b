"""Notifications that their tasks have not acted on yet. While there are any, one thread of the process watches them.

A task is notified through its loop, which may be busy, or stop, or be closed before the task looks. Then the
notification must go to another waiter, if there is one.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Protocol

from sharedkit._core.background import background

__all__ = ["Undelivered", "add_undelivered"]

EVERY = 0.05  # seconds between two checks
IDLE = 20  # number of checks without a find after which the thread ends


class Undelivered(Protocol):
    """A structure that has notified tasks."""

    def reclaim(self) -> bool:
        """Pass the notification on if its task can no longer receive it; returns whether to call this again."""


_undelivered: set[Undelivered] = set()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def add_undelivered(what: Undelivered) -> None:
    """Watch `what` until its `reclaim` returns False. Callable from any thread, with any lock held."""
    _undelivered.add(what)
    if _thread is None:
        _start()


def _start() -> None:
    global _thread
    if not _starting.acquire(False):
        return  # another thread starts it now
    try:
        if _thread is None:
            thread = background(_run, name="sharedkit reclaims")
            _thread = thread
            try:
                thread.start()
            except BaseException as error:
                _thread = None
                if not isinstance(error, RuntimeError):  # RuntimeError: the interpreter ends, and all loops with it
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
            _undelivered.discard(each)  # before `reclaim`: another thread may add it again meanwhile
            try:
                if each.reclaim():
                    _undelivered.add(each)
            except Exception:
                sys.excepthook(*sys.exc_info())
            del each  # no reference is kept during the sleep
        if idle > IDLE:
            _thread = None
            if _undelivered:  # added since the last check, while this thread still ran
                _start()
            return


def _in_child() -> None:
    """Reset the state in a child, which has none of the threads and none of the loops."""
    global _starting, _thread
    _starting = threading.Lock()
    _thread = None
    _undelivered.clear()


os.register_at_fork(after_in_child=_in_child)
