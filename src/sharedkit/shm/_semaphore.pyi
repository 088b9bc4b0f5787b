"""The semaphores in shared memory."""

from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, SupportsIndex

from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit.segments import Blueprint
from sharedkit.shm._waiting import ReadyWaiter
from sharedkit.statistics import SemaphoreStatistics

KIND_SEMAPHORE: int
KIND_BOUNDED: int
MOST: int

def blueprint(value: SupportsIndex) -> Blueprint: ...
def blueprint_of_bounded(value: SupportsIndex) -> Blueprint: ...

class Semaphore(Handle):
    """Permits between threads and processes with the interface of `threading.Semaphore`."""

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
    def acquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool: ...
    async def aacquire(
        self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None
    ) -> bool: ...
    def release(self, n: SupportsIndex = 1) -> None: ...
    def get_value(self) -> int: ...
    def locked(self) -> bool: ...
    def statistics(self) -> SemaphoreStatistics: ...
    # `with` takes a permit; it does not close the handle.
    def __enter__(self) -> bool: ...  # type: ignore[override]
    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, bool]: ...  # type: ignore[override]
    async def __aexit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class BoundedSemaphore(Semaphore):
    """`value` permits between threads and processes with the interface of `threading.BoundedSemaphore`."""

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

def checked_value(value: SupportsIndex) -> int: ...
def make(place: Place | PrivatePlace | str, name: str | None, seats: int, flags: int, value: int) -> Segment: ...
def make_bounded(place: Place | PrivatePlace | str, name: str, seats: int, flags: int, value: int) -> Segment: ...
def state(segment: Segment) -> str: ...
def state_of_bounded(segment: Segment) -> str: ...
def ready_to_acquire(handle: Semaphore) -> ReadyWaiter: ...
