"""Structures that hold data: counters, queues, arrays, values, sets and dicts."""

from __future__ import annotations

from collections.abc import AsyncIterator, ItemsView, Iterable, Iterator, KeysView, ValuesView
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sharedkit._core.lease_arguments import Overflow
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
    "Lease",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "RawValue",
    "Set",
    "Value",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A", bound=NDArray[Any])


class CounterView(Protocol):
    """A signed 64-bit integer; each method is one atomic step. An OverflowError leaves the value unchanged."""

    def add(self, n: int = 1, /) -> int | None:
        """Add `n` and return the new value; None when striped."""

    @property
    def value(self) -> int:
        """The value; may be assigned, in one step. OverflowError beyond 64 bits."""

    @value.setter
    def value(self, value: int, /) -> None: ...

    def exchange(self, value: int, /) -> int:
        """Set the value and return the old one."""

    def compare_exchange(self, expected: int, desired: int, /) -> bool:
        """Set the value to `desired` if it is `expected`; return whether it was. Raises TypeError when striped."""

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

    def statistics(self) -> CounterStatistics:
        """Return the value and the processes that use the counter."""


class Counters(Handle, Protocol):
    """A group of named counters. Raises KeyError for an unknown name."""

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

    def keys(self) -> Iterable[str]:
        """Return the names, in the order in which the group was made."""

    def values(self) -> Iterable[int]:
        """Return the values, in that order."""

    def items(self) -> Iterable[tuple[str, int]]:
        """Return pairs of name and value."""

    def as_dict(self) -> dict[str, int]:
        """Return the values by name, as a plain dict."""

    def statistics(self) -> CountersStatistics:
        """Return the values and the processes that use the group."""


