"""A barrier in shared memory."""

from collections.abc import Callable, Coroutine
from typing import Any

from typing_extensions import disjoint_base

from sharedkit._segment import Handle, Place, Segment
from sharedkit._watch import Turn
from sharedkit.statistics import BarrierState, BarrierStatistics

KIND_BARRIER: int
STATES: tuple[BarrierState, ...]

def make(place: Place | str, name: str, seats: int, flags: int, parties: int, timeout: float | None) -> Segment: ...

@disjoint_base
class PartyTurn(Turn): ...

@disjoint_base
class Barrier(Handle):
    """A place where `parties` threads and processes wait for each other, with the face of `threading.Barrier`."""

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
    @staticmethod
    def _of(segment: Segment) -> Barrier: ...
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
