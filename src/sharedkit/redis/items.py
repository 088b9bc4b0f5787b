"""Items on their way to a server: the longest, and batches that do not keep other clients waiting for long."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = ["LARGEST", "checked", "message_pack", "next_batch"]

T = TypeVar("T")

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
    total, last = 0, first
    while last < len(items) and last < first + BATCH_ITEMS:
        total += size(items[last])
        if last > first and total > BATCH_BYTES:
            break
        last += 1
    return items[first:last]


def message_pack(parts: Iterable[bytes]) -> bytes:
    """An array of strings in MessagePack, which Lua reads faster than as many arguments."""
    packed = [b""]
    for each in parts:
        packed.append(struct.pack(">BI", 0xDB, len(each)))
        packed.append(each)
    packed[0] = struct.pack(">BI", 0xDD, len(packed) // 2)
    return b"".join(packed)
