"""A condition in shared memory."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import disjoint_base

from sharedkit._segment import Handle, Segment
from sharedkit.statistics import ConditionStatistics

KIND_CONDITION: int

_T = TypeVar("_T")

def make(path: str, name: str, seats: int, flags: int, whose: int, meta: bytes) -> Segment: ...

@disjoint_base
class Condition(Handle):
    """A condition variable between threads and processes with the face of `threading.Condition`."""

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...
    @staticmethod
    def _of(segment: Segment) -> Condition: ...
    @property
    def lock(self) -> Any: ...
    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool: ...
    def release(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def wait_for(self, predicate: Callable[[], _T], timeout: float | None = None) -> _T: ...
    def notify(self, n: int = 1) -> None: ...
    def notify_all(self) -> None: ...
    def notifyAll(self) -> None: ...
    def statistics(self) -> ConditionStatistics: ...
    # `with` takes the lock; it does not close the handle.
    def __enter__(self) -> bool: ...  # type: ignore[override]
    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def with_lock(arrive: Callable[..., Condition], arguments: tuple[Any, ...], lock: Any) -> Condition: ...
def state(segment: Segment) -> str: ...
