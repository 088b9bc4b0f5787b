"""An array behind a server: its elements are read as copies and written by the server."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sharedkit._core.array_methods import ArrayMethods
from sharedkit._core.array_spec import contents_of, geometry
from sharedkit._core.operands import numbers
from sharedkit.manager.argument_types import SCALARS
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.lock import PartLock
from sharedkit.statistics import ArrayStatistics

__all__ = ["Array"]


class Array(ArrayMethods, Handle):
    """Array(shape, dtype="f8", *, name=None, exist_ok=False, persist=False, seats=192)

    A NumPy array of zeros, in C order. Indexing writes to the server and reads copies, and so do `ndarray` and
    `np.asarray(array)`. The copies are read-only, because a write to a copy would not reach the server: this placement
    shares no memory.

    Raises TypeError for a dtype with Python objects, ValueError for a negative length or when the existing structure is
    not an array with the same parameters, FileExistsError when `name` is taken and not `exist_ok`, MemoryError.
    """

    kind = "Array"
    _known: tuple[tuple[int, ...], np.dtype[Any], int]

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
        lengths, element = geometry(shape, dtype)
        self._create(name, exist_ok, persist, seats, {"shape": lengths, "dtype": element}, None)

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
        """Return a new array with the shape, the dtype and a copy of the elements of `array`, or of what
        `numpy.asarray` makes of it. With `exist_ok`, an existing array of the same shape and dtype keeps its own
        elements, as a Counter keeps its value.

        Raises as `Array` does.
        """
        self = cls.__new__(cls)
        contents = contents_of(array)
        self._create(name, exist_ok, persist, seats, {"shape": contents.shape, "dtype": contents.dtype}, contents)
        return self

    def _parts(self) -> tuple[tuple[int, ...], np.dtype[Any], int]:
        """Shape, dtype and the number of the lock, which never change."""
        self._ensure_open()
        if not hasattr(self, "_known"):
            self._known = self._call("geometry")
        return self._known

    def _geometry(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        return self._parts()[:2]

    @property
    def lock(self) -> PartLock:
        """A lock whose meaning the users agree on; every handle has the same one. No method here takes it."""
        return PartLock(self, self._parts()[2])

    def __getitem__(self, key: Any) -> Any:
        found = self._call("read", key)
        if isinstance(found, np.ndarray):
            found.flags.writeable = False
        return found

    def __setitem__(self, key: Any, value: ArrayLike) -> None:
        self._call("write", key, value if type(value) in SCALARS else self._cast(key, value))

    def _cast(self, key: Any, value: Any) -> NDArray[Any]:
        """`value` as an array that the server accepts; a value without a dtype gets this array's."""
        if isinstance(value, np.ndarray | Array):
            given = np.asarray(value)
            if not given.dtype.hasobject:
                return given
        field = isinstance(key, str) or (isinstance(key, list) and any(isinstance(each, str) for each in key))
        return np.asarray(value, np.empty((), self.dtype)[key].dtype if field else self.dtype)

    def fetch_add(self, index: int | tuple[int, ...], n: int | float) -> Any:
        """Add `n` to one element in one step and return the value from before, as a Python number.

        Integers wrap around at the ends of their type, as NumPy's do. Raises IndexError out of range,
        TypeError for a dtype that is neither integer nor float or for a float `n` and an integer dtype,
        OverflowError for an `n` that the dtype cannot hold.
        """
        return self._call("fetch_add", index, n)

    def compare_exchange(self, index: int | tuple[int, ...], expected: int | float, desired: int | float) -> bool:
        """Set one element to `desired` if it is `expected`, in one step; return whether it was.

        Raises as `fetch_add` does.
        """
        done: bool = self._call("compare_exchange", index, expected, desired)
        return done

    def add_at(self, indices: Any, values: ArrayLike) -> None:
        """Add `values` to the elements at `indices`, all in one step; an index that occurs twice is added to twice.

        `indices` and `values` are as for `numpy.add.at`. Raises, with nothing added: IndexError out of range, TypeError
        for a dtype that is neither integer nor float or for fractions and an integer dtype, OverflowError for values
        that the dtype cannot hold, ValueError for values that do not broadcast.
        """
        given = np.asarray(values)
        self._call("add_at", indices, numbers(self.dtype, given) if given.dtype.hasobject else given)

    def statistics(self) -> ArrayStatistics:
        """Return the shape, the size and whether the lock is held: an ArrayStatistics."""
        snapshot: ArrayStatistics = self._call("statistics")
        return snapshot
