"""A bounded semaphore in shared memory."""

from typing import Self, SupportsIndex

from sharedkit._core.segment import Place, PrivatePlace, Segment
from sharedkit.segments import Blueprint
from sharedkit.shm._semaphore import Semaphore

KIND_BOUNDED: int

def blueprint(value: SupportsIndex) -> Blueprint: ...

class BoundedSemaphore(Semaphore):
    """`value` permits between threads and processes with the face of `threading.BoundedSemaphore`."""

    def __init__(
        self,
        value: SupportsIndex = 1,
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

def make(place: Place | PrivatePlace | str, name: str | None, seats: int, flags: int, value: int) -> Segment: ...
def state(segment: Segment) -> str: ...
