"""How the processes under random kills begin, and how they live, as SHAREDKIT_KILLS_LIKE says.

`fork`: Python's forks, with nothing odd about them. `daemons`: forks by the C library, of which Python hears nothing.
In the midst of their work they close every descriptor, as daemonisers do; now and then they fork, again unseen, a child
that outlives the next kills with copies of all that they have mapped and may use the structure itself.
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
PAUSE = 0.002  # seconds between two oddities, on average
ONE_IN = 8  # oddities is a child
CHILD_LIVES = 0.1  # seconds
GONE_WITHIN = 10.0

_libc = ctypes.PyDLL(None, use_errno=True)  # which keeps the GIL: the child must have it


def start(work: Callable[[], None], handle: Any, seed: int) -> int:
    """A process that does `work` with `handle`, and ends with this one at the latest. Its pid."""
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
    """SIGKILL when the harness ends, so that a failed test leaves nobody behind."""
    if _libc.prctl(1, signal.SIGKILL, 0, 0, 0) != 0:  # PR_SET_PDEATHSIG
        raise OSError(ctypes.get_errno(), "prctl")


def _be_odd(handle: Any, rng: random.Random) -> None:
    def odd(*_: object) -> None:
        os.closerange(3, 4096)
        if rng.randrange(ONE_IN) == 0 and _libc.fork() == 0:
            _outlive(handle, rng.randrange(2) == 0)
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.1, 2) * PAUSE)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    signal.signal(signal.SIGALRM, odd)
    signal.setitimer(signal.ITIMER_REAL, PAUSE)


def _outlive(handle: Any, use: bool) -> None:
    """In an unseen child: live for a while, whatever becomes of the parent."""
    try:
        if use:
            handle.statistics()
        time.sleep(CHILD_LIVES)
    finally:
        os._exit(0)


def left(name: str) -> int:
    """How many segments of this name stay behind, all having let go of it."""
    path = Path(f"/dev/shm/sk_{name}")
    if not DAEMONS:
        return int(path.exists())
    # The last one was a child that ended by _exit: a creation of anybody takes the name away, a second later at most.
    end = time.monotonic() + GONE_WITHIN
    while path.exists() and time.monotonic() < end:
        sharedkit.Counter().close()
        time.sleep(0.05)
    return int(path.exists())
