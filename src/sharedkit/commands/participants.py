"""The processes that hold structures and wait at them: what /proc tells of them, and all of it as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharedkit.shm.inspection import Inspection, Process

__all__ = ["ProcessFacts", "facts_of", "wait_documents"]

AFTER_NAME = 2  # the fields of /proc/PID/stat are counted from 1; the name, field 2, may contain blanks
STATE, THREADS, STARTED = 3, 20, 22


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """`command`: its command line, `threads`: how many it has, `stopped`: by a signal or a debugger.

    All are None where this process cannot see it: it is in another pid namespace, or /proc hides it.
    """

    command: str | None = None
    threads: int | None = None
    stopped: bool | None = None


def facts_of(process: Process) -> ProcessFacts:
    """Ask /proc for the process. Its time of birth is compared, so that a pid of another namespace misleads nobody."""
    folder = Path("/proc") / str(process.pid)
    try:
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        command = (folder / "cmdline").read_bytes()
        state, threads, started = (fields[each - AFTER_NAME - 1] for each in (STATE, THREADS, STARTED))
        if process.started == int(started):
            words = command.rstrip(b"\0").decode("utf-8", "replace").split("\0")
            return ProcessFacts(shlex.join(words), int(threads), state in (b"T", b"t"))
    except (OSError, ValueError, IndexError):  # it has ended, or /proc hides it
        pass
    return ProcessFacts()


def wait_documents(at: Inspection, facts: Callable[[Process], ProcessFacts]) -> list[dict[str, Any]]:
    """What threads can wait for at the structure, and which processes wait and hold, as values for JSON."""

    def document(process: Process | None) -> dict[str, Any]:
        known = ProcessFacts() if process is None else facts(process)
        return {
            "pid": None if process is None else process.pid,
            "command": known.command,
            "threads_of_process": known.threads,
            "stopped": known.stopped,
        }

    return [
        {
            "what": wait.what,
            "waiters": [{"threads": threads, **document(process)} for process, threads in wait.waiters.items()],
            "uncounted": wait.uncounted,
            "holders": [
                {
                    "how": holder.how,
                    "times": holder.times,
                    "since": holder.since,
                    **document(holder.process or holder.gone),
                    "gone": holder.process is None,
                }
                for holder in wait.holders
            ],
            "brief": wait.brief,
            "ends_with": "all holders" if wait.every else "one holder",
        }
        for wait in at.waits
    ]
