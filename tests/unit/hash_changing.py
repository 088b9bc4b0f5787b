"""Inputs whose memory changes while they are hashed, as used by the child processes of test_hash_changing.py.

A `Changing` is one kind of input. `change(i)` changes something in the last items: offsets, codes, lengths or
contents; the result may be valid or not. The first `SAME` items never change, so their digests are known.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sharedkit.hashing import hash_many, hash_spans
from sharedkit.shm import Array

COUNT, SAME = 9000, 5000
ROUNDS = 60
DATA = bytes(range(256)) * 1024
WRONG = (1 << 50, -(1 << 40), -1, len(DATA) + 1, (1 << 31) - 1, -(1 << 31))


@dataclass
class Changing:
    """One kind of input: how it is hashed, and how it changes."""

    hash: Callable[..., Any]
    change: Callable[[int], None]
    break_one: Callable[[], None] | None = None  # makes item SAME + 2 reach outside of its data, permanently
    keep: list[Any] = field(default_factory=list)


def shared(values: Any, dtype: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    """An Array in shared memory with these values, and its view."""
    values = np.asarray(values, dtype)
    place = Array(values.shape, dtype)
    place.ndarray[...] = values
    return place, place.ndarray


def words(view: np.ndarray[Any, Any], step: int = 1, end: int = 0) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Functions that change the last words of `view`. An item has `step` words; word `end` says where the item ends."""
    right = view.copy()
    limits = np.iinfo(view.dtype)
    wrong = [np.array(each & (2**64 - 1), "u8").view("i8").astype(view.dtype, casting="unsafe") for each in WRONG]
    wrong.append(limits.max)

    def change(i: int) -> None:
        at = SAME * step + 2 + i % ((COUNT - SAME) * step - 4)
        view[at] = wrong[i % len(wrong)]
        view[at] = right[at]

    def break_one() -> None:
        view[(SAME + 2) * step + end] = limits.max

    return change, break_one


def spans() -> Changing:
    keep, view = shared(np.linspace(0, len(DATA), COUNT + 1), "i8")
    return Changing(lambda **how: hash_spans(DATA, view, "sha256", **how), *words(view, end=1), [keep])


def pairs() -> Changing:
    starts = np.arange(COUNT) * 11
    keep, view = shared(np.stack([starts, starts + 30], axis=1).ravel(), "i8")
    return Changing(
        lambda **how: hash_spans(DATA, view.reshape(-1, 2), "sha256", **how), *words(view, 2, end=1), [keep]
    )


def arrow_offsets(kind: str, dtype: str) -> Changing:
    import pyarrow as pa

    keep, view = shared(np.linspace(0, len(DATA), COUNT + 1), dtype)
    column = pa.Array.from_buffers(getattr(pa, kind)(), COUNT, [None, pa.py_buffer(view), pa.py_buffer(DATA)])
    change, break_one = words(view, end=1)
    last = view[-1].copy()

    def change_the_last_too(i: int) -> None:
        change(i)
        view[-1] = np.iinfo(view.dtype).max // 2
        view[-1] = last

    return Changing(lambda **how: hash_many(column, "sha256", **how), change_the_last_too, break_one, [keep])


def arrow_views() -> Changing:
    import pyarrow as pa

    items = [f"{i} is a text that does not lie in its view" if i % 3 else str(i) for i in range(COUNT)]
    _, views, *data = pa.array(items, pa.string_view()).buffers()
    keep, view = shared(np.frombuffer(views, "i4"), "i4")
    column = pa.Array.from_buffers(pa.string_view(), COUNT, [None, pa.py_buffer(view), *data])
    return Changing(lambda **how: hash_many(column, "sha256", **how), *words(view, 4), [keep])


def arrow_codes(dtype: str) -> Changing:
    import pyarrow as pa

    keep, view = shared(np.arange(COUNT) % 100, dtype)
    codes = pa.Array.from_buffers(pa.from_numpy_dtype(view.dtype), COUNT, [None, pa.py_buffer(view)])
    column = pa.DictionaryArray.from_arrays(codes, pa.array([f"value {i}" for i in range(100)]), safe=False)
    return Changing(lambda **how: hash_many(column, "sha256", **how), *words(view), [keep])


def arrow_codes_of_a_large_dictionary() -> Changing:
    import pyarrow as pa

    keep, view = shared(np.arange(COUNT) * 2, "i4")
    codes = pa.Array.from_buffers(pa.int32(), COUNT, [None, pa.py_buffer(view)])
    column = pa.DictionaryArray.from_arrays(codes, pa.array([f"value {i}" for i in range(3 * COUNT)]), safe=False)
    return Changing(lambda **how: hash_many(column, "sha256", **how), *words(view), [keep])


def pandas_codes() -> Changing:
    import pandas

    column = pandas.Categorical.from_codes(np.arange(COUNT) % 100, [f"value {i}" for i in range(100)])
    view = column.codes.base
    return Changing(lambda **how: hash_many(column, "sha256", **how), *words(view), [column])


