"""A main program that starts workers whenever it is imported, as a worker of "spawn" or "forkserver" imports it.

Each worker would be one more main program. multiprocessing refuses that in the worker, which ends with a traceback; the
executor would start the next one. So the worker ends without a word and with an exit code that its executor knows.
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
    """Before a worker is started: end this process if it is itself a worker, or a fork server, that is just importing
    the main program. Others that do so hear the same from multiprocessing."""
    current = process.current_process()
    if not getattr(current, "_inheriting", False):
        return
    if current.name.rpartition("-")[0] == prefix:
        leave()
    if current.name == "MainProcess":  # what it says is heard by nobody but who reads
        print(SENTENCE, file=sys.stderr)
        raise SystemExit(UNGUARDED)


def leave() -> NoReturn:
    """End this worker with the exit code that its executor knows: at once, for a child of a fork server has one exit
    code for all exceptions, and so has one that was forked by a thread of a pool, which it would join at its end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    segments._leave_all()
    os._exit(UNGUARDED)


def fork_server_is_unguarded() -> bool:
    """Whether the fork server of this process, which imports the main program for all, has ended because of that."""
    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if pid is None:
        return False
    try:  # looking only: multiprocessing waits for it
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        return False
    return ended is not None and ended.si_code == os.CLD_EXITED and ended.si_status == UNGUARDED
