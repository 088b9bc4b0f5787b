"""A re-entrant lock in shared memory."""

from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Literal, Self

from typing_extensions import disjoint_base

from sharedkit._core.segment import Segment
from sharedkit.shm._sync import Mutex, MutexWaiter
from sharedkit.statistics import LockStatistics

KIND_RLOCK: int

@disjoint_base
class RLockWaiter(MutexWaiter): ...

@disjoint_base
class RLock(Mutex):
    """A re-entrant lock between threads and processes with the face of `threading.RLock`."""

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
    def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> Coroutine[Any, Any, bool]: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def statistics(self) -> LockStatistics: ...
    def _is_owned(self) -> bool: ...
    def _recursion_count(self) -> int: ...
    def _release_save(self) -> Any: ...
    def _acquire_restore(self, saved: Any) -> None: ...
    # `with` takes the lock; it does not close the handle.
    def __enter__(self) -> bool: ...  # type: ignore[override]
    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __aenter__(self) -> Coroutine[Any, Any, bool]: ...  # type: ignore[override]
    def __aexit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Coroutine[Any, Any, None]: ...

def state(segment: Segment) -> str: ...
