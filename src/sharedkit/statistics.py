"""What `statistics()` of each structure answers: one frozen picture, the same in every placement.

A picture is taken without stopping anybody, so its numbers may be a moment apart from each other.
`attached` holds the process ids of those that have the structure open, the caller's among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ArrayStatistics",
    "CounterStatistics",
    "CountersStatistics",
    "DictStatistics",
    "QueueState",
    "QueueStatistics",
]

QueueState = Literal["open", "shutdown", "shutdown-immediate"]


@dataclass(frozen=True, slots=True)
class CounterStatistics:
    """One counter; `striped` says that each adder has a word of its own, which reading sums up."""

    name: str
    kind: str
    value: int
    striped: bool
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CountersStatistics:
    """A group of named counters: the value of each, in the order in which the group was made."""

    name: str
    kind: str
    values: Mapping[str, int]
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """One queue.

    `maxsize` and `qsize` count items; a `maxsize` of 0 is no bound. `join()` waits for `unfinished_tasks`.
    `capacity_bytes` and `used_bytes` measure the ring that holds the items, None where they are plain
    objects. `waiting_getters` and `waiting_putters` count sleeping callers, None where nobody counts them.
    `put_owner` and `get_owner` are the process ids of those inside `put` and `get` now, None for nobody.
    """

    name: str
    kind: str
    maxsize: int
    qsize: int
    unfinished_tasks: int
    capacity_bytes: int | None
    used_bytes: int | None
    state: QueueState
    attached: tuple[int, ...]
    waiting_getters: int | None = None
    waiting_putters: int | None = None
    put_owner: int | None = None
    get_owner: int | None = None


@dataclass(frozen=True, slots=True)
class ArrayStatistics:
    """One array: its geometry, `dtype` as NumPy spells it, and the process id of the holder of its lock."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    attached: tuple[int, ...]
    lock_owner: int | None = None


@dataclass(frozen=True, slots=True)
class DictStatistics:
    """One dict: `length` keys in a table of `buckets`; `capacity_bytes` of memory, `used_bytes` by live entries (None
    where they are plain objects).

    `lock_owner` is the process id of the one who is writing now, None for nobody.
    """

    name: str
    kind: str
    length: int
    buckets: int | None
    capacity_bytes: int | None
    used_bytes: int | None
    attached: tuple[int, ...]
    lock_owner: int | None = None