def arrow_validity() -> Changing:
    import pyarrow as pa

    keep, view = shared(np.full(COUNT // 8 + 1, 255), "u1")
    data = pa.array([f"text {i}" for i in range(COUNT)]).buffers()
    column = pa.Array.from_buffers(pa.string(), COUNT, [pa.py_buffer(view), *data[1:]], null_count=1)

    def change(i: int) -> None:
        view[SAME // 8 + 1 + i % 100] = i % 256
        view[SAME // 8 + 1 + i % 100] = 255

    return Changing(lambda **how: hash_many(column, "sha256", **how), change, keep=[keep])


def ucs4(points: tuple[int, ...]) -> Changing:
    keep, view = shared(np.full((COUNT, 24), ord("a")), "u4")
    column = view.view("U24")[:, 0]

    def change(i: int) -> None:
        view[SAME:, i % 3 :] = points[i % len(points)]

    return Changing(lambda **how: hash_many(column, "sha256", **how), change, keep=[keep])


def bytes_column() -> Changing:
    keep, view = shared(np.full((COUNT, 24), ord("a")), "u1")
    column = view.view("S24")[:, 0]

    def change(i: int) -> None:
        view[SAME + i % (COUNT - SAME), i % 24 :] = i % 3

    return Changing(lambda **how: hash_many(column, "xxh3_64", **how), change, keep=[keep])


def strided_numbers() -> Changing:
    keep, view = shared(np.arange(3 * COUNT), "i8")

    def change(i: int) -> None:
        view[3 * SAME + i % 100] = i

    return Changing(lambda **how: hash_many(view[::3], "xxh3_64", **how), change, keep=[keep])


def rows() -> Changing:
    keep, view = shared(np.zeros((COUNT, 40)), "u1")

    def change(i: int) -> None:
        view[SAME + i % 1000] = i % 256

    return Changing(lambda **how: hash_many(view, "blake3", **how), change, keep=[keep])


def a_list() -> Changing:
    items: list[Any] = [b"%d" % i * 20 for i in range(COUNT)]

    def change(i: int) -> None:
        del items[SAME:]
        items.extend(str(k) + "ü" * (i % 50) for k in range(i % 1000))

    return Changing(lambda **how: hash_many(items, "sha256", **how), change)


def an_object_array() -> Changing:
    items = np.array([b"%d" % i * 20 for i in range(COUNT)], object)

    def change(i: int) -> None:
        items[SAME + i % (COUNT - SAME)] = bytearray(b"other") * (i % 900)

    return Changing(lambda **how: hash_many(items, "sha256", **how), change)


def bytearrays() -> Changing:
    items = [bytearray(b"%d" % i * 20) for i in range(COUNT)]

    def change(i: int) -> None:
        one = items[SAME + i % (COUNT - SAME)]
        try:
            one.extend(bytes(1000))
            del one[50:]
        except BufferError:  # it is being hashed: it keeps its size until that is done
            pass

    return Changing(lambda **how: hash_many(items, "sha256", **how), change)


def string_dtype() -> Changing:
    items = np.array([f"text {i} that is too long for its place" for i in range(COUNT)], np.dtypes.StringDType())

    def change(i: int) -> None:
        items[SAME + i % (COUNT - SAME)] = "other" * (i % 400)

    return Changing(lambda **how: hash_many(items, "sha256", **how), change)


KINDS: dict[str, Callable[[], Changing]] = {
    "spans": spans,
    "pairs": pairs,
    "arrow string": lambda: arrow_offsets("string", "i4"),
    "arrow large_binary": lambda: arrow_offsets("large_binary", "i8"),
    "arrow string_view": arrow_views,
    "arrow codes of 8 bits": lambda: arrow_codes("i1"),
    "arrow codes of 16 bits, unsigned": lambda: arrow_codes("u2"),
    "arrow codes of 64 bits": lambda: arrow_codes("i8"),
    "arrow codes of a large dictionary": arrow_codes_of_a_large_dictionary,
    "arrow validity": arrow_validity,
    "pandas codes": pandas_codes,
    "U": lambda: ucs4((ord("a"), 0xE9, 0x10FFFF, 0, 0x20AC)),
    "U without UTF-8": lambda: ucs4((ord("a"), 0xD800, 0x10FFFF, 0, 0x110000, 2**32 - 1)),
    "S": bytes_column,
    "strided numbers": strided_numbers,
    "rows": rows,
    "list": a_list,
    "object array": an_object_array,
    "bytearrays": bytearrays,
    "StringDType": string_dtype,
}


def hash_while_it_changes(name: str) -> tuple[int, int]:
    """Hash the input at least ROUNDS times, and until a thread has changed it ROUNDS times; return how many batches
    were hashed, and how many refused."""
    kind = KINDS[name]()
    expected = kind.hash(form="bytes")[:SAME]
    stop, done, changes = False, [0, 0], 0

    def change() -> None:
        nonlocal changes
        while not stop:
            kind.change(changes)
            changes += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        while sum(done) < ROUNDS or changes < ROUNDS:
            try:
                digests = kind.hash(form="bytes", threads=1 + sum(done) % 2)
            except (ValueError, TypeError) as error:  # UnicodeEncodeError is a ValueError
                assert "item" in str(error) + str(getattr(error, "__notes__", "")) or "span" in str(error), error
                done[1] += 1
            else:
                assert digests[:SAME] == expected, name
                done[0] += 1
    finally:
        stop = True
        sys.setswitchinterval(interval)
        thread.join(20)
    assert not thread.is_alive()
    return done[0], done[1]


class Late(int):
    """A number of threads that is compared after the input has been gathered; the comparison calls `break_one`."""

    break_one: Callable[[], None]

    def __lt__(self, other: int) -> bool:
        self.break_one()
        return int(self) < other


def hash_after_a_change(name: str, threads: int) -> str:
    """The error that is raised if an item becomes invalid between its check and its hashing."""
    kind = KINDS[name]()
    late = Late(threads)
    late.break_one = kind.break_one  # type: ignore[assignment]
    try:
        kind.hash(threads=late)
    except ValueError as error:
        return str(error)
    return "nothing"
