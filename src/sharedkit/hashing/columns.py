"""Columns of other packages: Arrow arrays and streams, and categoricals, of which each value is hashed once.

No package is imported here: an object of pandas or pyarrow can only exist if its package is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from sharedkit.hashing._digests import Batch

__all__ = [
    "add_arrow_array",
    "add_arrow_stream",
    "add_categorical",
    "array_of",
    "categorical_of",
    "has_arrow_stream",
    "listed",
]


def add_arrow_array(batch: Batch, array: Any) -> None:
    """Add the items of anything with `__arrow_c_array__`."""
    schema, items = array.__arrow_c_array__()
    if _is_of(array, "pyarrow", "Array"):
        values = array.dictionary if _is_of(array, "pyarrow", "DictionaryArray") else None
        batch.add_arrow_array(schema, items, _room(array), None if values is None else _room(values))
    else:
        batch.add_arrow_array(schema, items)


def has_arrow_stream(items: Any) -> bool:
    """Whether `items` can give an Arrow stream; a Series of pandas can only if pyarrow is installed."""
    if not hasattr(items, "__arrow_c_stream__"):
        return False
    return not _is_of(items, "pandas", "Series") or find_spec("pyarrow") is not None


def add_arrow_stream(batch: Batch, stream: Any) -> None:
    """Add the items of anything with `__arrow_c_stream__`."""
    if _is_of(stream, "pyarrow", "ChunkedArray"):
        for chunk in stream.chunks:
            add_arrow_array(batch, chunk)
    else:
        batch.add_arrow_stream(stream.__arrow_c_stream__())


def _room(array: Any) -> int | None:
    """The size of the data that a pyarrow array's offsets refer to, which the C interface omits; None: no offsets."""
    buffers = array.buffers()
    return buffers[2].size if len(buffers) == 3 and buffers[2] is not None else None


def categorical_of(items: Any) -> Any:
    """The pandas Categorical that `items` is, or that a Series or Index holds; else None."""
    if _is_of(items, "pandas", "Series") or _is_of(items, "pandas", "Index"):
        items = items.array
    return items if _is_of(items, "pandas", "Categorical") else None


def array_of(items: Any) -> Any:
    """The array of a pandas Series or Index of one of NumPy's own types; else None. Raises TypeError for a missing
    value.

    This does not use Arrow, because the result would then depend on whether pyarrow is installed.
    """
    if not (_is_of(items, "pandas", "Series") or _is_of(items, "pandas", "Index")):
        return None
    if _is_of(items, "pandas", "MultiIndex"):
        return None
    if _is_of(items.dtype, "pandas", "SparseDtype"):
        items = items.sparse.to_dense()
    if not isinstance(items.dtype, np.dtype):
        return None
    missing = np.flatnonzero(items.isna())
    if len(missing):
        raise TypeError(f"item {missing[0]} is null; nulls have no bytes to hash")
    return items.to_numpy()


def listed(items: Any) -> list[Any] | None:
    """The items of a polars Series of Python objects, of which Arrow would give only the addresses; else None."""
    if _is_of(items, "polars", "Series") and items.dtype == sys.modules["polars"].Object:
        objects: list[Any] = items.to_list()
        return objects
    return None


def add_categorical(batch: Batch, categorical: Any, gather: Callable[[Any], Batch]) -> None:
    """Add the items of a pandas Categorical; `gather` makes a batch of the values."""
    # As a Series, so that the values are treated like a plain column of them.
    values = sys.modules["pandas"].Series(categorical.categories)
    try:
        gathered = gather(values)
    except Exception as error:
        error.add_note("items are counted among the categories of a pandas categorical")
        raise
    batch.add_codes(categorical.codes, gathered)


def _is_of(thing: Any, package: str, name: str) -> bool:
    kind = getattr(sys.modules.get(package), name, None)
    return isinstance(kind, type) and isinstance(thing, kind)
