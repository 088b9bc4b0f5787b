"""When a process began: this distinguishes it from later processes with its pid, and shows whether it still runs."""

from __future__ import annotations

import os

__all__ = ["begun", "has_ended"]


def begun(pid: int) -> str | None:
    """The time when that process began, or "" if the system does not say: without `/proc`, or without a free
    descriptor. None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            state, *rest = file.read().rpartition(")")[2].split()
        return None if state in "ZXx" else rest[18]
    except (FileNotFoundError, ProcessLookupError):
        if os.path.exists("/proc/self/stat"):
            return None
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def has_ended(pid: int, since: str | None) -> bool:
    """Whether the process with the number `pid` that began at `since` has ended."""
    now = begun(pid)
    return now is None or since is None or (now != since and "" not in (now, since))
