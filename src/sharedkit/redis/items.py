"""Items on their way to a server: the longest, and batches that do not keep other clients waiting for long."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, TypeVar

__all__ = ["LARGEST", "batches", "checked", "message_pack", "next_batch"]

T = TypeVar("T")
_HEAD = struct.Struct(">BI").pack

LARGEST = (512 << 20) - 1024  # bytes of an item: a server takes 512 MiB at most, including what the protocol adds
BATCH_BYTES = 16 << 20  # bytes of items in one call
BATCH_ITEMS = 1000  # items in one call: a longer call would keep all other clients waiting


def checked(packed: bytes, what: str) -> bytes:
    """`packed`, unless it is too long for a server: then ValueError."""
    if len(packed) > LARGEST:
        raise ValueError(f"{what} has {len(packed)} bytes, and a Redis server takes {LARGEST}: put it in parts")
    return packed


def next_batch(items: list[T], first: int, size: Callable[[Any], int] = len) -> list[T]:
    """The items of the next call, from number `first` on; at least one."""
    if len(items) == 1:
        return items
    some = items[first : first + BATCH_ITEMS]
    if sum(sizes := list(map(size, some))) > BATCH_BYTES:
        fit = sum(total <= BATCH_BYTES for total in accumulate(sizes))
        return some[: max(1, fit)]
    return some


def batches(entries: list[tuple[bytes, ...]]) -> Iterator[list[tuple[bytes, ...]]]:
    """The entries of each call that it takes to send them all."""
    done = 0
    while done < len(entries):
        some = next_batch(entries, done, lambda entry: sum(map(len, entry)))
        yield some
        done += len(some)


def message_pack(parts: Iterable[bytes]) -> bytes:
    """An array of strings in MessagePack, which Lua reads faster than as many arguments."""
    parts = list(parts)
    sizes = list(map(len, parts))
    heads = {size: _HEAD(0xDB, size) for size in set(sizes)}
    pieces = [b""] * (2 * len(parts))
    pieces[::2] = map(heads.__getitem__, sizes)
    pieces[1::2] = parts
    return _HEAD(0xDD, len(parts)) + b"".join(pieces)
