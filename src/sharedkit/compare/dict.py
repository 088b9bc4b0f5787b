"""The workload `dict`: every worker sets its own keys in one dict and reads the keys of all."""

from __future__ import annotations

from typing import Any

from sharedkit.compare.crew import Clock
from sharedkit.compare.entry import AWAITED, PLACEMENTS, Entry, SharedStateWorkload, in_redis, local, managed
from sharedkit.compare.numbers import counted
from sharedkit.compare.workload import Lap, Mismatch

__all__ = ["DictWorkload"]

KEYS = 64
"""Keys of each worker."""
READS = 4
"""Reads in a round: of the key that was just set, and of the keys of all workers in turn."""


def _key(rank: int, number: int) -> str:
    return f"worker-{rank}:{number}"


def _first(workers: int) -> dict[str, int]:
    return {_key(rank, number): -1 for rank in range(workers) for number in range(KEYS)}


def _work(shared: Any, rank: int, amount: int, clock: Clock) -> int:
    """Run the rounds; returns how many reads found a value that no worker can have written."""
    own = [_key(rank, number) for number in range(KEYS)]
    everybody = list(shared.keys())
    wrong = turn = 0
    with clock:
        for i in range(amount):
            key = own[i % KEYS]
            shared[key] = i
            if shared[key] != i:
                wrong += 1
            for _ in range(READS - 1):
                turn += 1
                if shared[everybody[turn % len(everybody)]] < -1:
                    wrong += 1
    return wrong


def _read(shared: Any) -> dict[str, int]:
    return dict(shared.items())


class DictWorkload(SharedStateWorkload):
    """An amount is one round of every worker: one key set, then four read."""

    name = "dict"
    unit = "gets and sets"
    smallest = 200
    largest = 20_000_000

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        workers = self.settings.workers
        return f"{counted(workers, 'worker', 'use')} one dict of {workers * KEYS} keys, 1 set to 4 gets"

    def entries(self) -> list[Entry]:
        """The standard library's dicts, then sharedkit's in every placement."""
        workers = self.settings.workers
        roles = [_work] * workers
        first = _first(workers)
        return [
            Entry("processes", "Manager().dict", "stdlib", managed(lambda manager: manager.dict(first)), roles, _read),
            Entry("threads", "dict", "stdlib", local(lambda: dict(first)), roles, _read),
            Entry("asyncio", "dict", "stdlib", local(lambda: dict(first)), roles, _read),
            *(
                Entry(
                    placement.where,
                    placement.name("Dict"),
                    "sharedkit",
                    local(lambda placement=placement: placement.context.Dict(first)),  # type: ignore[misc]
                    roles,
                    _read,
                    placement,
                )
                for placement in (*PLACEMENTS, *in_redis(self.settings), AWAITED)
            ),
        ]

    def operations(self, amount: int) -> int:
        """The number of gets and sets."""
        return amount * self.settings.workers * (1 + READS)

    def verify(self, amount: int, lap: Lap) -> str:
        """Check that every worker found the values it had set, and that each key has its last value in the end."""
        if any(lap.results):
            raise Mismatch(f"{sum(lap.results):,} reads found a value that no worker can have written")
        last = range(amount - KEYS, amount)
        expected = {_key(rank, i % KEYS): i for rank in range(self.settings.workers) for i in last}
        if lap.after != expected:
            raise Mismatch(f"{len(expected.items() ^ lap.after.items())} pairs are not what was set last")
        return "exact"

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return "every key has what was set last, and every read found what had been written"
