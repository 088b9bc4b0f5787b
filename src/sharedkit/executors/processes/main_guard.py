"""Ends a worker whose main program starts workers whenever it is imported. Workers of "spawn" and "forkserver" import
it.

Such a worker would start workers of its own, and so on. multiprocessing refuses that in the worker, which ends with a
traceback; the executor would then start the next worker. So the worker ends silently, with an exit code that its
executor knows.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from multiprocessing import forkserver, process
from typing import NoReturn

from sharedkit import segments
from sharedkit.executors.unguarded_main import SENTENCE, UNGUARDED

__all__ = ["fork_server_is_unguarded", "leave", "leave_if_imported"]


def leave_if_imported(prefix: str) -> None:
    """End this process before it starts a worker, if it is a worker or a fork server that imports the main program now.
    In other processes that do so, multiprocessing raises its own error."""
    current = process.current_process()
    if not getattr(current, "_inheriting", False):
        return
    if current.name.rpartition("-")[0] == prefix:
        leave()
    if current.name == "MainProcess":  # the text is only for people who read stderr
        print(SENTENCE, file=sys.stderr)
        raise SystemExit(UNGUARDED)


def leave() -> NoReturn:
    """End this worker at once, with the exit code that its executor knows. An exception would not do: a child of a fork
    server ends with the same exit code for all exceptions. So does a worker that a thread of a pool has forked, and it
    would also join that pool at its end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    segments._leave_all()
    os._exit(UNGUARDED)


def fork_server_is_unguarded() -> bool:
    """Whether this process's fork server, which imports the main program for all workers, has ended because that
    program starts workers."""
    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if pid is None:
        return False
    try:  # WNOWAIT: multiprocessing itself will wait for the fork server
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return False
    return ended is not None and ended.si_code == os.CLD_EXITED and ended.si_status == UNGUARDED
