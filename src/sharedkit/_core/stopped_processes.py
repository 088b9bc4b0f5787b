"""Whether a process that holds an inner lock without progress is about to continue, as far as the system can tell.

The decision in ext/include/core/sk_stall.h does not ask the system: the holder has not moved for 80 ms while the waiter
polled. This does not distinguish a stopped holder from one that is ready but gets no CPU, because of other processes or
a quota, or from one whose memory is being read back from disk. This module asks the system, and trusts the answer for
at most a second. A pid belongs to the holder's own namespace and may be another process in ours, so the answer can only
delay the decision.
"""

from __future__ import annotations

import os

PATIENCE = 1.0  # seconds
ENOUGH = 64  # the largest number of threads to check


def _state(path: str) -> str:
    """The state letter of a process or thread (R, S, D, T, t, …); an empty text if it cannot be read."""
    try:
        with open(path, "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return ""


def is_stopped(pid: int | None) -> bool:
    """Whether the process is stopped, by a signal or by a debugger."""
    return pid is not None and _state(f"/proc/{pid}/stat") in {"T", "t"}


def is_about_to_run(pid: int | None, still: float) -> bool:
    """Whether to give more time to the process, which has not moved for `still` seconds."""
    if pid is None or still >= PATIENCE:
        return False
    try:
        threads = sorted(os.listdir(f"/proc/{pid}/task"))[:ENOUGH]
    except OSError:
        return False
    return any(_state(f"/proc/{pid}/task/{thread}/stat") in {"R", "D"} for thread in threads)


def describe(pid: int | None, inside: str, still: float) -> str:
    """A text that names the process that blocks a call, and the remedy."""
    who = "a process" if pid is None else f"pid {pid}"
    how = "is stopped" if is_stopped(pid) else f"has not moved for {still * 1000:.0f} ms"
    return f"{who} {how} inside {inside}, where others wait until it goes on (SIGCONT) or ends"
