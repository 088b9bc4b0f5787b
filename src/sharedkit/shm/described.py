"""Encode dtype and shape of an array as bytes in its segment, and decode them.

The description of a plain type is its `dtype.str`. That of a structured type lists its fields with names, titles,
offsets, size and alignment, so that any layout is restored exactly, including overlapping fields (which NumPy's own
file format cannot describe). The types of `ml_dtypes` are described by their names, because NumPy describes them like
plain bytes; a process that attaches such an array imports that package.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from sharedkit import errors

__all__ = ["decode", "encode"]


def encode(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the description. Raises TypeError for a dtype with Python objects or one that no description can
    restore."""
    import json  # not with the package: it takes a millisecond to import

    if not dtype.hasobject:
        described = _describe(dtype)
        try:
            text = json.dumps({"shape": shape, "dtype": described}, separators=(",", ":"))
            if _restore(json.loads(text)["dtype"]) == dtype:
                return text.encode()
        except (TypeError, ValueError):  # a title that is not a str, or a type that NumPy cannot make from its str
            pass
        raise TypeError(f"a dtype that other processes could not make from a description: {dtype}")
    raise TypeError(f"an array cannot hold Python objects: {dtype}")


def decode(meta: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of a description. Raises CorruptSegmentError; ImportError if a type's package is
    missing."""
    import json

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
    if dtype.isbuiltin == 2 and dtype.type.__module__ == "ml_dtypes":
        return {"ml_dtypes": dtype.type.__name__}
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
    if "ml_dtypes" in told:
        return _of_ml_dtypes(told["ml_dtypes"])
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


def _of_ml_dtypes(name: object) -> np.dtype[Any]:
    """Return the type of `ml_dtypes` that has this name. Raises ImportError, ValueError."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError
    try:
        package = importlib.import_module("ml_dtypes")
    except ModuleNotFoundError:
        raise ImportError(f"the elements of this array are of ml_dtypes.{name}: install ml_dtypes to open it") from None
    found = getattr(package, name, None)
    if found is None:
        version = getattr(package, "__version__", "?")
        raise ImportError(
            f"the elements of this array are of ml_dtypes.{name}, which ml_dtypes {version} does not have"
        )
    if not (isinstance(found, type) and issubclass(found, np.generic)):
        raise ValueError
    return np.dtype(found)
