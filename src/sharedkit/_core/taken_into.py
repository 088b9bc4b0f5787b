"""`get(out=array)`: whether an item can be copied into the caller's array. The same in every placement."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["checked_out", "copy_into", "differs"]


def checked_out(out: Any) -> np.ndarray[Any, Any]:
    """Return `out` if an item can be copied into it. Raises TypeError, ValueError."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out


def differs(shape: tuple[int, ...], dtype: np.dtype[Any], out: np.ndarray[Any, Any]) -> ValueError:
    """The error for an item that does not have the form of `out`."""
    return ValueError(
        f"the first item is an array of shape {shape} and dtype {dtype}, but out has shape {out.shape} and dtype "
        f"{out.dtype}; the item stays in the queue"
    )


def copy_into(item: Any, out: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Copy the item into `out`, and return `out`. Raises TypeError if the item is no array, ValueError if its shape or
    dtype differs; the item must go back then."""
    if not isinstance(item, np.ndarray):
        raise TypeError(f"the first item is no NumPy array but {type(item).__name__}; it stays in the queue")
    if item.shape != out.shape or item.dtype != out.dtype:
        raise differs(item.shape, item.dtype, out)
    out[...] = item
    return out
