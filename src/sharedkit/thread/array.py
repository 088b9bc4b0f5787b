"""A NumPy array for the threads of this process, with atomic operations on its elements."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sharedkit._differences import unlike
from sharedkit._geometry import contents_of, geometry
from sharedkit._summands import element, number, numbers
from sharedkit.statistics import ArrayStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.lock import Lock, LockState
from sharedkit.thread.registry import DEFAULT_SEATS, State

__all__ = ["Array"]


class _ArrayState(State):
    """`mutex` makes element operations atomic; `lock` is the user's own, and no operation here takes it."""

    __slots__ = ("array", "lock", "mutex")

    kind = "Array"

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        super().__init__(name)
        self.array = array
        self.mutex = threading.Lock()
        self.lock = LockState(name)


class Array(Handle[_ArrayState], kind="Array"):
    """Array(shape, dtype="f8", *, name=None, exist_ok=False, persist=False, seats=192)

    An array of zeros in C order that the threads of this process share. Indexing reads and writes the
    elements themselves; `ndarray` and `np.asarray(array)` are views of them, not copies. With
    `exist_ok=True` and the name of an array that is there, a further handle on it.

    Raises TypeError for a dtype that holds Python objects, ValueError for a negative length or where what is
    there is not an equal array, FileExistsError when the name is taken, MemoryError.
    """

    __slots__ = ("_lock",)

    _lock: Lock

    def __init__(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = "f8",
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        lengths, of = geometry(shape, dtype)
        self._begin(np.zeros(lengths, of), name, exist_ok, persist, seats)

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> Self:
        """A new array with the shape, the dtype and a copy of the elements of `array`, or of what `numpy.asarray` makes
        of it. With `exist_ok`, an equal one that is there keeps its own elements, as a Counter keeps its value.

        Raises as `Array` does.
        """
        self = cls.__new__(cls)
        self._begin(contents_of(array).copy(), name, exist_ok, persist, seats)
        return self

    def _begin(self, array: NDArray[Any], name: str | None, exist_ok: bool, persist: bool, seats: int) -> None:
        """Take `array` for the elements, or those of an equal one that is there."""

        def differs(found: Any) -> str | None:
            return unlike("shape", found.array.shape, array.shape) or unlike("dtype", found.array.dtype, array.dtype)

        super().__init__(
            registry.open_state(
                lambda name: _ArrayState(name, array),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind="Array",
                differs=differs,
            )
        )

    @property
    def ndarray(self) -> NDArray[Any]:
        """The array itself, of the handle's shape and dtype. It stays valid after `close()`."""
        return self._state.array

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._state.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one element."""
        return self._state.array.dtype

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._state.array.ndim

    @property
    def size(self) -> int:
        """How many elements there are."""
        return self._state.array.size

    @property
    def nbytes(self) -> int:
        """How many bytes the elements take."""
        return self._state.array.nbytes

    @property
    def lock(self) -> Lock:
        """A lock for whatever its users agree on; the same one for every handle. No method here takes it."""
        state = self._state
        state.ensure_open()
        try:
            return self._lock
        except AttributeError:
            self._lock = Lock._of(state.lock)
            return self._lock

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        array = self._state.array
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"{array.dtype} cannot become {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __buffer__(self, flags: int) -> memoryview:
        """The elements. Python asks for it from 3.12 on; before, take `memoryview(array.ndarray)`.

        BufferError for a dtype that a buffer does not tell in full: `np.asarray` goes by `__array__` then.
        """
        array = self._state.array
        if array.dtype.kind == "V" and not _comes_back(array[:0] if array.ndim else array):
            raise BufferError(f"a buffer cannot describe {array.dtype} in full: take .ndarray")
        return array.data

    def __len__(self) -> int:
        return len(self._state.array)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._state.array)

    def __getitem__(self, key: Any) -> Any:
        return self._state.array[key]

    def __setitem__(self, key: Any, value: ArrayLike) -> None:
        self._state.array[key] = value

    def fetch_add(self, index: int | tuple[int, ...], n: int | float) -> Any:
        """Add `n` to one element in one step and return what it was before, as a Python number.

        Integers wrap around at the ends of their type, as NumPy's do. Raises IndexError out of range,
        TypeError for a dtype that is neither integer nor float or for a float `n` and an integer dtype,
        OverflowError for an `n` that the dtype cannot hold.
        """
        state = self._state
        cell = element(state.array, index)
        summand = number(state.array.dtype, n)
        with state.mutex:
            old = cell.item()
            np.add(cell, summand, out=cell)
        return old

    def compare_exchange(self, index: int | tuple[int, ...], expected: int | float, desired: int | float) -> bool:
        """Set one element to `desired` if it is `expected`, in one step, and say whether it was.

        Raises as `fetch_add` does.
        """
        state = self._state
        cell = element(state.array, index)
        old = number(state.array.dtype, expected)
        new = number(state.array.dtype, desired)
        with state.mutex:
            if cell[()] != old:
                return False
            cell[()] = new
        return True

    def add_at(self, indices: Any, values: ArrayLike) -> None:
        """Add `values` to the elements at `indices`, one by one: an index that comes twice is added to twice.

        `indices` and `values` as for `numpy.add.at`: integers of any shape for one axis, a tuple of such for
        several, and values that broadcast to them. Raises, nothing added: IndexError out of range, TypeError for
        a dtype that is neither integer nor float or for fractions and an integer dtype, OverflowError for values
        that the dtype cannot hold, ValueError for values that do not broadcast.
        """
        state = self._state
        summands = numbers(state.array.dtype, values)
        # NumPy 2.4 reads past the end of values that it has to broadcast to indices of two dimensions.
        shape = np.shape(state.array[indices])
        if summands.shape != shape:
            summands = np.broadcast_to(summands, shape).copy()
        with state.mutex:
            np.add.at(state.array, indices, summands)

    def statistics(self) -> ArrayStatistics:
        """Geometry, size and whether the lock is held, as one frozen picture."""
        state = self._state
        return ArrayStatistics(
            name=state.name,
            kind=state.kind,
            shape=state.array.shape,
            dtype=str(state.array.dtype),
            nbytes=state.array.nbytes,
            attached=(os.getpid(),),
            lock_owner=os.getpid() if state.lock.locked() else None,
        )


def _comes_back(array: NDArray[Any]) -> bool:
    """Whether a buffer of these elements tells their dtype."""
    try:
        again = np.asarray(memoryview(array)).dtype
    except (ValueError, BufferError, TypeError, RuntimeError):
        return False
    return again == array.dtype and again.type is array.dtype.type
