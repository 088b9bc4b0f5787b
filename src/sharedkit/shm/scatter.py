"""Convert the arguments of `Array.add_at`, in the forms that `numpy.add.at` accepts, to those of the C code."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from sharedkit.shm import _elements

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["positions_of", "summands_of"]


def positions_of(shape: tuple[int, ...], indices: Any) -> NDArray[np.int64]:
    """Return flat positions, contiguous, in the shape of `array[indices]` for an array of that shape.

    For a single axis the result is the given indices, not yet checked, and perhaps not copied. Raises IndexError,
    TypeError.
    """
    if type(indices) is np.ndarray and len(shape) == 1 and indices.dtype == np.int64:
        return _packed(indices, indices.dtype)
    key = indices if isinstance(indices, tuple) else (indices,)
    if len(key) != len(shape):
        return _any_positions(shape, indices)
    if any(each is None or each is Ellipsis or isinstance(each, slice) for each in key):
        return _any_positions(shape, indices)
    axes = [np.asarray(each) for each in key]
    if any(axis.dtype.kind not in "iu" for axis in axes):
        return _any_positions(shape, indices)
    if len(axes) == 1:
        return _integers(axes[0])
    if not axes:
        return np.zeros((), np.int64)
    try:
        common = np.broadcast_shapes(*(axis.shape for axis in axes))
    except ValueError as why:
        raise IndexError(f"indices of {len(axes)} axes do not go together: {why}") from None
    positions = np.zeros(common, np.int64)
    for number, (axis, length) in enumerate(zip(axes, shape, strict=True)):
        _elements.fold(positions, _integers(np.broadcast_to(axis, common)), length, number)
    return positions


def _integers(indices: NDArray[Any]) -> NDArray[np.int64]:
    """Return the indices as contiguous int64. Raises IndexError for indices that do not fit."""
    if indices.dtype == np.uint64 and indices.size and int(indices.max()) > np.iinfo(np.int64).max:
        raise IndexError(f"index {indices.max()} is out of bounds")
    return _packed(indices, np.dtype(np.int64))


def _packed(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the array as that dtype, contiguous and aligned; if it is so already, the array itself (np.require needs
    2 us to find that out)."""
    flags = array.flags
    if array.dtype == dtype and flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, dtype, ["C", "A"])


def _any_positions(shape: tuple[int, ...], indices: Any) -> NDArray[np.int64]:
    """Return flat positions for any other index that NumPy takes: the index is applied to the coordinates of each axis.

    The coordinates are broadcast views, so their memory is only the sum of the lengths.
    """
    positions = np.array(np.broadcast_to(np.int64(0), shape)[indices], order="C")
    for number, length in enumerate(shape):
        column = (length, *(1 for _ in shape[number + 1 :]))
        along = np.broadcast_to(np.arange(length).reshape(column), shape)[indices]
        positions += along * math.prod(shape[number + 1 :])
    return positions


def summands_of(dtype: np.dtype[Any], values: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the values as the dtype, contiguous, in the given shape, or as a single value.

    Raises TypeError, OverflowError, ValueError.
    """
    given = np.asarray(values)
    if given.dtype != dtype:
        given = _integer_values(dtype, given) if dtype.kind in "iu" else _float_values(dtype, given)
    if given.shape != shape and given.ndim != 0:
        spread = np.broadcast_to(given, shape)
        if given.size != 1:
            given = spread
    return _packed(given, dtype)


def _integer_values(dtype: np.dtype[Any], given: NDArray[Any]) -> NDArray[Any]:
    if given.size == 0:
        return given.astype(dtype)
    if given.dtype.kind == "O":  # Python's integers that no dtype of NumPy holds, or other objects
        numbers = [operator.index(each) for each in given.flat]
        lowest, highest = min(numbers), max(numbers)
    elif given.dtype.kind not in "biu":
        raise TypeError(f"{given.dtype} cannot be added to {dtype}")
    elif np.can_cast(given.dtype, dtype):
        return given.astype(dtype)
    else:
        lowest, highest = int(given.min()), int(given.max())
    limits = np.iinfo(dtype)
    if lowest < limits.min or highest > limits.max:
        raise OverflowError(f"values from {lowest} to {highest} do not fit in {dtype}")
    return given.astype(dtype)


def _float_values(dtype: np.dtype[Any], given: NDArray[Any]) -> NDArray[Any]:
    if given.dtype.kind == "O":
        given = np.array([float(each) for each in given.flat]).reshape(given.shape)
    elif given.dtype.kind not in "biuf":
        raise TypeError(f"{given.dtype} cannot be added to {dtype}")
    return given.astype(dtype)
