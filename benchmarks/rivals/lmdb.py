"""lmdb: a memory-mapped tree with one robust writer lock; here in memory and without syncing."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.rivals.rival import CounterRival, DictRival


class LmdbCounter(CounterRival):
    """One key, read and written in a write transaction for each increment."""

    name = "lmdb"
    module = "lmdb"
    package = "lmdb"

    def create(self, scratch: Path) -> None:
        self._folder = scratch / "lmdb"
        with self._open() as environment, environment.begin(write=True) as transaction:
            transaction.put(b"n", b"0")

    def _open(self) -> Any:
        import lmdb

        return lmdb.open(str(self._folder), sync=False, writemap=True, map_size=1 << 20)

    def attach(self) -> None:
        self._environment = self._open()  # an environment must not cross a fork

    def count(self, times: int) -> None:
        begin = self._environment.begin
        for _ in repeat(None, times):
            with begin(write=True) as transaction:
                transaction.put(b"n", b"%d" % (int(transaction.get(b"n")) + 1))

    def value(self) -> int:
        with self._open() as environment, environment.begin() as transaction:
            return int(transaction.get(b"n"))


class LmdbDict(DictRival):
    """One transaction a key: a read returns a buffer in its memory; a write does not sync."""

    name = "lmdb"
    module = "lmdb"
    package = "lmdb"

    def create(self, first: dict[str, int], scratch: Path) -> None:
        self._folder = scratch / "lmdb-dict"
        with self._open() as environment, environment.begin(write=True) as transaction:
            for key, value in first.items():
                transaction.put(key.encode(), b"%d" % value)

    def _open(self) -> Any:
        import lmdb

        return lmdb.open(str(self._folder), sync=False, writemap=True, map_size=1 << 24)

    def attach(self) -> None:
        self._environment = self._open()  # an environment must not cross a fork

    def get(self, keys: list[str]) -> list[int]:
        begin = self._environment.begin
        values = []
        for key in keys:
            with begin() as transaction:
                values.append(int(transaction.get(key.encode())))
        return values

    def update(self, keys: list[str], value: int) -> None:
        begin = self._environment.begin
        for key in keys:
            with begin(write=True) as transaction:
                transaction.put(key.encode(), b"%d" % value)
