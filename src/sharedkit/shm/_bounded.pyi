"""A bounded semaphore in shared memory."""

from typing import SupportsIndex

from sharedkit._segment import Place, Segment
from sharedkit.shm._semaphore import Semaphore

KIND_BOUNDED: int

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
    @staticmethod
    def _of(segment: Segment) -> BoundedSemaphore: ...

def make(place: Place | str, name: str, seats: int, flags: int, value: int) -> Segment: ...
def state(segment: Segment) -> str: ...
