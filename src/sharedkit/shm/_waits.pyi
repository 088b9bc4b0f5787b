"""What threads wait for at a structure: the processes that hold it, and those whose threads wait."""

from typing import NamedTuple

from sharedkit._core.segment import Segment

class Process(NamedTuple):
    """A process as a segment names it: the pid in its own pid namespace, and when it began, in clock ticks since the
    machine started (0: it had no /proc)."""

    pid: int
    started: int

class Holder(NamedTuple):
    """A process that holds a structure. `process`: None if it is gone, because it died, or left without a release; then
    `gone` is that process until another one takes its seat, and None afterwards. `how`: "holds", "reads", "writes" or
    the like; `times`: how often, or by how many threads; `since`: in seconds since 1970, None if it is not recorded."""

    process: Process | None
    how: str
    times: int
    since: float | None
    gone: Process | None = None

class Wait(NamedTuple):
    """One thing that threads wait for at a structure: see the fields' description in _waits.pyx."""

    what: str
    waiters: dict[Process, int]
    holders: tuple[Holder, ...] = ()
    every: bool = True
    uncounted: bool = False
    brief: bool = False

def waits_at(segment: Segment) -> list[Wait]: ...
def passed(segment: Segment) -> tuple[int, int] | None: ...
