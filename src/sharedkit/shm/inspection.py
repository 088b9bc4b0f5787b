"""The structures of the folder, inspected by a process that does not use them: for `top`, `why` and `doctor`.

Each inspection reads a private copy of the segment (ext/include/core/sk_copy.h): it takes no seat and no lock, maps no
file of others, removes no orphan, and unpickles nothing. A segment that is damaged, of another layout or of another
user is reported and harms nobody. Structures of threads and those behind a server have no segment in the folder: only
their own programs can ask for their `statistics()`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

from sharedkit import errors, segments
from sharedkit._core.segment import Segment
from sharedkit.shm._waits import Holder, Process, Wait, passed, waits_at
from sharedkit.statistics import (
    ArrayStatistics,
    CountersStatistics,
    DictStatistics,
    QueueStatistics,
    StreamStatistics,
)

__all__ = ["Holder", "Inspection", "Process", "Trouble", "Wait", "inspect", "inspect_all", "rates"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """One structure at one moment.

    `size`: bytes of memory held; `created`: seconds since 1970; `users`: the processes that have used it, as
    `statistics().attached`; `length`: items, messages, keys, members, elements or counters, None for other kinds;
    `state` and `statistics`: as `sharedkit ls` and `statistics()` have them (None for a condition whose lock only its
    maker can use); `passed`: how many items a queue has taken in and given out, modulo 2^32, and
    for a stream, how many messages were put, and read by its furthest reader; `at`: monotonic time.
    """

    name: str
    kind: str
    size: int
    created: float
    persist: bool
    orphan: bool
    users: tuple[int, ...]
    length: int | None
    state: str
    statistics: Any
    waits: tuple[Wait, ...]
    passed: tuple[int, int] | None
    at: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """A segment that cannot be inspected, and the reason. `size`: bytes of memory that its file holds, or None."""

    name: str
    error: Exception
    size: int | None


def inspect(name: str) -> Inspection:
    """Inspect the structure `name`.

    Raises ValueError for a name that no structure can have, or for a file that claims to hold too much; ImportError
    when the elements are of a type whose package is missing; FileNotFoundError, LayoutError when another release made
    it, CorruptSegmentError, OSError.
    """
    segment = segments.copy_segment(name)
    try:
        return _inspection(segment)
    except (errors.SharedkitError, OSError, ImportError):
        raise
    except Exception as why:  # whatever a damaged description makes Python raise
        raise errors.CorruptSegmentError(f"segment {name!r} makes no sense: {why}") from None


def inspect_all() -> list[Inspection | Trouble]:
    """Inspect every segment that has a name, in the order of the names. Raises OSError if the folder cannot be read."""
    found: list[Inspection | Trouble] = []
    for name in segments.names():
        try:
            found.append(inspect(name))
        except FileNotFoundError:  # it has ended meanwhile
            continue
        except (errors.SharedkitError, OSError, ImportError, ValueError) as why:
            found.append(Trouble(name, why, segments.size_of(name)))
    return found


def _inspection(segment: Segment) -> Inspection:
    kind = segments.kind_of(segment)
    if kind is None:
        raise errors.LayoutError(
            f"segment {segment.name!r} is of kind {segment.kind}, which this release does not know: "
            "use the release that made it"
        )
    at = time.monotonic()
    try:
        statistics = kind.open(segment).statistics()
    except (TypeError, errors.GoneError):  # a condition whose lock only its maker can use, or whose lock is gone
        statistics = None
    waits = tuple(waits_at(segment))
    return Inspection(
        name=segment.name,
        kind=kind.name,
        size=segment.memory,
        created=segment.created,
        persist=segment.persist,
        orphan=not segment.persist and not segment.in_use,
        users=segment.seated(),
        length=_length(statistics),
        state=kind.state(segment),
        statistics=statistics,
        waits=waits,
        passed=passed(segment),
        at=at,
    )


def _length(statistics: Any) -> int | None:
    match statistics:
        case QueueStatistics():
            return statistics.qsize
        case DictStatistics() | StreamStatistics():
            return statistics.length
        case ArrayStatistics():
            return math.prod(statistics.shape)
        case CountersStatistics():
            values: Sized = statistics.values
            return len(values)
    return None


def rates(before: Inspection, now: Inspection) -> tuple[float, float] | None:
    """Puts and gets a second between two inspections of a queue or a stream; None for other kinds, or if it is
    another structure.

    The counts are modulo 2^32: if more items pass between the two inspections, the result is too small.
    """
    if before.passed is None or now.passed is None or before.created != now.created or now.at <= before.at:
        return None
    span = now.at - before.at
    puts, gets = ((new - old) % 2**32 / span for old, new in zip(before.passed, now.passed, strict=True))
    return puts, gets
