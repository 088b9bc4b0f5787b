"""Numbers and indices for the atomic operations of thread and manager arrays; those of shm arrays are compiled."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from sharedkit._core.array_spec import require_number
from sharedkit._core.timeouts import is_real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["element", "number", "numbers"]


def element(array: NDArray[Any], key: int | tuple[int, ...]) -> NDArray[Any]:
    """One element, as a view without dimensions."""
    require_number(array.dtype)
    position = tuple(index(n) for n in key) if isinstance(key, tuple) else (index(key),)
    if len(position) != array.ndim:
        raise IndexError(f"one element of {array.ndim} axes needs as many indices: {key}")
    where: tuple[Any, ...] = (*position, ...)
    cell: NDArray[Any] = array[where]
    return cell


def number(dtype: np.dtype[Any], n: int | float) -> NDArray[Any]:
    """`n` as an array without dimensions, of exactly this type."""
    if dtype.kind == "f":
        if not is_real(n):  # float() would accept text, too
            raise TypeError(f"a number is wanted, not {type(n).__name__}")
        return np.asarray(float(n), dtype)
    whole = index(n)  # type: ignore[arg-type]  # index() itself raises the TypeError
    limits = np.iinfo(dtype)
    if not limits.min <= whole <= limits.max:
        raise OverflowError(f"{whole} does not fit in {dtype}")
    return np.asarray(whole, dtype)


def numbers(dtype: np.dtype[Any], values: ArrayLike) -> NDArray[Any]:
    """`values` as an array of exactly this type; NumPy itself would drop fractions silently."""
    require_number(dtype)
    given = np.asarray(values)
    if given.dtype == dtype:
        return given
    if given.dtype.kind == "O" and all(isinstance(value, int) for value in given.flat):
        if dtype.kind in "iu":  # NumPy keeps integers as objects if they do not fit in 64 bits
            raise OverflowError(f"some of the values do not fit in {dtype}")
    elif given.dtype.kind not in ("biu" if dtype.kind in "iu" else "biuf") and given.size:
        raise TypeError(f"{given.dtype} cannot be added to {dtype}")
    summands = given.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(summands, given):
        raise OverflowError(f"some of the values do not fit in {dtype}")
    return summands
