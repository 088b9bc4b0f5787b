"""A counter in shared memory."""

from typing import Self, SupportsIndex

from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit.segments import Blueprint
from sharedkit.shm.counter import Counters
from sharedkit.statistics import CounterStatistics

KIND_COUNTER: int
KIND_STRIPED: int
KIND_GROUP: int

def blueprint(value: SupportsIndex, striped: bool) -> Blueprint: ...

@disjoint_base
class Counter(Handle):
    """A signed 64-bit integer in shared memory; each change by a thread or process is one atomic step."""

    def __init__(
        self,
        value: SupportsIndex = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        striped: bool = False,
        seats: int = ...,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None: ...
    def _open(self, segment: Segment, i: int = 0) -> None: ...
    @classmethod
    def _of(cls, segment: Segment, i: int = 0, key: str | None = None) -> Self: ...
    @property
    def striped(self) -> bool: ...
    @property
    def value(self) -> int: ...
    @value.setter
    def value(self, value: SupportsIndex, /) -> None: ...
    def add(self, n: SupportsIndex = 1, /) -> int | None: ...
    def exchange(self, value: SupportsIndex) -> int: ...
    def compare_exchange(self, expected: SupportsIndex, desired: SupportsIndex) -> bool: ...
    def reset(self) -> int: ...
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __iadd__(self, n: SupportsIndex, /) -> Self: ...
    def __isub__(self, n: SupportsIndex, /) -> Self: ...
    def statistics(self) -> CounterStatistics: ...

def make(
    place: Place | PrivatePlace | str,
    name: str | None,
    seats: int,
    flags: int,
    kind: int,
    words: int,
    value: int,
    meta: bytes,
) -> Segment: ...
def group_of(segment: Segment) -> Counters: ...
def state(segment: Segment) -> str: ...
