"""Whether the process that a seat names is still there: one may leave a segment, and live on."""

from __future__ import annotations

__all__ = ["how_it_went", "lives"]

AFTER_NAME = 2  # the fields of /proc/PID/stat are counted from 1; the name, field 2, may contain blanks
STATE, STARTED = 3, 22


def lives(pid: int, started: int) -> bool:
    """Whether /proc has a running process of this pid that began at this time, in clock ticks since the machine began.
    False for a process in another pid namespace, whose pid means nothing here."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        state, began = (fields[each - AFTER_NAME - 1] for each in (STATE, STARTED))
    except (OSError, IndexError):  # it has ended, or /proc hides it
        return False
    return int(began) == started and state not in (b"Z", b"X")


def how_it_went(pid: int, started: int) -> str:
    """How a process came to hold something without having a seat any more: by its death in general, or by closing its
    last handle, or by an exec."""
    return "left" if lives(pid, started) else "died"
