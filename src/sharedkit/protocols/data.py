"""Structures that hold data: counters, queues, arrays, values, sets and dicts."""

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
    """A signed 64-bit integer; each method is one atomic step. An OverflowError leaves the value unchanged."""

    def add(self, n: int = 1, /) -> int | None:
        """Add `n` and return the new value; None when striped."""

    @property
    def value(self) -> int: ...

    @value.setter
    def value(self, value: int, /) -> None: ...

    def exchange(self, value: int, /) -> int:
        """Set the value and return the old one."""

    def compare_exchange(self, expected: int, desired: int, /) -> bool:
        """Set the value to `desired` if it is `expected`; return whether it was. TypeError when striped."""

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
        """Set the value of the counter `name`; does nothing as the last step of `c[name] += n`."""

    def __contains__(self, name: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...

    def keys(self) -> Iterable[str]: ...

    def values(self) -> Iterable[int]: ...

    def items(self) -> Iterable[tuple[str, int]]: ...

    def as_dict(self) -> dict[str, int]: ...

    def statistics(self) -> CountersStatistics: ...


class Queue(Handle, Protocol[T]):
    """`queue.Queue` of Python 3.13, with batches; it raises queue.Empty, queue.Full and ShutDown in the same cases.

    `JoinableQueue` and `SimpleQueue` are other names of this class.
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
        """Put all items in order; the attribute `put` of a Full is the number of items that went in."""

    def get_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """Wait for the first item, then take all that are there, in the order in which they were put.

        The list may include items that other producers put during this call. So it may be longer than `maxsize`, but
        never longer than twice `maxsize`.
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
        """Put as `put_many` does; a CancelledError has the attribute `put`, too."""

    async def aget_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]: ...

    def __iter__(self) -> Iterator[T]:
        """Yield items as `get` takes them, until the queue is shut down and empty."""

    def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as `aget` takes them, until the queue is shut down and empty."""

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
    """`queue.LifoQueue`: `get` takes the item that was put last. Not available in shared memory."""


class PriorityQueue(Queue[T], Protocol[T]):
    """`queue.PriorityQueue`: `get` takes the least item, and of equal items the one that was put first.

    Not available in shared memory.
    """


class Array(Handle, Protocol):
    """A shared NumPy array, zeros at first; indexing the handle reads and writes the elements."""

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
        """Return an array with the shape, the dtype and a copy of the elements of `array`."""

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
        """A lock whose meaning the users agree on; no method takes it."""

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __setitem__(self, key: Any, value: ArrayLike, /) -> None: ...

    def fetch_add(self, index: int | tuple[int, ...], n: int | float, /) -> Any:
        """Add `n` to one element in one step and return the value from before."""

    def compare_exchange(self, index: int | tuple[int, ...], expected: int | float, desired: int | float, /) -> bool:
        """Set one element to `desired` if it is `expected`, in one step; return whether it was."""

    def add_at(self, indices: Any, values: ArrayLike, /) -> None:
        """Add to many elements, each in one atomic step; an index that occurs twice is added to twice."""

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
        """The value. Reading is one step and writing is one step; values are converted as by `ctypes`."""

    @value.setter
    def value(self, value: Any, /) -> None: ...

    def statistics(self) -> ArrayStatistics: ...


class Value(Structure, Protocol):
    """`multiprocessing.Value`: a RawValue with a lock. A read or write of `value` waits for the lock; `with` takes it.

    With `lock=False` the call returns a RawValue.
    """

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
        """Return the lock: an RLock, or the lock that was given."""

    @property
    def lock(self) -> Any:
        """The lock that `get_lock()` returns, under the name that an Array uses."""

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
    """A `set` in order of addition; each operation on one member is one step, and iteration goes over a snapshot.

    A member can be anything that can be a key of a Dict of the same placement.
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
        """Add `member` and return whether it was new: of many concurrent inserts of one member, one returns True."""

    def discard(self, member: Any, /) -> None: ...

    def remove(self, member: Any, /) -> None:
        """Remove `member`; KeyError if it is not in the set."""

    def pop(self) -> Any:
        """Remove and return the member that was added last; KeyError if the set is empty."""

    def clear(self) -> None: ...

    def update(self, *others: Iterable[Any]) -> None: ...

    def difference_update(self, *others: Iterable[Any]) -> None: ...

    def intersection_update(self, *others: Iterable[Any]) -> None: ...

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None: ...

    def as_set(self) -> set[Any]:
        """Return a snapshot as a plain set."""

    def copy(self) -> Self:
        """Return a new Set, made from a snapshot."""

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
    """A mapping in order of insertion; each operation on one key is one step, and iteration goes over a snapshot."""

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
        """Return the value of `key`; set it to `default` first if it was missing."""

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove `key` and return its value; `default` if it is missing, or KeyError without one."""

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the pair that was inserted last; KeyError if the dict is empty."""

    def add(self, key: Any, n: Any = 1, /) -> Any:
        """Add `n` to the number at `key` (a missing one counts as 0) and return the new value."""

    def compare_exchange(self, key: Any, expected: Any, desired: Any, /) -> bool:
        """Set `key` to `desired` if its value equals `expected`; return whether it did."""

    def update(self, mapping_or_pairs: Any = (), /, **items: Any) -> None:
        """Set many keys, each in one step."""

    def clear(self) -> None: ...

    def as_dict(self) -> dict[Any, Any]:
        """Return a snapshot as a plain dict."""

    def keys(self) -> KeysView[Any]: ...

    def values(self) -> ValuesView[Any]: ...

    def items(self) -> ItemsView[Any, Any]: ...

    def statistics(self) -> DictStatistics: ...
