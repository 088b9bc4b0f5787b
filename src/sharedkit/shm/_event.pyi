"""An event in shared memory."""

from collections.abc import Coroutine
from typing import Any, Self

from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit.segments import Blueprint
from sharedkit.shm._waiting import ReadyWaiter, SliceWaiter
from sharedkit.statistics import EventStatistics

KIND_EVENT: int

def make(place: Place | PrivatePlace | str, name: str | None, seats: int, flags: int) -> Segment: ...

@disjoint_base
class FlagWaiter(SliceWaiter): ...

BLUEPRINT: Blueprint

@disjoint_base
class Event(Handle):
    """A flag that threads and processes wait for, with the interface of `threading.Event`."""

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None: ...
    def _open(self, segment: Segment) -> None: ...
    @classmethod
    def _of(cls, segment: Segment) -> Self: ...
    def is_set(self) -> bool: ...
    def isSet(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def await_(self, timeout: float | None = None) -> Coroutine[Any, Any, bool]: ...
    def statistics(self) -> EventStatistics: ...

def state(segment: Segment) -> str: ...

@disjoint_base
class ReadyEvent(ReadyWaiter): ...

def ready_to_go(handle: Event) -> ReadyWaiter: ...
