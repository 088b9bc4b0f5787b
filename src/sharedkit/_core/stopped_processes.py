"""Whether a process that holds an inner lock and does not get on is about to, as far as the system tells.

The kernel's verdict (ext/include/core/sk_stall.h) needs no system: the holder has not moved while the waiter looked,
for 80 ms. It cannot tell a holder that is stopped from one that wants to run and is not let run, by others or by a
quota, or that waits for its memory to come back from disk. That is asked here, and believed for a second: a pid is one
of the holder's own namespace and may be another process's in ours, so what is said of it may put a verdict off and
never decide one.
"""

from __future__ import annotations

import os

PATIENCE = 1.0  # seconds
ENOUGH = 64  # threads to look at


def _state(path: str) -> str:
    """R, S, D, T, t, …; an empty text when there is nothing to read."""
    try:
        with open(path, "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def is_stopped(pid: int | None) -> bool:
    """Whether the process is stopped, by a signal or by a debugger."""
    return pid is not None and _state(f"/proc/{pid}/stat") in {"T", "t"}


def is_about_to_run(pid: int | None, still: float) -> bool:
    """Whether to give the process, which has not moved for `still` seconds, more time."""
    if pid is None or still >= PATIENCE:
        return False
    try:
        threads = sorted(os.listdir(f"/proc/{pid}/task"))[:ENOUGH]
    except OSError:
        return False
    return any(_state(f"/proc/{pid}/task/{thread}/stat") in {"R", "D"} for thread in threads)


def describe(pid: int | None, inside: str, still: float) -> str:
    """Who keeps a call from being done, and what to do about it."""
    who = "a process" if pid is None else f"pid {pid}"
    how = "is stopped" if is_stopped(pid) else f"has not moved for {still * 1000:.0f} ms"
    return f"{who} {how} inside {inside}, where others wait until it goes on (SIGCONT) or ends"
