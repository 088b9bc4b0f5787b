"""A NumPy array in the server; what is read is a copy."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sharedkit._geometry import require_number
from sharedkit.manager.states.base import Call, State
from sharedkit.manager.states.lock import LockState
from sharedkit.statistics import ArrayStatistics

__all__ = ["ArrayState"]


class ArrayState(State):
    """`lock` is the user's own, and no operation here takes it."""

    kind = "Array"

    def __init__(self, name: str, spec: dict[str, Any], contents: ArrayLike | None = None) -> None:
        super().__init__(name, spec)
        self.array: NDArray[Any] = np.zeros(spec["shape"], spec["dtype"])
        if contents is not None:
            self.array[...] = contents
        self.lock = LockState(name, {"on_owner_died": "warn"})

    def parts(self) -> tuple[State, ...]:
        return (self.lock,)

    def do_geometry(self, call: Call) -> tuple[tuple[int, ...], np.dtype[Any], int]:
        """Shape, type, and the number of the lock."""
        return self.array.shape, self.array.dtype, self.lock.ident

    def do_read(self, call: Call, key: Any) -> Any:
        found = self.array[key]
        return found.copy() if isinstance(found, np.ndarray) else found

    def do_write(self, call: Call, key: Any, value: Any) -> None:
        self.array[key] = value

    def do_fetch_add(self, call: Call, key: Any, n: int | float) -> Any:
        cell = _element(self.array, key)
        summand = _number(self.array.dtype, n)
        old = cell.item()
        np.add(cell, summand, out=cell)
        return old

    def do_compare_exchange(self, call: Call, key: Any, expected: int | float, desired: int | float) -> bool:
        cell = _element(self.array, key)
        old = _number(self.array.dtype, expected)
        new = _number(self.array.dtype, desired)
        if cell[()] != old:
            return False
        cell[()] = new
        return True

    def do_add_at(self, call: Call, indices: Any, values: ArrayLike) -> None:
        summands = _numbers(self.array.dtype, values)
        # NumPy 2.4 reads past the end of values that it has to broadcast to indices of two dimensions.
        shape = np.shape(self.array[indices])
        if summands.shape != shape:
            summands = np.broadcast_to(summands, shape).copy()
        np.add.at(self.array, indices, summands)

    def do_statistics(self, call: Call) -> ArrayStatistics:
        owner = self.lock.owner
        return ArrayStatistics(
            name=self.name,
            kind=self.kind,
            shape=self.array.shape,
            dtype=str(self.array.dtype),
            nbytes=self.array.nbytes,
            attached=self.attached(),
            lock_owner=None if owner is None else owner.pid,
        )


def _element(array: NDArray[Any], key: int | tuple[int, ...]) -> NDArray[Any]:
    """A view of no dimension on one element."""
    require_number(array.dtype)
    position = tuple(index(n) for n in key) if isinstance(key, tuple) else (index(key),)
    if len(position) != array.ndim:
        raise IndexError(f"one element of {array.ndim} axes needs as many indices: {key}")
    where: tuple[Any, ...] = (*position, ...)
    cell: NDArray[Any] = array[where]
    return cell


def _number(dtype: np.dtype[Any], n: int | float) -> NDArray[Any]:
    """`n` as an array of no dimension, of just this type."""
    if dtype.kind == "f":
        return np.asarray(float(n), dtype)
    number = index(n)  # type: ignore[arg-type]  # index() itself raises the TypeError
    limits = np.iinfo(dtype)
    if not limits.min <= number <= limits.max:
        raise OverflowError(f"{number} does not fit in {dtype}")
    return np.asarray(number, dtype)


def _numbers(dtype: np.dtype[Any], values: ArrayLike) -> NDArray[Any]:
    """`values` as an array of just this type; NumPy itself would cut fractions off in silence."""
    require_number(dtype)
    given = np.asarray(values)
    if given.dtype.kind == "O" and all(isinstance(value, int) for value in given.flat):
        if dtype.kind in "iu":  # NumPy keeps integers as objects where 64 bits are too few
            raise OverflowError(f"some of the values do not fit in {dtype}")
    elif given.dtype.kind not in ("biu" if dtype.kind in "iu" else "biuf") and given.size:
        raise TypeError(f"{given.dtype} cannot be added to {dtype}")
    summands = given.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(summands, given):
        raise OverflowError(f"some of the values do not fit in {dtype}")
    return summands
