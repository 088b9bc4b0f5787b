"""A queue in shared memory."""

from __future__ import annotations

import operator
from typing import Generic, TypeVar

from sharedkit import segments
from sharedkit._segment import Segment
from sharedkit.shm import _queue
from sharedkit.statistics import QueueStatistics

__all__ = ["Queue"]

T = TypeVar("T")
_FIRST_RING_LOG2 = 10  # units of 16 bytes: 16 KiB; it doubles as needed


class Queue(segments.SharedHandle, _queue.QueueBase, Generic[T]):
    """Queue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)

    A first-in, first-out queue with the face of `queue.Queue` of Python 3.13, between threads and processes.

    At most `maxsize` items; 0 or less: as many as memory holds (32 GiB at once). Items are copied: `None bool int
    float bytes str` and NumPy arrays fast, all else by pickle 5. Any number of producers and consumers; order is kept
    per producer. `seats`: how many processes can attach at once.
    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when what is there differs,
    OutOfSharedMemory. Method: a byte ring with one commit word a side, docs/decisions/0002.
    """

    __slots__ = ()

    def __init__(
        self,
        maxsize: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = segments.DEFAULT_SEATS,
    ) -> None:
        bound = max(operator.index(maxsize), 0)
        if bound >= 1 << 63:
            raise ValueError(f"maxsize must be less than 2**63: {maxsize}")
        flags = segments.flags_of(persist)
        segments.checked_seats(seats)
        segment = segments.create(
            lambda path, name: _queue.make(path, name, seats, flags, bound, _FIRST_RING_LOG2, 0),
            _queue.KIND_QUEUE,
            lambda there: there.params[0] == bound and there.seats == seats,
            name=name,
            exist_ok=exist_ok,
        )
        self._open(segment)

    @classmethod
    def _of(cls, segment: Segment) -> Queue[T]:
        self = cls.__new__(cls)
        self._open(segment)
        return self

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown()` was called."""
        return bool(self._look()[0] != "open")

    def join_thread(self) -> None:
        """Nothing to wait for: `put` returns when the item is in the queue. For code written for multiprocessing."""

    def cancel_join_thread(self) -> None:
        """Nothing to cancel, as for `join_thread`."""

    def statistics(self) -> QueueStatistics:
        """Sizes, state, who is attached and who is inside `put` and `get`, at this moment."""
        segment = self._segment()
        state, capacity, used, putter, getter = self._look()
        return QueueStatistics(
            name=segment.name,
            kind="Queue",
            maxsize=self.maxsize,
            qsize=self.qsize(),
            unfinished_tasks=self.unfinished_tasks,
            capacity_bytes=capacity,
            used_bytes=used,
            state=state,
            attached=segment.attached(),
            put_owner=putter,
            get_owner=getter,
        )

    def __repr__(self) -> str:
        if self.closed:
            return "<Queue closed>"
        return f"<Queue qsize={self.qsize()} maxsize={self.maxsize} name={self.name!r}>"


def _state(segment: Segment) -> str:
    queue: Queue[object] = Queue._of(segment)
    state, *_ = queue._look()
    return f"{queue.qsize()} items, {state}"


segments.register_kind(segments.Kind(_queue.KIND_QUEUE, "Queue", Queue._of, _state))
