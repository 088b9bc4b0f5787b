"""Hash the same messages again and again; in every lap the digests must be those of the reference."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.race import Lap
from benchmarks.workloads.base import Inexact


class Way:
    """One way to hash a batch: `run(messages)` returns an object that `rows` turns into an array of digests.

    `place(messages)` may copy them to another place before the race; `close()` ends what `place` or `run` started.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        run: Callable[[Any], Any],
        *,
        rows: Callable[[Any], np.ndarray[Any, Any]] | None = None,
        missing: str | None = None,
        place: Callable[[Any], Any] | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.kind, self.run, self.rows = name, kind, run, rows
        self.place, self.close = place, close
        self._missing = missing

    def missing(self) -> str | None:
        return self._missing


class Digesting:
    """One operation is one message. Without `rows`, a way has digests of its own, which must only stay the same."""

    def __init__(self, way: Way, messages: Callable[[], Any], expected: Callable[[Any], np.ndarray[Any, Any]]) -> None:
        self.name, self.kind, self._way = way.name, way.kind, way
        self._make, self._expect = messages, expected
        self.most = 50_000_000
        self.facts: dict[str, object] = {"checked": "every digest of every lap"}

    def start(self) -> None:
        self._messages = self._make()
        if self._way.place is not None:
            self._messages = self._way.place(self._messages)
        own = self._way.rows is None
        self._expected = self._way.run(self._messages) if own else self._expect(self._messages)

    def lap(self, operations: int, clocked: bool = False) -> Lap:
        messages, run = self._messages, self._way.run
        count = len(messages)
        rounds = max(1, operations // count)
        start = perf_counter()
        for _ in range(rounds):
            result = run(messages)
        seconds = perf_counter() - start
        digests = result if self._way.rows is None else self._way.rows(result)
        if not np.array_equal(digests, self._expected):
            raise Inexact(f"{self.name}: digests differ from the reference's")
        return Lap(seconds, seconds / (rounds * count))

    def stop(self) -> None:
        self._messages = self._expected = None
        if self._way.close is not None:
            self._way.close()