class Lease(Protocol[T_co]):
    """What `Queue.lease()` returns: `with` and `async with` take the first item."""

    @property
    def deliveries(self) -> int:
        """How often the item was leased, this time included: more than 1 after a failure."""

    def __enter__(self) -> T_co: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> T_co: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class Queue(Handle, Protocol[T]):
    """`queue.Queue` of Python 3.13, with batches; it raises queue.Empty, queue.Full and ShutDown in the same cases.

    `JoinableQueue` and `SimpleQueue` are other names of this class.
    """

    def __init__(
        self,
        maxsize: int = 0,
        *,
        overflow: Overflow = "block",
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = 192,
    ) -> None: ...

    @property
    def maxsize(self) -> int:
        """How many items fit; 0 when only memory bounds the queue."""

    @property
    def overflow(self) -> Overflow:
        """What a put into a full queue does: "block" waits for room; "drop_oldest" drops the first item, which then
        counts as done, and never waits for room."""

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put and are not yet marked as done."""

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown()` was called."""

    def put(self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> None:
        """Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full, ShutDown, ValueError for a negative timeout.
        """

    @overload
    def get(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: None = None
    ) -> T: ...
    @overload
    def get(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: A) -> A:
        """Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        With `out`, the item must be a NumPy array of the same shape and dtype; it is copied into `out`, which is
        returned. Raises queue.Empty, ShutDown, ValueError for a negative timeout; TypeError or ValueError for an item
        of another form than `out` (then it stays).
        """

    def put_nowait(self, item: T) -> None:
        """Put without waiting: `put(item, block=False)`."""

    def get_nowait(self) -> T:
        """Take without waiting: `get(block=False)`."""

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
    ) -> None:
        """Put as `put` does, without blocking the event loop."""

    @overload
    async def aget(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: None = None
    ) -> T: ...
    @overload
    async def aget(
        self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None, out: A
    ) -> A:
        """Take as `get` does, without blocking the event loop."""

    def drain(self) -> list[T]:
        """Take the items that are there, without waiting; return them as a list, which may be empty."""

    def clear(self) -> int:
        """Drop the items that are there, and return how many they were; they count as done."""

    def lease(
        self, timeout: float | None = None, *, max_deliveries: int | None = None, dead_letter: Any = None
    ) -> Lease[T]:
        """Return a context manager that takes the first item: for good at the end of the block; if the block raises or
        the process dies, the item comes back before all others. So each item is delivered *at least once*.

        An item that would be delivered more than `max_deliveries` times is put into the queue `dead_letter` instead.
        Raises NotImplementedError in a server, TypeError, ValueError.
        """

    def alease(
        self, timeout: float | None = None, *, max_deliveries: int | None = None, dead_letter: Any = None
    ) -> Lease[T]:
        """The same as `lease`, for `async with`."""

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
    ) -> list[T]:
        """Take as `get_many` does, without blocking the event loop."""

    def __iter__(self) -> Iterator[T]:
        """Yield items as `get` takes them, until the queue is shut down and empty."""

    def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as `aget` takes them, until the queue is shut down and empty."""

    def task_done(self) -> None:
        """Mark an item taken earlier as done. Raises ValueError when called more often than items were put."""

    def join(self) -> None:
        """Wait until every item that was put is marked as done."""

    async def ajoin(self) -> None:
        """Wait as `join` does, without blocking the event loop."""

    def shutdown(self, immediate: bool = False) -> None:
        """Make `put` raise ShutDown, and `get` too, once the queue is empty, or at once if `immediate`."""

    def qsize(self) -> int:
        """Return how many items are in the queue; exact at one moment, which may be past."""

    def empty(self) -> bool:
        """Whether the queue has no item."""

    def full(self) -> bool:
        """Whether the queue has `maxsize` items; always False when there is no bound."""

    def join_thread(self) -> None:
        """Do nothing: there is no feeder thread. For programs that move from `multiprocessing`."""

    def cancel_join_thread(self) -> None:
        """Do nothing, as `join_thread`."""

    def statistics(self) -> QueueStatistics:
        """Return sizes, state, and how many threads wait."""


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
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def size(self) -> int:
        """The number of elements."""

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""

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

    def statistics(self) -> ArrayStatistics:
        """Return shape, dtype, bytes, and the holder of the lock."""


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

    def statistics(self) -> ArrayStatistics:
        """Return dtype, bytes, and the processes that use the value."""


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
    def value(self) -> Any:
        """The value. Each read and each write holds the lock; `v.value += 1` is two steps."""

    @value.setter
    def value(self, value: Any, /) -> None: ...

    def get_lock(self) -> Any:
        """Return the lock: an RLock, or the lock that was given."""

    @property
    def lock(self) -> Any:
        """The lock that `get_lock()` returns, under the name that an Array uses."""

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, as `get_lock().acquire` does."""

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock as `acquire` does, without blocking the event loop."""

    def release(self) -> None:
        """Release the lock, as `get_lock().release` does."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def __aenter__(self) -> bool: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def statistics(self) -> ArrayStatistics:
        """Return dtype, bytes, and the holder of the lock."""


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

    def add(self, member: Any, /) -> None:
        """Add `member` in one step, unless an equal member is in the set."""

    def insert(self, member: Any, /) -> bool:
        """Add `member` and return whether it was new: of many concurrent inserts of one member, one returns True."""

    def discard(self, member: Any, /) -> None:
        """Remove `member` in one step, if it is in the set."""

    def remove(self, member: Any, /) -> None:
        """Remove `member`; KeyError if it is not in the set."""

    def pop(self) -> Any:
        """Remove and return the member that was added last; KeyError if the set is empty."""

    def clear(self) -> None:
        """Remove all members, in one step."""

    def update(self, *others: Iterable[Any]) -> None:
        """Add the members of all the others."""

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Remove the members of all the others."""

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Keep only the members that all the others have."""

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None:
        """Remove the members that both have, and add those that only `other` has."""

    def as_set(self) -> set[Any]:
        """Return a snapshot as a plain set."""

    def copy(self) -> Self:
        """Return a new Set, made from a snapshot."""

    def union(self, *others: Iterable[Any]) -> set[Any]:
        """Return a plain set of the members of this set or of any other."""

    def intersection(self, *others: Iterable[Any]) -> set[Any]:
        """Return a plain set of the members that all have."""

    def difference(self, *others: Iterable[Any]) -> set[Any]:
        """Return a plain set of the members that none of the others has."""

    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]:
        """Return a plain set of the members that exactly one of the two has."""

    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Whether no member is in `other`."""

    def issubset(self, other: Iterable[Any], /) -> bool:
        """Whether every member is in `other`."""

    def issuperset(self, other: Iterable[Any], /) -> bool:
        """Whether every member of `other` is in this set."""

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

    def statistics(self) -> DictStatistics:
        """Return the number of members, the memory, and the process that writes now."""


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

    def get(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of `key`, or `default`."""

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

    def clear(self) -> None:
        """Remove all keys, in one step."""

    def as_dict(self) -> dict[Any, Any]:
        """Return a snapshot as a plain dict."""

    def keys(self) -> KeysView[Any]:
        """Return a view of the keys; iteration goes over a snapshot."""

    def values(self) -> ValuesView[Any]:
        """Return a view of the values; iteration goes over a snapshot."""

    def items(self) -> ItemsView[Any, Any]:
        """Return a view of the pairs; iteration goes over a snapshot."""

    def statistics(self) -> DictStatistics:
        """Return the number of keys, the memory, and the process that writes now."""
