"""One call for a whole batch: hash_many and hash_spans."""

from __future__ import annotations

import operator
import os
from typing import Any, Literal

import numpy as np

from sharedkit.hashing import _digests
from sharedkit.hashing._digests import Batch
from sharedkit.hashing.inputs import gather, gather_spans

__all__ = ["hash_many", "hash_spans", "worker_count"]

Form = Literal["array", "bytes", "hex"]

MOST_THREADS = 1 << 16  # any larger number has the same effect
_WORDS: dict[int, np.dtype[Any]] = {8: np.dtype(np.uint64), 4: np.dtype(np.uint32)}


def hash_many(
    items: Any,
    algorithm: str,
    *,
    seed: int = 0,
    key: Any = None,
    out: Any = None,
    threads: int | Literal["auto"] = 1,
    form: Form = "array",
) -> Any:
    """Hash every item of a batch in one call.

    `items` and the bytes that are hashed of each item:

    - a list, tuple or other iterable of bytes-like objects (their bytes in C order) and `str` (its UTF-8);
    - a NumPy object array of such; a masked array, unless one of its items is masked;
    - a NumPy `S` array: the item without the NULs at its end, as `bytes(array[i])`;
    - a NumPy `U` or StringDType array: the text's UTF-8, as `str(array[i]).encode()`;
    - a NumPy array of bool, integers, floats, complex numbers or times: the item's bytes in little-endian
      order, as `array.astype(array.dtype.newbyteorder("<"))[i].tobytes()`; so equal numbers of different
      width, and 0.0 and -0.0, differ;
    - a 1-D array of unstructured `V` items: their bytes;
    - a 2-D array of int8 or uint8: each row's bytes;
    - an Arrow array or stream (anything with `__arrow_c_array__` or `__arrow_c_stream__`: pyarrow, polars,
      pandas) of text or binary (the contents), or of numbers and times (their little-endian bytes);
    - a pandas categorical, a polars Categorical or Enum, an Arrow dictionary: like the plain column of its values;
      each distinct value is hashed once;
    - a pandas Series or Index of NumPy's own types: like its array, but NaN, NaT and None count as missing values;
    - anything else with the buffer protocol or `__array__`, such as a shared `Array`: as NumPy sees it.

    Arrays may be strided. `algorithms()` lists the names. `key`, 32 bytes, makes `blake3` a keyed hash; `seed`
    is for `xxh3_64`, `xxh3_128` (64 bits) and `crc32c` (the checksum of the preceding data). `threads`, a number or
    "auto" (as many as this process has CPUs), is an upper limit: a batch is split only if each thread gets at least
    2,048 items or 256 KiB.

    With `form="array"` the result is an array of shape (n, digest_size) and dtype uint8, or for algorithms that
    are also an integer (`xxh3_64`, `crc32c`) of shape (n,) and that unsigned dtype, equal to the reference's
    `intdigest()`. `out`, an array or writable buffer of exactly that shape and dtype, is filled and returned; it
    must not share memory with the items. `form="bytes"` and `form="hex"` return lists and cost 35 to 45 ns more per
    item.

    While the GIL is released, the call holds references to all items, so another thread may safely change a list; a
    bytearray or array cannot be resized meanwhile. Another thread or process may also change offsets, codes and text:
    each value is read once, and ValueError is raised if it then points outside of the data. By that time some of `out`
    may be written.

    Raises TypeError, with index and type, for an item without bytes to hash, and for missing values;
    ValueError for an unknown algorithm, a wrong seed, key, `out`, `form` or number of threads;
    UnicodeEncodeError for text with lone surrogates. In these cases nothing is written to `out`.
    """
    shape = _Shape(algorithm, form, out)
    return shape.digest(gather(items), items, seed, key, threads)


def hash_spans(
    buffer: Any,
    offsets: Any,
    algorithm: str,
    *,
    seed: int = 0,
    key: Any = None,
    out: Any = None,
    threads: int | Literal["auto"] = 1,
    form: Form = "array",
) -> Any:
    """Hash pieces of one buffer, such as the lines of a memory-mapped file, without an object for each.

    `offsets` has the shape (n + 1,): span i is buffer[offsets[i]:offsets[i + 1]]; or (n, 2): span i is
    buffer[offsets[i, 0]:offsets[i, 1]]. The other arguments and the result are as in `hash_many`.

    Raises ValueError, with the span's number, for offsets that run backwards or past the end. Other threads or
    processes may change the offsets meanwhile.
    """
    shape = _Shape(algorithm, form, out)
    return shape.digest(gather_spans(buffer, offsets), buffer, seed, key, threads)


class _Shape:
    """The shape and form of one call's result, checked before any work."""

    def __init__(self, algorithm: str, form: str, out: Any) -> None:
        self.algorithm, self.form, self.out = algorithm, form, out
        self.size, self.word, _, _ = _digests.describe(algorithm)
        if form not in ("array", "bytes", "hex"):
            raise ValueError(f"form must be 'array', 'bytes' or 'hex': {form!r}")
        if out is not None and form != "array":
            raise ValueError(f"out goes with form='array' only: {form!r}")

    def digest(self, batch: Batch, items: Any, seed: int, key: Any, threads: int | str) -> Any:
        workers = worker_count(threads)
        rows = self._fresh(batch.count) if self.out is None else self._checked(batch.count, items)
        batch.digest(self.algorithm, rows, seed=seed, key=key, threads=workers)
        if self.form == "array":
            return rows if self.out is None else self.out
        if self.word:
            rows = rows.astype(rows.dtype.newbyteorder(">"))
        return _digests.digest_list(rows, self.size, hex=self.form == "hex")

    def _geometry(self, count: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
        if self.word:
            return (count,), _WORDS[self.word]
        return (count, self.size), np.dtype(np.uint8)

    def _fresh(self, count: int) -> np.ndarray[Any, Any]:
        return np.empty(*self._geometry(count))

    def _checked(self, count: int, items: Any) -> np.ndarray[Any, Any]:
        shape, dtype = self._geometry(count)
        rows = np.asarray(self.out)
        if isinstance(self.out, list | tuple) or (rows.shape, rows.dtype) != (shape, dtype):
            raise ValueError(f"out must have shape {shape} and dtype {dtype}: {rows.shape}, {rows.dtype}")
        if not rows.flags.c_contiguous or not rows.flags.writeable:
            raise ValueError("out must be contiguous and writable")
        if isinstance(items, np.ndarray) and np.may_share_memory(items, rows):
            raise ValueError("out must not share memory with the items")
        return rows


def worker_count(threads: int | str) -> int:
    """Return the number of threads that the argument means; ValueError or TypeError for an invalid one."""
    if threads == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(threads, str) or not hasattr(threads, "__index__"):
        raise TypeError(f"threads must be an int or 'auto': {threads!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, or 'auto': {threads}")
    return min(operator.index(threads), MOST_THREADS)
