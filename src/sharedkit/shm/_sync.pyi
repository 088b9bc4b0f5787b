"""A lock in shared memory, and what it has in common with the other primitives."""

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self

from typing_extensions import disjoint_base

from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit.segments import Blueprint
from sharedkit.shm._waiting import SliceWaiter
from sharedkit.statistics import LockStatistics

KIND_LOCK: int
MANNERS: tuple[str, str]

@disjoint_base
class MutexWaiter(SliceWaiter): ...

@disjoint_base
class Mutex(Handle):
    """What a Lock and an RLock have in common: who holds it, since when, and word of a death."""

    @property
    def owner(self) -> int | None: ...
    @property
    def owner_died(self) -> bool: ...
    def mark_consistent(self) -> None: ...

def blueprint(kind: int, on_owner_died: object) -> Blueprint: ...

@disjoint_base
class Lock(Mutex):
    """A lock between threads and processes with the face of `threading.Lock`; `Array.lock` is one."""

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: Literal["warn", "raise"] = "warn",
        seats: int = 192,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None: ...
    def _open(self, segment: Segment) -> None: ...
    @classmethod
    def _of(cls, segment: Segment) -> Self: ...
    @classmethod
    def _in(cls, segment: Segment, offset: int) -> Self: ...
    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool: ...
    async def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def statistics(self) -> LockStatistics: ...
    # `with` takes the lock; it does not close the handle.
    def __enter__(self) -> bool: ...  # type: ignore[override]
    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, bool]: ...  # type: ignore[override]
    async def __aexit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def checked_manner(on_owner_died: object) -> int: ...
def make(
    place: Place | PrivatePlace | str, name: str | None, seats: int, flags: int, kind: int, strict: int
) -> Segment: ...
def lock_of(arrive: Callable[..., Any], arguments: tuple[Any, ...]) -> Lock: ...
def told(picture: LockStatistics) -> str: ...
def state(segment: Segment) -> str: ...
