"""Dtype and shape of an array as bytes in its segment, and back.

`dtype.str` for plain types; fields with names, titles, offsets, size and alignment for structured ones, so that any
layout comes back as it was, overlapping fields included (which NumPy's own file format cannot describe).
"""

from __future__ import annotations

import json
import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from sharedkit import errors

__all__ = ["decode", "encode", "geometry"]


def geometry(shape: int | tuple[int, ...], dtype: DTypeLike) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Lengths and element type as `numpy.zeros` would have them. TypeError, ValueError."""
    lengths = tuple(operator.index(n) for n in shape) if isinstance(shape, tuple | list) else (operator.index(shape),)
    if any(n < 0 for n in lengths):
        raise ValueError(f"lengths must not be negative: {shape}")
    element = np.dtype(dtype)
    if element.hasobject:
        raise TypeError(f"an array cannot hold Python objects: {element}")
    # NumPy turns sub-arrays into axes and "S" into "S1", and refuses what it could not make.
    like = np.empty(lengths if 0 in lengths else (0,) * len(lengths), element)
    return lengths + like.shape[len(lengths) :], like.dtype


def encode(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The description. TypeError for a dtype that holds Python objects or that a description cannot bring back."""
    if not dtype.hasobject:
        described = _describe(dtype)
        try:
            text = json.dumps({"shape": shape, "dtype": described}, separators=(",", ":"))
            if _restore(json.loads(text)["dtype"]) == dtype:
                return text.encode()
        except (TypeError, ValueError):  # a title that is no str, a type that NumPy does not know by its str
            pass
        raise TypeError(f"a dtype that other processes could not make from a description: {dtype}")
    raise TypeError(f"an array cannot hold Python objects: {dtype}")


def decode(meta: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a description. CorruptSegmentError."""
    try:
        told = json.loads(meta)
        shape = tuple(told["shape"])
        dtype = _restore(told["dtype"])
        if dtype.hasobject or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError
    except (ValueError, TypeError, KeyError, SyntaxError, OverflowError, RecursionError, MemoryError):
        raise errors.CorruptSegmentError("the description of an array makes no sense") from None
    return shape, dtype


def _describe(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": _describe(base), "shape": shape}
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    fields = []
    for name in dtype.names:
        base, offset, *title = dtype.fields[name]
        fields.append([name, title[0] if title else None, offset, _describe(base)])
    return {
        "fields": fields,
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
        "record": dtype.type is np.record,
    }


def _restore(told: Any) -> np.dtype[Any]:
    if isinstance(told, str):
        return np.dtype(told)
    if "base" in told:
        return np.dtype((_restore(told["base"]), tuple(told["shape"])))
    names, titles, offsets, bases = (
        (list(column) for column in zip(*told["fields"], strict=True)) if told["fields"] else ([], [], [], [])
    )
    spec: dict[str, Any] = {
        "names": names,
        "formats": [_restore(base) for base in bases],
        "offsets": offsets,
        "itemsize": told["itemsize"],
    }
    if any(title is not None for title in titles):
        spec["titles"] = titles
    dtype: np.dtype[Any] = np.dtype(spec, align=told["aligned"])  # type: ignore[call-overload]
    return np.dtype((np.record, dtype)) if told["record"] else dtype
