"""UltraDict: a pickled dict with a stream of updates in shared memory, and its own lock."""

from __future__ import annotations

from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.rivals.rival import CounterRival, DictRival


class UltraDictCounter(CounterRival):
    """`d["n"] += 1` under its lock for unrelated processes; without that lock, increments are lost.

    With two processes, some laps end in its own failed assertions or corrupt updates.
    """

    name = "UltraDict"
    module = "UltraDict"
    package = "ultradict"
    contended = False

    def create(self, scratch: Path) -> None:
        from UltraDict import UltraDict

        self._name = f"bench-ultradict-{id(self)}"
        self._dict: Any = UltraDict({"n": 0}, name=self._name, shared_lock=True, full_dump_size=1 << 16)

    def attach(self) -> None:
        from UltraDict import UltraDict

        self._dict = UltraDict(name=self._name, shared_lock=True)

    def count(self, times: int) -> None:
        shared, lock = self._dict, self._dict.lock
        for _ in repeat(None, times):
            with lock:
                shared["n"] += 1

    def value(self) -> int:
        return int(self._dict["n"])

    def destroy(self) -> None:
        with suppress(FileNotFoundError):  # the workers' resource tracker may have unlinked it first
            self._dict.close(unlink=True)
        for left in Path("/dev/shm").glob(f"{self._name}*"):
            left.unlink()


class UltraDictDict(DictRival):
    """Item by item, with its lock for forked processes, which is the faster one."""

    name = "UltraDict"
    module = "UltraDict"
    package = "ultradict"

    def create(self, first: dict[str, int], scratch: Path) -> None:
        from UltraDict import UltraDict

        self._name = f"bench-ultradict-{id(self)}"
        self.mapping: Any = UltraDict(first, name=self._name, shared_lock=False, buffer_size=1 << 20)

    def destroy(self) -> None:
        with suppress(FileNotFoundError):  # the workers' resource tracker may have unlinked it first
            self.mapping.close(unlink=True)
        for left in Path("/dev/shm").glob(f"{self._name}*"):
            left.unlink()
