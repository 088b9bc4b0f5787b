"""Shape and dtype of an array as every placement understands them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from sharedkit._core.counts import perhaps_a_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["contents_of", "geometry", "plain_dtype", "require_number"]


def geometry(shape: int | tuple[int, ...], dtype: DTypeLike) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Lengths and element type as `numpy.zeros` would have them. Raises TypeError, ValueError."""
    lengths = _lengths(shape)
    if any(n < 0 for n in lengths):
        raise ValueError(f"lengths must not be negative: {shape}")
    element = np.dtype(dtype)
    if element.hasobject:
        raise TypeError(f"an array cannot hold Python objects: {element}")
    # NumPy turns sub-arrays into axes and "S0" into "S1", and refuses an array that it could not make.
    like = np.empty(lengths if 0 in lengths else (0,) * len(lengths), element)
    return lengths + like.shape[len(lengths) :], like.dtype


def _lengths(shape: object) -> tuple[int, ...]:
    if isinstance(shape, tuple):
        return tuple(operator.index(n) for n in shape)
    if isinstance(shape, str):
        raise TypeError(
            f'the shape comes before the dtype: Array(3, "i"), not Array({shape!r}, 3){perhaps_a_name(shape)}'
        )
    try:
        return (operator.index(shape),)  # type: ignore[arg-type]  # index() itself raises the TypeError
    except TypeError:
        raise TypeError(
            f"a shape is an int or a tuple of them, not a {type(shape).__name__}: "
            "Array.from_array(x) makes an array with the contents of x"
        ) from None


def contents_of(array: ArrayLike) -> NDArray[Any]:
    """`array` as NumPy reads it, with its elements side by side in C order. Raises TypeError for Python objects."""
    found = np.asarray(array)
    if found.dtype.hasobject:
        raise TypeError(f"an array cannot hold Python objects: {found.dtype}")
    lengths, dtype = geometry(found.shape, found.dtype)
    return np.ascontiguousarray(found, dtype).reshape(lengths)


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """An equal dtype whose pickle contains no object of the user's: metadata is dropped, and a record class becomes
    `np.void`. Raises TypeError for a title that is no str, and for Python objects."""
    if dtype.hasobject:
        raise TypeError(f"an array cannot hold Python objects: {dtype}")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((plain_dtype(base), shape))
    if dtype.names is not None and dtype.fields is not None:
        return _plain_record(dtype, [dtype.fields[name] for name in dtype.names])
    if dtype.metadata is None and dtype.type.__module__ != "numpy" and dtype.isbuiltin != 2:
        return np.dtype(dtype.str)  # bytes of a user's class
    if dtype.metadata is None:
        return dtype
    return np.dtype(dtype.type).newbyteorder(dtype.byteorder) if dtype.isbuiltin == 2 else np.dtype(dtype.str)


def _plain_record(dtype: np.dtype[Any], fields: list[Any]) -> np.dtype[Any]:
    bases = [plain_dtype(base) for base, *_ in fields]
    titles = [title[0] if title else None for _, _, *title in fields]
    if not all(title is None or type(title) is str for title in titles):
        raise TypeError(f"the titles of fields must be str: {dtype}")
    same = all(base is field[0] for base, field in zip(bases, fields, strict=True))
    if same and dtype.metadata is None and dtype.type in (np.void, np.record):
        return dtype
    names, offsets = list(dtype.names or ()), [field[1] for field in fields]
    spec: dict[str, Any] = {"names": names, "formats": bases, "offsets": offsets, "itemsize": dtype.itemsize}
    if any(title is not None for title in titles):
        spec["titles"] = titles
    plain: np.dtype[Any] = np.dtype(spec, align=dtype.isalignedstruct)  # type: ignore[call-overload]
    return np.dtype((np.record, plain)) if dtype.type is np.record else plain


def require_number(dtype: np.dtype[Any]) -> None:
    """Raise TypeError if a server or a lock cannot add to elements of this type: `ml_dtypes` types have rounding rules
    of their own."""
    if dtype.kind not in "iuf" or dtype.isbuiltin == 2:
        raise TypeError(f"atomic operations need an integer or float dtype of NumPy's own, not {dtype}")
