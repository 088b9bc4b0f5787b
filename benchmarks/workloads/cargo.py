"""The items that are sent through queues: each contains its producer, its number, and a check that it is whole."""

from __future__ import annotations

import struct
from typing import Any, Protocol

import numpy as np

HEAD = struct.Struct("<II")  # producer, sequence number


class Cargo(Protocol):
    """Makes a producer's items and reads back what arrived."""

    stop: Any  # the item after which a consumer ends

    def make(self, producer: int, count: int) -> list[Any]: ...

    def identities(self, items: list[Any]) -> np.ndarray[Any, Any]:
        """(n, 2) producers and sequence numbers of whole items; ValueError on a damaged item."""
        ...


class Bytes:
    """`bytes` of one size: the head, then one byte repeated that depends on the sequence number."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.stop = b"\xff" * size

    def make(self, producer: int, count: int) -> list[bytes]:
        pad = self._size - HEAD.size
        return [HEAD.pack(producer, number) + bytes([number & 255]) * pad for number in range(count)]

    def identities(self, items: list[bytes]) -> np.ndarray[Any, Any]:
        if not items:
            return np.empty((0, 2), np.uint32)
        whole = np.frombuffer(b"".join(items), np.uint8)
        if whole.size != len(items) * self._size:
            raise ValueError(f"{len(items)} items of {self._size} bytes came as {whole.size} bytes")
        rows = whole.reshape(len(items), self._size)
        heads = np.ascontiguousarray(rows[:, : HEAD.size]).view(np.uint32)
        torn = rows[:, HEAD.size :] != (heads[:, 1:] & 255)
        if torn.any():
            raise ValueError(f"{int(torn.any(axis=1).sum())} of {len(items)} items are torn")
        return heads


class Objects:
    """Small dicts, as programs send them: a key, a name, a number, a nested list."""

    stop = None

    def make(self, producer: int, count: int) -> list[dict[str, Any]]:
        return [self._item(producer, number) for number in range(count)]

    def _item(self, producer: int, number: int) -> dict[str, Any]:
        tags = ["a", number]
        return {"id": (producer, number), "name": f"item-{number}", "score": number / 7, "tags": tags}

    def identities(self, items: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
        for item in items:
            if item != self._item(*item["id"]):
                raise ValueError(f"an object is torn: {item!r}")
        return np.array([item["id"] for item in items], np.uint32).reshape(len(items), 2)
