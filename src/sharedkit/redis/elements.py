"""Which bytes of an array an index means: NumPy itself indexes views of an array that has no memory of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

__all__ = ["Basic", "Chosen", "cell_at", "chosen", "like"]


def like(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array for views alone: reading an element of it is undefined."""
    strides = [dtype.itemsize] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)
    return as_strided(np.zeros((), f"V{dtype.itemsize}"), shape, strides).view(dtype)


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def cell_at(whole: NDArray[Any], cell: NDArray[Any]) -> int:
    """Where a view of one element begins, in bytes."""
    return _address(cell) - _address(whole)


class Chosen:
    """The elements that an index chooses: `places` where runs of `run` bytes begin, in the order of the result, which
    has this shape and dtype. `scalar`: NumPy would return no array."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], places: NDArray[Any], run: int, scalar: bool
    ) -> None:
        self.shape, self.dtype, self.places, self.run, self.scalar = shape, dtype, places, run, scalar

    def pick(self, found: NDArray[np.uint8], low: int) -> NDArray[Any]:
        """The result, from the bytes of the array from `low` on."""
        all_of_them: NDArray[Any] = np.ndarray((len(found) // self.run,), self.dtype, found)
        picked: NDArray[Any] = all_of_them[(self.places - low) // self.run].reshape(self.shape)
        return picked

    def elements(self) -> NDArray[Any]:
        """Where each element begins."""
        return self.places


class Basic(Chosen):
    """The same for a view, in which elements that lie side by side make one run."""

    def __init__(self, view: NDArray[Any], first: int, scalar: bool) -> None:
        self.first, self.strides = first, view.strides
        lengths, strides = list(view.shape), list(view.strides)
        run = view.dtype.itemsize
        while lengths and (lengths[-1] == 1 or strides[-1] == run):
            run *= lengths.pop()
            strides.pop()
        places = np.zeros((), np.int64) if view.size and run else np.zeros(0, np.int64)
        if places.ndim == 0:
            places = _grid(lengths, strides)
        super().__init__(view.shape, view.dtype, places + first, run, scalar)

    def pick(self, found: NDArray[np.uint8], low: int) -> NDArray[Any]:
        view: NDArray[Any] = np.ndarray(self.shape, self.dtype, found, self.first - low, self.strides)
        return view.copy()

    def elements(self) -> NDArray[Any]:
        return _grid(list(self.shape), list(self.strides)) + self.first


def _grid(lengths: list[int], strides: list[int]) -> NDArray[Any]:
    """The places of all elements of a view, counted from its first one, in C order."""
    places = np.zeros((), np.int64)
    for length, stride in zip(lengths, strides, strict=True):
        places = places[..., None] + np.arange(length, dtype=np.int64) * stride
    return places.reshape(-1)


def _is_basic(key: Any) -> bool:
    """Whether this part of an index leads to a view."""
    if key is None or key is Ellipsis or isinstance(key, slice):
        return True
    return hasattr(type(key), "__index__") and not isinstance(key, bool | np.bool_ | np.ndarray)


def _is_field(key: Any) -> bool:
    return isinstance(key, str) or (isinstance(key, list) and bool(key) and all(isinstance(each, str) for each in key))


def chosen(whole: NDArray[Any], key: Any) -> Chosen:
    """What `whole[key]` means, if `whole` is an array of `like`. Raises what NumPy raises."""
    parts = key if isinstance(key, tuple) else (key,)
    if _is_field(key):
        view = whole[key]
        return Basic(view, _address(view) - _address(whole) if view.size else 0, False)
    if all(map(_is_basic, parts)):
        array = any(each is Ellipsis for each in parts)
        view = whole[parts if array else (*parts, ...)]
        return Basic(view, _address(view) - _address(whole) if view.size else 0, not array and view.ndim == 0)
    # For each axis the coordinates of all elements, without memory for them; NumPy chooses among these.
    places: Any = np.zeros((), np.int64)[key] if whole.ndim == 0 else 0
    for axis, length in enumerate(whole.shape):
        along = np.arange(length, dtype=np.int64).reshape((1,) * axis + (length,) + (1,) * (whole.ndim - 1 - axis))
        places = places + np.broadcast_to(along, whole.shape)[key] * whole.strides[axis]
    scalar = not isinstance(places, np.ndarray)
    shape = np.shape(places)
    itemsize = whole.dtype.itemsize
    flat = np.reshape(places, -1) if itemsize else np.zeros(0, np.int64)
    return Chosen(shape, whole.dtype, flat, itemsize, scalar)
