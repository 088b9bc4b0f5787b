"""A barrier in shared memory."""

from collections.abc import Callable, Coroutine
from typing import Any, Self, SupportsIndex

from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit._core.watcher import Waiter
from sharedkit.segments import Blueprint
from sharedkit.statistics import BarrierState, BarrierStatistics

KIND_BARRIER: int
STATES: tuple[BarrierState, ...]

def make(
    place: Place | PrivatePlace | str, name: str | None, seats: int, flags: int, parties: int, timeout: float | None
) -> Segment: ...

@disjoint_base
class PartyWaiter(Waiter): ...

def blueprint(parties: SupportsIndex, timeout: float | None) -> Blueprint: ...

@disjoint_base
class Barrier(Handle):
    """A place where `parties` threads and processes wait for each other, with the interface of `threading.Barrier`."""

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
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
    def wait(self, timeout: float | None = None) -> int: ...
    def await_(self, timeout: float | None = None) -> Coroutine[Any, Any, int]: ...
    def reset(self) -> None: ...
    def abort(self) -> None: ...
    @property
    def parties(self) -> int: ...
    @property
    def n_waiting(self) -> int: ...
    @property
    def broken(self) -> bool: ...
    def statistics(self) -> BarrierStatistics: ...

def acting(arrive: Callable[..., Barrier], arguments: tuple[Any, ...], action: Callable[[], object]) -> Barrier: ...
def state(segment: Segment) -> str: ...
