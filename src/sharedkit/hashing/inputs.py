"""The bytes to hash for each input: converts every kind of input to a batch."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from sharedkit.hashing._digests import Batch
from sharedkit.hashing.columns import (
    add_arrow_array,
    add_arrow_stream,
    add_categorical,
    array_of,
    categorical_of,
    has_arrow_stream,
    listed,
)

__all__ = ["gather", "gather_spans"]


def gather(items: Any) -> Batch:
    """The messages of any supported input, in order. Raises TypeError or ValueError for any other input."""
    batch = Batch()
    if isinstance(items, list | tuple):
        batch.add_objects(items)
    elif isinstance(items, np.ndarray):
        _add_numpy(batch, items)
    elif isinstance(items, str | bytes | bytearray | memoryview):
        raise TypeError(f"items is one {type(items).__name__}, not many: put it into a list, or use hash_spans")
    elif (categorical := categorical_of(items)) is not None:
        add_categorical(batch, categorical, gather)
    elif (array := array_of(items)) is not None:
        _add_numpy(batch, array)
    elif (objects := listed(items)) is not None:
        batch.add_objects(objects)
    elif hasattr(items, "__arrow_c_array__"):
        add_arrow_array(batch, items)
    elif has_arrow_stream(items):
        add_arrow_stream(batch, items)
    elif hasattr(items, "__array__") or hasattr(items, "__array_interface__") or _has_buffer(items):
        _add_numpy(batch, np.asarray(items))
    elif isinstance(items, Iterable):
        batch.add_objects(list(items))
    else:
        raise TypeError(f"items must be a sequence or an array of messages: {type(items).__name__}")
    return batch


def gather_spans(buffer: Any, offsets: Any) -> Batch:
    """The messages that `offsets` cut out of `buffer`."""
    places = np.asarray(offsets)
    if places.dtype.kind not in "iu" and places.size:
        raise TypeError(f"offsets must be integers: {places.dtype}")
    if places.dtype.kind == "u" and places.size and int(places.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"an offset is past the end of the buffer: {places.max()}")
    pairs = places.ndim == 2
    if places.ndim not in (1, 2) or (pairs and places.shape[1] != 2):
        raise ValueError(f"offsets must have the shape (n + 1,) or (n, 2): {places.shape}")
    if places.ndim == 1 and not places.size:
        raise ValueError("offsets is empty: n spans need n + 1 offsets")
    batch = Batch()
    batch.add_spans(buffer, np.ascontiguousarray(places, dtype=np.int64), pairs=pairs)
    return batch


def _has_buffer(items: Any) -> bool:
    try:
        memoryview(items).release()
    except TypeError:
        return False
    return True


def _add_numpy(batch: Batch, array: np.ndarray[Any, Any]) -> None:
    kind, dtype = array.dtype.kind, array.dtype
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array)
    if array.ndim == 2 and dtype.kind in "iu" and dtype.itemsize == 1:
        batch.add_array(np.ascontiguousarray(array))
        return
    if array.ndim != 1:
        raise ValueError(
            f"an array of messages has one dimension, or is a 2-D array of bytes hashed by rows: "
            f"shape {array.shape}, dtype {dtype}"
        )
    if kind == "O":
        batch.add_objects(array.tolist())
    elif kind == "T":
        _add_numpy_strings(batch, array)
    elif kind == "U":
        batch.add_ucs4(array.astype(dtype.newbyteorder("="), copy=False))
    elif kind == "S":
        batch.add_array(array, trim=True)
    elif kind in "biufcmM" and dtype.char not in "gG":
        batch.add_array(_little_endian(array))
    elif kind == "V" and dtype.names is None and dtype.subdtype is None:
        batch.add_array(array)
    else:
        raise TypeError(f"items of dtype {dtype} have no defined bytes to hash; view or convert them first")


def _unmasked(array: Any) -> np.ndarray[Any, Any]:
    """The data of a masked array. Raises TypeError if an item, or part of a row, is masked."""
    masked = np.ma.getmaskarray(array)
    if masked.any():
        raise TypeError(f"item {np.argwhere(masked).flat[0] if array.ndim else 0} is masked; it has no bytes to hash")
    return np.asarray(array.data)


def _little_endian(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The items as little-endian bytes; times, which export no buffer, as integers."""
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array.view("<i8") if array.dtype.kind in "mM" else array


def _add_numpy_strings(batch: Batch, array: np.ndarray[Any, Any]) -> None:
    # import_array() fetches the same table; the module has had this name since NumPy 2.0, which brought
    # StringDType.
    batch.add_numpy_strings(sys.modules["numpy._core._multiarray_umath"]._ARRAY_API, array)
