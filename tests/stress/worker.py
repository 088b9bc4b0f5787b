"""How the processes under random kills start and behave, given by SHAREDKIT_KILLS_LIKE.

`fork`: forks by Python, and no odd behaviour. `daemons`: forks by the C library, which Python does not notice. In the
middle of their work they close every descriptor, as daemonisers do. Now and then they fork a child, again unnoticed;
it outlives the next kills with copies of all mappings of its parent, and may use the structure itself.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sharedkit

LIKE = "SHAREDKIT_KILLS_LIKE"
DAEMONS = os.environ.get(LIKE) == "daemons"
PAUSE = 0.002  # mean seconds between two odd acts
ONE_IN = 8  # one odd act in this many is a child
CHILD_LIVES = 0.1  # seconds
GONE_WITHIN = 10.0

_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the GIL: the child must have it


def start(work: Callable[[], None], handle: Any, seed: int) -> int:
    """Start a process that calls `work`, uses `handle`, and ends with this process at the latest; return its pid."""
    pid = _libc.fork() if DAEMONS else os.fork()
    if pid == 0:
        status = 1
        try:
            _end_with_parent()
            if DAEMONS:
                _be_odd(handle, random.Random(seed))
            work()
            status = 0
        finally:
            os._exit(status)
    return int(pid)


def _end_with_parent() -> None:
    """Have SIGKILL sent when the harness ends, so that a failed test leaves no process behind."""
    if _libc.prctl(1, signal.SIGKILL, 0, 0, 0) != 0:  # PR_SET_PDEATHSIG
        raise OSError(ctypes.get_errno(), "prctl")


def _be_odd(handle: Any, rng: random.Random) -> None:
    def odd(*_: object) -> None:
        os.closerange(3, 4096)
        if rng.randrange(ONE_IN) == 0 and _libc.fork() == 0:
            _outlive(handle, rng.randrange(2) == 0)
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.1, 2) * PAUSE)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children are not waited for
    signal.signal(signal.SIGALRM, odd)
    signal.setitimer(signal.ITIMER_REAL, PAUSE)


def _outlive(handle: Any, use: bool) -> None:
    """In an unnoticed child: live for a while, whatever happens to the parent."""
    try:
        if use:
            handle.statistics()
        time.sleep(CHILD_LIVES)
    finally:
        os._exit(0)


def leftover_segments(name: str) -> int:
    """How many segments of this name remain after all have closed it."""
    path = Path(f"/dev/shm/sk_{name}")
    if not DAEMONS:
        return int(path.exists())
    # The last user may be a child that ended by _exit; then any process's next creation, at most 1 s later, removes it.
    end = time.monotonic() + GONE_WITHIN
    while path.exists() and time.monotonic() < end:
        sharedkit.Counter().close()
        time.sleep(0.05)
    return int(path.exists())
