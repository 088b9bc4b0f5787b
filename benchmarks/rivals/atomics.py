"""atomics: C11 atomics through cffi, on any shared buffer."""

from __future__ import annotations

from itertools import repeat
from mmap import mmap
from pathlib import Path

from benchmarks.rivals.rival import CounterRival


class AtomicsCounter(CounterRival):
    """An `atomicview`'s `inc`, opened once a worker, as its documentation shows."""

    name = "atomics"
    module = "atomics"
    package = "atomics"

    def create(self, scratch: Path) -> None:
        self._memory = mmap(-1, 4096)

    def count(self, times: int) -> None:
        import atomics

        with atomics.atomicview(buffer=memoryview(self._memory)[:8], atype=atomics.INT) as number:
            for _ in repeat(None, times):
                number.inc()

    def value(self) -> int:
        return int.from_bytes(self._memory[:8], "little")
