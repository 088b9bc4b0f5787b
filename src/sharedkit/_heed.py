"""What was told to tasks and is not heeded: one thread of the process looks after it, while there is any.

A task is told by way of its loop, which may be busy, or stop, or be closed before the task looks. What it was told of
must not wait for it then, as long as others wait.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Protocol

from sharedkit._threads import background

__all__ = ["Heeded", "heed"]

EVERY = 0.05  # seconds between two looks
IDLE = 20  # looks at nothing, after which the thread ends


class Heeded(Protocol):
    """Something that tasks were told."""

    def look_after(self) -> bool:
        """See whether it was heeded, and give it to others where it was not; whether to come again."""


_heeded: set[Heeded] = set()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def heed(what: Heeded) -> None:
    """Have it looked after, from now on until its `look_after` says no. From any thread, holding whatever lock."""
    _heeded.add(what)
    if _thread is None:
        _start()


def _start() -> None:
    global _thread
    if not _starting.acquire(False):
        return  # somebody starts it just now
    try:
        if _thread is None:
            thread = background(_run, name="sharedkit heeds")
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
        idle = 0 if _heeded else idle + 1
        for each in list(_heeded):
            _heeded.discard(each)  # first: it may be heeded anew meanwhile
            try:
                if each.look_after():
                    _heeded.add(each)
            except Exception:
                sys.excepthook(*sys.exc_info())
            del each  # nothing is kept while it sleeps
        if idle > IDLE:
            _thread = None
            if _heeded:  # since the last look, when this thread was still there
                _start()
            return


def _in_child() -> None:
    """It has none of the threads, and none of the loops."""
    global _starting, _thread
    _starting = threading.Lock()
    _thread = None
    _heeded.clear()


os.register_at_fork(after_in_child=_in_child)
