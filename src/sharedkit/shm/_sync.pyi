"""A lock in shared memory."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from typing_extensions import disjoint_base

from sharedkit._segment import Handle, Segment

@disjoint_base
class Lock(Handle):
    """A lock between threads and processes with the face of `threading.Lock`; `Array.lock` is one."""

    def __init__(self) -> None: ...
    @staticmethod
    def _in(segment: Segment, offset: int) -> Lock: ...
    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    @property
    def owner(self) -> int | None: ...
    @property
    def owner_died(self) -> bool: ...
    # `with` takes the lock; it does not close the handle.
    def __enter__(self) -> bool: ...  # type: ignore[override]
    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def lock_of(arrive: Callable[..., Any], arguments: tuple[Any, ...]) -> Lock: ...
