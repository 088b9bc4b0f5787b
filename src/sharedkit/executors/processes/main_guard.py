"""Ends a worker whose main program starts workers whenever it is imported, as workers of "spawn" and "forkserver"
import it.

Each such worker would become one more main program. multiprocessing refuses that in the worker, which ends with a
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
    """End this process before it starts a worker, if it is itself a worker or a fork server that imports the main
    program now. In other processes that do so, multiprocessing raises its own error."""
    current = process.current_process()
    if not getattr(current, "_inheriting", False):
        return
    if current.name.rpartition("-")[0] == prefix:
        leave()
    if current.name == "MainProcess":  # the text reaches only those who read stderr
        print(SENTENCE, file=sys.stderr)
        raise SystemExit(UNGUARDED)


def leave() -> NoReturn:
    """End this worker at once, with the exit code that its executor knows. A child of a fork server has one exit code
    for all exceptions. A worker that was forked by a thread of a pool has one, too, and would join that pool at its
    end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    segments._leave_all()
    os._exit(UNGUARDED)


def fork_server_is_unguarded() -> bool:
    """Whether this process's fork server, which imports the main program for all workers, has ended because of that."""
    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if pid is None:
        return False
    try:  # WNOWAIT: multiprocessing itself waits for the fork server
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return False
    return ended is not None and ended.si_code == os.CLD_EXITED and ended.si_status == UNGUARDED
