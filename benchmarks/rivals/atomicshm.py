"""atomicshm: atomic operations on any shared buffer, a thin C layer over one instruction each."""

from __future__ import annotations

from itertools import repeat
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rivals.rival import ArrayRival, CounterRival


class AtomicshmCounter(CounterRival):
    """A 64-bit cell's `fetch_add`."""

    name = "atomicshm"
    module = "atomicshm"
    package = "atomicshm"

    def create(self, scratch: Path) -> None:
        import atomicshm

        self._view = atomicshm.AtomicView(mmap(-1, 4096))
        self._cell = self._view.cell_u64(0)

    def count(self, times: int) -> None:
        cell = self._cell
        for _ in repeat(None, times):
            cell.fetch_add(1)

    def value(self) -> int:
        return int(self._cell.load())


class AtomicshmArray(ArrayRival):
    """`fetch_add_u64` at an offset; it has no scatter-add, so many values need a loop."""

    name = "atomicshm"
    module = "atomicshm"
    package = "atomicshm"

    def create(self, size: int, scratch: Path) -> None:
        import atomicshm

        self._memory = mmap(-1, size * 8)
        self._view = atomicshm.AtomicView(self._memory)

    def fetch_add(self, indices: list[int]) -> None:
        view = self._view
        for index in indices:
            view.fetch_add_u64(index * 8, 1)

    def add_at(self, indices: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
        fetch_add = self._view.fetch_add_u64
        for offset, value in zip((indices * 8).tolist(), values.tolist(), strict=True):
            fetch_add(offset, value)

    def values(self) -> np.ndarray[Any, Any]:
        return np.frombuffer(self._memory, np.int64).copy()
