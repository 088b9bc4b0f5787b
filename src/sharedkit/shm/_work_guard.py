"""A main program that starts workers whenever it is imported, as a worker of "spawn" or "forkserver" imports it.

Each worker would be one more main program. multiprocessing refuses that in the worker, which ends with a traceback; the
executor would start the next one. So the worker ends without a word and with an exit code that its executor knows.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver, process
from typing import NoReturn

from sharedkit import segments
from sharedkit._unguarded import SENTENCE, UNGUARDED

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
    """End this worker with the exit code that its executor knows."""
    if getattr(forkserver._forkserver, "_forkserver_alive_fd", None) is not None:
        segments._leave_all()  # a child of a fork server has one exit code for all exceptions
        os._exit(UNGUARDED)
    raise SystemExit(UNGUARDED)


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
