"""Numbered messages for the workload `queue`, and the check that each arrived once, and each producer's in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharedkit.compare.workload import Mismatch

__all__ = ["SMALLEST", "Plan", "arrivals", "check", "make"]

NUMBERS = np.dtype([("producer", "<u4"), ("number", "<u8")])
SMALLEST = NUMBERS.itemsize
"""Bytes that the numbers need; a message cannot be shorter."""

Arrivals = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Plan:
    """The ranks: those below `producers` produce, the others consume. `size` is bytes a message."""

    producers: int
    consumers: int
    size: int
    batch: int = 100


def make(producer: int, amount: int, size: int) -> list[bytes]:
    """Messages 0 … amount-1 of that producer, `size` bytes each."""
    rows = np.zeros((amount, size), "u1")
    numbered = np.empty(amount, NUMBERS)
    numbered["producer"] = producer
    numbered["number"] = np.arange(amount)
    rows[:, :SMALLEST] = numbered.view("u1").reshape(amount, SMALLEST)
    data = rows.tobytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


def arrivals(taken: Sequence[bytes], size: int) -> Arrivals:
    """The numbers of the messages that one consumer took, in their order. Raises Mismatch for a torn message."""
    data = b"".join(taken)
    if len(data) != len(taken) * size:
        raise Mismatch(f"{len(taken)} messages of {size} bytes came as {len(data)} bytes")
    rows = np.frombuffer(data, "u1").reshape(len(taken), size)
    if rows[:, SMALLEST:].any():
        raise Mismatch("a message came with other bytes than it was put with")
    return np.ascontiguousarray(rows[:, :SMALLEST]).view(NUMBERS).reshape(len(taken))


def check(taken: Sequence[Arrivals], plan: Plan, amount: int) -> None:
    """Check that every message of every producer came once, and in order at each consumer. Raises Mismatch."""
    for producer in range(plan.producers):
        streams: list[NDArray[Any]] = [came["number"][came["producer"] == producer] for came in taken]
        if any((stream[1:] <= stream[:-1]).any() for stream in streams):
            raise Mismatch(f"messages of producer {producer} came out of order or twice")
        everything = np.sort(np.concatenate(streams))
        if len(everything) != amount:
            raise Mismatch(f"{len(everything):,} of {amount:,} messages of producer {producer} came")
        if not np.array_equal(everything, np.arange(amount, dtype="u8")):
            raise Mismatch(f"messages of producer {producer} came twice while others were lost")
    strangers = sum(int((came["producer"] >= plan.producers).sum()) for came in taken)
    if strangers:
        raise Mismatch(f"{strangers} messages came that no producer put")
