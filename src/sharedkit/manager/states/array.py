"""A NumPy array in the server; a read result is a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharedkit._core.operands import element, number, numbers
from sharedkit.manager.states.base import Call, State
from sharedkit.manager.states.lock import LockState
from sharedkit.statistics import ArrayStatistics

__all__ = ["ArrayState"]


class ArrayState(State):
    """`lock` is for the users alone; no operation here takes it."""

    kind = "Array"

    def __init__(self, name: str, spec: dict[str, Any], contents: NDArray[Any] | None) -> None:
        super().__init__(name, spec)
        self.array: NDArray[Any] = np.zeros(spec["shape"], spec["dtype"])
        if contents is not None:
            if (contents.shape, contents.dtype) != (self.array.shape, self.array.dtype):
                raise ValueError(f"{contents.shape} of {contents.dtype} is not what this array is to begin with")
            self.array[...] = contents
        self.lock = LockState(name, {"on_owner_died": "warn"})

    def parts(self) -> tuple[State, ...]:
        return (self.lock,)

    def do_geometry(self, call: Call) -> tuple[tuple[int, ...], np.dtype[Any], int]:
        """Shape, type, and the number of the lock."""
        return self.array.shape, self.array.dtype, self.lock.ident

    def do_read(self, call: Call, key: Any) -> Any:
        found = self.array[key]
        return _copy_of(found) if isinstance(found, np.ndarray) else found

    def do_write(self, call: Call, key: Any, value: Any) -> None:
        self.array[key] = value

    def do_fetch_add(self, call: Call, key: Any, n: int | float) -> Any:
        cell = element(self.array, key)
        summand = number(self.array.dtype, n)
        old = cell.item()
        np.add(cell, summand, out=cell)
        return old

    def do_compare_exchange(self, call: Call, key: Any, expected: int | float, desired: int | float) -> bool:
        cell = element(self.array, key)
        old = number(self.array.dtype, expected)
        new = number(self.array.dtype, desired)
        if cell[()] != old:
            return False
        cell[()] = new
        return True

    def do_add_at(self, call: Call, indices: Any, values: NDArray[Any]) -> None:
        summands = numbers(self.array.dtype, values)
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


def _copy_of(array: NDArray[Any]) -> NDArray[Any]:
    """A copy in which the bytes between the fields of a structured type are zero. In a copy that NumPy makes, they are
    what the memory contained before, for example data of other clients."""
    copied: NDArray[Any] = array.copy("C")
    if array.dtype.names is not None and copied.nbytes:
        each = copied.reshape(-1).view("u1").reshape(-1, array.dtype.itemsize)
        each[:, ~_of_fields(array.dtype)] = 0
    return copied


def _of_fields(dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    """A mask of the bytes of an element that belong to a field."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.tile(_of_fields(base), math.prod(shape))
    taken = np.full(dtype.itemsize, dtype.names is None)
    for field, offset, *_ in (dtype.fields or {}).values():
        taken[offset : offset + field.itemsize] |= _of_fields(field)
    return taken
