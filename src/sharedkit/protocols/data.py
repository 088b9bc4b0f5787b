"""What holds data: counters, queues, arrays and dicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, ItemsView, Iterable, Iterator, KeysView, ValuesView
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sharedkit.protocols.handle import Handle, Structure
from sharedkit.protocols.locks import Lockable
from sharedkit.statistics import (
    ArrayStatistics,
    CountersStatistics,
    CounterStatistics,
    DictStatistics,
    QueueStatistics,
)

__all__ = [
    "Array",
    "Counter",
    "CounterView",
    "Counters",
    "Dict",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "RawValue",
    "Set",
    "Value",
]

T = TypeVar("T")


class CounterView(Protocol):
    """A signed 64-bit integer whose every method is one step. OverflowError keeps the value."""

    def add(self, n: int = 1, /) -> int | None:
        """Add and return the new value; None when striped."""

    @property
    def value(self) -> int: ...

    @value.setter
    def value(self, value: int, /) -> None: ...

    def exchange(self, value: int, /) -> int:
        """Set the value and return the old one."""

    def compare_exchange(self, expected: int, desired: int, /) -> bool:
        """Set the value if it is as expected, and say whether it was; TypeError when striped."""

    def reset(self) -> int:
        """Set the value to 0 and return the old one."""

    def __int__(self) -> int: ...

    def __index__(self) -> int: ...

    def __iadd__(self, n: int, /) -> Self: ...

    def __isub__(self, n: int, /) -> Self: ...


class Counter(CounterView, Handle, Protocol):
    """A counter on its own."""

    def __init__(
        self,
        value: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
        striped: bool = False,
    ) -> None: ...

    def statistics(self) -> CounterStatistics: ...


class Counters(Handle, Protocol):
    """A group of named counters. KeyError for an unknown name."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def add(self, name: str, n: int = 1) -> int:
        """Add to the counter `name` and return its new value."""

    def __getitem__(self, name: str, /) -> CounterView: ...

    def __setitem__(self, name: str, value: Any, /) -> None:
        """Set a value; after `c[name] += n`, nothing."""

    def __contains__(self, name: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...

    def keys(self) -> Iterable[str]: ...

    def values(self) -> Iterable[int]: ...

    def items(self) -> Iterable[tuple[str, int]]: ...

    def as_dict(self) -> dict[str, int]: ...

    def statistics(self) -> CountersStatistics: ...


class Queue(Handle, Protocol[T]):
    """`queue.Queue` of Python 3.13, with batches; raises queue.Empty, queue.Full and ShutDown as it does.

    `JoinableQueue` and `SimpleQueue` are further names of it.
    """

    def __init__(
        self,
        maxsize: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    @property
    def maxsize(self) -> int: ...

    @property
    def unfinished_tasks(self) -> int: ...

    @property
    def is_shutdown(self) -> bool: ...

    def put(
        self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...

    def get(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T: ...

    def put_nowait(self, item: T) -> None: ...

    def get_nowait(self) -> T: ...

    def put_many(
        self,
        items: Iterable[T],
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> None:
        """Put all in order; the attribute `put` of a Full says how many went in."""

    def get_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """Wait for the first item and take what is there, in the order in which it was put.

        What others put while the first part is being taken may be among it, so that the list may be longer than
        `maxsize`, but never than twice that.
        """

    async def aput(
        self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None: ...

    async def aget(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T: ...

    async def aput_many(
        self,
        items: Iterable[T],
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> None:
        """As `put_many`; a CancelledError has the attribute `put`, too."""

    async def aget_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]: ...

    def __iter__(self) -> Iterator[T]:
        """Items as `get` takes them, until the queue is shut down and empty."""

    def __aiter__(self) -> AsyncIterator[T]:
        """Items as `aget` takes them, until the queue is shut down and empty."""

    def task_done(self) -> None: ...

    def join(self) -> None: ...

    async def ajoin(self) -> None: ...

    def shutdown(self, immediate: bool = False) -> None: ...

    def qsize(self) -> int: ...

    def empty(self) -> bool: ...

    def full(self) -> bool: ...

    def join_thread(self) -> None: ...

    def cancel_join_thread(self) -> None: ...

    def statistics(self) -> QueueStatistics: ...


class LifoQueue(Queue[T], Protocol[T]):
    """`queue.LifoQueue`: what was put last goes first. Not in shared memory."""


class PriorityQueue(Queue[T], Protocol[T]):
    """`queue.PriorityQueue`: what is least goes first, and of equal items what was put first. Not in shared memory."""


class Array(Handle, Protocol):
    """A NumPy array that its users share, zeros at first; indexing the handle reads and writes elements."""

    def __init__(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = "f8",
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> Self:
        """One with the shape, the dtype and a copy of the elements of `array`."""

    @property
    def ndarray(self) -> NDArray[Any]:
        """A view of the elements, not a copy; it outlives `close()`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def nbytes(self) -> int: ...

    @property
    def lock(self) -> Lockable:
        """For whatever its users agree on; no method takes it."""

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __setitem__(self, key: Any, value: ArrayLike, /) -> None: ...

    def fetch_add(self, index: int | tuple[int, ...], n: int | float, /) -> Any:
        """Add to one element in one step and return what it was."""

    def compare_exchange(self, index: int | tuple[int, ...], expected: int | float, desired: int | float, /) -> bool:
        """Set one element if it is as expected, in one step, and say whether it was."""

    def add_at(self, indices: Any, values: ArrayLike, /) -> None:
        """Add to many elements, each atomically; an index that comes twice is added to twice."""

    def statistics(self) -> ArrayStatistics: ...


class RawValue(Handle, Protocol):
    """`multiprocessing.RawValue`: one number, bool or character of a type of `ctypes`, or of a code of `array`."""

    def __init__(
        self,
        typecode_or_type: Any,
        /,
        *args: Any,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    @property
    def value(self) -> Any:
        """Read in one step, and written in one, as `ctypes` does."""

    @value.setter
    def value(self, value: Any, /) -> None: ...

    def statistics(self) -> ArrayStatistics: ...


class Value(Structure, Protocol):
    """`multiprocessing.Value`: a RawValue with a lock, for which `value` waits; `with` takes it. With `lock=False` the
    call answers a RawValue."""

    def __init__(
        self,
        typecode_or_type: Any,
        /,
        *args: Any,
        lock: Any = True,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    @property
    def value(self) -> Any: ...

    @value.setter
    def value(self, value: Any, /) -> None: ...

    def get_lock(self) -> Any:
        """An RLock, or the lock that it was given."""

    @property
    def lock(self) -> Any:
        """The same, as an Array has it."""

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool: ...

    async def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> bool: ...

    def release(self) -> None: ...

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def statistics(self) -> ArrayStatistics: ...


class Set(Handle, Protocol):
    """A `set` in order of addition whose every operation on one member is one step; iteration goes over a snapshot.

    Its members are what can be keys of a Dict of its placement.
    """

    def __init__(
        self,
        iterable: Iterable[Any] = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    def add(self, member: Any, /) -> None: ...

    def insert(self, member: Any, /) -> bool:
        """Add `member`, and say whether it was new: of many who insert the same, one is told so."""

    def discard(self, member: Any, /) -> None: ...

    def remove(self, member: Any, /) -> None:
        """Remove `member`; KeyError when it is not there."""

    def pop(self) -> Any:
        """Remove and return the member that was added last; KeyError when there is none."""

    def clear(self) -> None: ...

    def update(self, *others: Iterable[Any]) -> None: ...

    def difference_update(self, *others: Iterable[Any]) -> None: ...

    def intersection_update(self, *others: Iterable[Any]) -> None: ...

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None: ...

    def as_set(self) -> set[Any]:
        """A plain set of a snapshot."""

    def copy(self) -> Self:
        """A new Set, made from a snapshot."""

    def union(self, *others: Iterable[Any]) -> set[Any]: ...

    def intersection(self, *others: Iterable[Any]) -> set[Any]: ...

    def difference(self, *others: Iterable[Any]) -> set[Any]: ...

    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]: ...

    def isdisjoint(self, other: Iterable[Any], /) -> bool: ...

    def issubset(self, other: Iterable[Any], /) -> bool: ...

    def issuperset(self, other: Iterable[Any], /) -> bool: ...

    def __contains__(self, member: object, /) -> bool: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __or__(self, other: Any, /) -> set[Any]: ...

    def __and__(self, other: Any, /) -> set[Any]: ...

    def __sub__(self, other: Any, /) -> set[Any]: ...

    def __xor__(self, other: Any, /) -> set[Any]: ...

    def __ior__(self, other: Any, /) -> Self: ...

    def __iand__(self, other: Any, /) -> Self: ...

    def __isub__(self, other: Any, /) -> Self: ...

    def __ixor__(self, other: Any, /) -> Self: ...

    def __le__(self, other: Any, /) -> bool: ...

    def __lt__(self, other: Any, /) -> bool: ...

    def __ge__(self, other: Any, /) -> bool: ...

    def __gt__(self, other: Any, /) -> bool: ...

    def statistics(self) -> DictStatistics: ...


class Dict(Handle, Protocol):
    """A mapping in order of insertion whose every operation on one key is one step; iteration goes over a snapshot."""

    def __init__(
        self,
        mapping_or_pairs: Any = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
        **items: Any,
    ) -> None: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __setitem__(self, key: Any, value: Any, /) -> None: ...

    def __delitem__(self, key: Any, /) -> None: ...

    def __contains__(self, key: object, /) -> bool: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __reversed__(self) -> Iterator[Any]: ...

    def get(self, key: Any, default: Any = None, /) -> Any: ...

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, set to `default` if it was missing."""

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove `key` and return its value; `default` if it is missing, or KeyError without one."""

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the pair inserted last; KeyError when there is none."""

    def add(self, key: Any, n: Any = 1, /) -> Any:
        """Add to the number at `key`, a missing one being 0, and return the new value."""

    def compare_exchange(self, key: Any, expected: Any, desired: Any, /) -> bool:
        """Set `key` if its value equals `expected`, and say whether it did."""

    def update(self, mapping_or_pairs: Any = (), /, **items: Any) -> None:
        """Set many keys, each in one step."""

    def clear(self) -> None: ...

    def as_dict(self) -> dict[Any, Any]:
        """A plain dict of a snapshot."""

    def keys(self) -> KeysView[Any]: ...

    def values(self) -> ValuesView[Any]: ...

    def items(self) -> ItemsView[Any, Any]: ...

    def statistics(self) -> DictStatistics: ...
