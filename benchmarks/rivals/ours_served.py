"""sharedkit's structures behind a server process, the placement manager."""

from __future__ import annotations

from functools import cache
from typing import Any

from benchmarks.rivals.ours import OurArray, OurCounter, OurQueue, Ours
from benchmarks.rivals.ours_sync import OurBarrier, OurCondition, OurDict, OurEvents, OurLock


@cache
def _context() -> Any:
    """One server for the whole run; it ends with the run."""
    import sharedkit

    return sharedkit.get_context("manager")


class Served(Ours):
    name = "sharedkit, server"

    def kit(self) -> Any:
        return _context()


class ServedCounter(Served, OurCounter):
    """`Counter.add`, one round trip for each call."""


class ServedQueue(Served, OurQueue):
    """`Queue(maxsize)`."""


class ServedArray(Served, OurArray):
    """`Array` of "i8"."""


class ServedLock(Served, OurLock):
    """`Lock`."""


class ServedEvents(Served, OurEvents):
    """Two `Event`s."""


class ServedCondition(Served, OurCondition):
    """A `Condition` with its own lock."""


class ServedBarrier(Served, OurBarrier):
    """A `Barrier` for two."""


class ServedDict(Served, OurDict):
    """`Dict`."""
