"""Queues in memory of this process."""

from collections.abc import AsyncIterator, Iterable, Iterator
from types import GenericAlias, TracebackType
from typing import Any, Generic, Self, SupportsIndex, TypeVar, final, overload

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from sharedkit._core.lease_arguments import Overflow
from sharedkit._core.segment import Handle, Place, PrivatePlace, Segment
from sharedkit.segments import Blueprint
from sharedkit.statistics import QueueStatistics
from sharedkit.thread._waiters import SideWaiter

KIND_QUEUE: int
KIND_LIFO: int
KIND_PRIORITY: int
STATES: tuple[str, str, str]

_T = TypeVar("_T")
_A = TypeVar("_A", bound=NDArray[Any])

@disjoint_base
class Queue(Handle, Generic[_T]):
    """A first-in, first-out queue of any objects for the threads of this process."""

    @classmethod
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __init__(
        self,
        maxsize: SupportsIndex = 0,
        *,
        overflow: Overflow = "block",
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...
    def _open(self, segment: Segment) -> None: ...
    @classmethod
    def _of(cls, segment: Segment) -> Self: ...
    @property
    def maxsize(self) -> int: ...
    @maxsize.setter
    def maxsize(self, maxsize: SupportsIndex, /) -> None: ...
    @property
    def overflow(self) -> Overflow: ...
    @property
    def unfinished_tasks(self) -> int: ...
    @property
    def is_shutdown(self) -> bool: ...
    def put(
        self, item: _T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...
    def put_nowait(self, item: _T) -> None: ...
    def put_many(
        self,
        items: Iterable[_T],
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> None: ...
    @overload
    def get(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: None = None
    ) -> _T: ...
    @overload
    def get(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: _A) -> _A: ...
    def get_nowait(self) -> _T: ...
    def get_many(
        self,
        max_items: SupportsIndex | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[_T]: ...
    def drain(self) -> list[_T]: ...
    def clear(self) -> int: ...
    def lease(
        self, timeout: float | None = None, *, max_deliveries: int | None = None, dead_letter: Any = None
    ) -> Lease[_T]: ...
    def alease(
        self, timeout: float | None = None, *, max_deliveries: int | None = None, dead_letter: Any = None
    ) -> Lease[_T]: ...
    async def aput(
        self, item: _T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...
    async def aput_many(
        self,
        items: Iterable[_T],
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> None: ...
    @overload
    async def aget(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: None = None
    ) -> _T: ...
    @overload
    async def aget(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: _A
    ) -> _A: ...
    async def aget_many(
        self,
        max_items: SupportsIndex | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[_T]: ...
    async def ajoin(self) -> None: ...
    def __iter__(self) -> Iterator[_T]: ...
    def __aiter__(self) -> AsyncIterator[_T]: ...
    def __contains__(self, item: object, /) -> bool: ...
    def task_done(self) -> None: ...
    def join(self) -> None: ...
    def shutdown(self, immediate: bool = False) -> None: ...
    def qsize(self) -> int: ...
    def empty(self) -> bool: ...
    def full(self) -> bool: ...
    def join_thread(self) -> None: ...
    def cancel_join_thread(self) -> None: ...
    def statistics(self) -> QueueStatistics: ...

@final
class Lease(Generic[_T]):
    """What `Queue.lease()` returns: `with` takes the first item."""

    def __enter__(self) -> _T: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    async def __aenter__(self) -> _T: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def deliveries(self) -> int: ...

class LifoQueue(Queue[_T]):
    """A Queue whose `get` takes the item that was put last."""

    def __init__(
        self,
        maxsize: SupportsIndex = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

class PriorityQueue(Queue[_T]):
    """A Queue whose `get` takes the least item, by Python's `<`, and of equal items the one that was put first."""

    def __init__(
        self,
        maxsize: SupportsIndex = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

def make(
    place: Place | PrivatePlace | str,
    name: str | None,
    seats: int,
    flags: int,
    maxsize: int,
    kind: int = 4,
    drops: bool = False,
) -> Segment: ...
def blueprint(maxsize: SupportsIndex, kind: int = 4, overflow: str = "block") -> Blueprint: ...
def ready_to_get(handle: Queue[Any]) -> SideWaiter: ...
def ready_to_put(handle: Queue[Any]) -> SideWaiter: ...
def ready_to_join(handle: Queue[Any]) -> SideWaiter: ...
