"""The results of each structure's `statistics()`: one frozen dataclass for each, the same in every placement.

The values are read without stopping other users, so they may be from slightly different moments. `attached` holds the
process ids of the processes that have used the structure since they opened it, including the caller's (in shared memory
`sharedkit ls` also shows those that have it open and have not used it).

The methods import this module when they are called, because making these classes takes a sixth of the time of
`import sharedkit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ArrayStatistics",
    "BarrierState",
    "BarrierStatistics",
    "ConditionStatistics",
    "CounterStatistics",
    "CountersStatistics",
    "DictStatistics",
    "EventStatistics",
    "ExecutorStatistics",
    "LockStatistics",
    "QueueState",
    "QueueStatistics",
    "RWLockStatistics",
    "SemaphoreStatistics",
    "StreamReaderState",
    "StreamStatistics",
]

QueueState = Literal["open", "shutdown", "shutdown-immediate"]
BarrierState = Literal["filling", "acting", "draining", "resetting", "broken"]


@dataclass(frozen=True, slots=True)
class CounterStatistics:
    """One counter; `striped`: each adding thread or process has its own word, and a read adds up the words."""

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

    `maxsize` and `qsize` count items; a `maxsize` of 0 means no limit. `join()` waits for `unfinished_tasks`.
    `capacity_bytes` and `used_bytes` measure the ring that holds the items; None if items are plain objects.
    `waiting_getters` and `waiting_putters` count sleeping threads, where all tasks of an event loop count as one; None
    if they are not counted. `put_owner` and `get_owner` are the process ids of the processes inside `put` and `get`
    now, or None.
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
    """One array: its shape and size, `dtype` as NumPy spells it, and the process id of its lock's holder."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    attached: tuple[int, ...]
    lock_owner: int | None = None


@dataclass(frozen=True, slots=True)
class DictStatistics:
    """One dict: `length` keys in a table of `buckets`; `capacity_bytes` of memory, of which live entries use
    `used_bytes` (None if entries are plain objects).

    `lock_owner` is the process id of the process that is writing now, or None.
    """

    name: str
    kind: str
    length: int
    buckets: int | None
    capacity_bytes: int | None
    used_bytes: int | None
    attached: tuple[int, ...]
    lock_owner: int | None = None


@dataclass(frozen=True, slots=True)
class LockStatistics:
    """One Lock or RLock, enough to explain a wait that timed out.

    `owner` is the process id of the holder, `since` the wall-clock time (seconds since 1970, as `time.time()`) at which
    it took the lock; both are None if the lock is free. `waiting` counts the threads of all processes that sleep in
    `acquire`. `owner_died` becomes true when the lock is taken over from a dead process, and false when it is released.
    `count` says how often the holder has taken the lock: 0 if it is free, above 1 for an RLock only.
    """

    name: str
    kind: str
    owner: int | None
    since: float | None
    waiting: int
    owner_died: bool
    count: int
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SemaphoreStatistics:
    """One Semaphore or BoundedSemaphore: `value` permits are free, of at most `bound` (None if there is no bound).

    `holders` maps process ids to the number of permits that each process holds; it is empty for a Semaphore, whose
    permits have no owner. `waiting` counts the threads of all processes that sleep in `acquire`.
    """

    name: str
    kind: str
    value: int
    bound: int | None
    waiting: int
    holders: Mapping[int, int]
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EventStatistics:
    """One event; `waiting` counts the threads of all processes that sleep in `wait`."""

    name: str
    kind: str
    is_set: bool
    waiting: int
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConditionStatistics:
    """One condition: `lock` describes its lock, `waiting` counts the threads of all processes in `wait` that have not
    been notified, `notified` those that have been notified and have not returned yet.
    """

    name: str
    kind: str
    lock: LockStatistics
    waiting: int
    notified: int
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BarrierStatistics:
    """One barrier: `waiting` of `parties` have arrived; `owners` holds the process id of each of them."""

    name: str
    kind: str
    parties: int
    waiting: int
    state: BarrierState
    owners: tuple[int, ...]
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RWLockStatistics:
    """One RWLock: `writer` is the process id of the writer, and `since` the wall-clock time (seconds since 1970) at
    which it began to write, both None if there is none. `readers` maps process ids to the number of threads of each
    process that read.

    `waiting_readers` and `waiting_writers` count sleeping threads of all processes. `owner_died` is true from a
    writer's death until the next writer releases the lock.
    """

    name: str
    kind: str
    writer: int | None
    since: float | None
    readers: Mapping[int, int]
    waiting_readers: int
    waiting_writers: int
    owner_died: bool
    attached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExecutorStatistics:
    """One executor: `workers` are the process ids of its workers (if they are threads, this process's id for each).

    `pending` tasks wait, `running` tasks are with a worker. `deaths` counts workers that ended before the executor did,
    including those that had reached `max_tasks_per_child`.
    """

    kind: str
    max_workers: int
    workers: tuple[int, ...]
    pending: int
    running: int
    deaths: int


@dataclass(frozen=True, slots=True)
class StreamReaderState:
    """One reader of a stream: its process, the number of the next message that it reads, how many messages it is
    `behind` the newest one, and how many it has lost so far."""

    pid: int
    position: int
    behind: int
    lost: int


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """One stream.

    `shape` and `dtype` of its arrays are None if messages are any objects. It keeps `slots` messages, has `length` of
    them now, and has had `published` in all. `capacity_bytes`: memory for messages now; None if they are plain objects.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    dtype: str | None
    overflow: Literal["overwrite", "block"]
    slots: int
    length: int
    published: int
    capacity_bytes: int | None
    readers: tuple[StreamReaderState, ...]
    state: QueueState
    attached: tuple[int, ...]
