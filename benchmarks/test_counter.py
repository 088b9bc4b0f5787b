"""Counters: one process alone (beside an empty call), and two that contend for the same word."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.race import Entrant, field_of, group
from benchmarks.rivals.atomic_dict import AtomicDictCounter
from benchmarks.rivals.atomics import AtomicsCounter
from benchmarks.rivals.atomicshm import AtomicshmCounter
from benchmarks.rivals.lmdb import LmdbCounter
from benchmarks.rivals.ours import OurCounter, OurStripedCounter
from benchmarks.rivals.ours_served import ServedCounter
from benchmarks.rivals.standard_library import EmptyCall, IntCall, ManagerCounter, ValueCounter
from benchmarks.rivals.subetha import SubethaCounter
from benchmarks.rivals.ultradict import UltraDictCounter
from benchmarks.workloads.counting import Counting

COUNTERS = [
    OurCounter(),
    OurStripedCounter(),
    ServedCounter(),
    EmptyCall(),
    IntCall(),
    AtomicDictCounter(),
    AtomicshmCounter(),
    SubethaCounter(),
    AtomicsCounter(),
    LmdbCounter(),
    UltraDictCounter(),
    ValueCounter(),
    ManagerCounter(),
]


@group("counter: one process")
@field_of(lambda counter: Counting(counter, workers=1), COUNTERS)
def test_one_process_counts(entrant: Entrant, race: Callable[[Entrant], None]) -> None:
    race(entrant)


@group("counter: two processes contend")
@field_of(lambda counter: Counting(counter, workers=2), [c for c in COUNTERS if c.contended])
def test_two_processes_count(entrant: Entrant, race: Callable[[Entrant], None]) -> None:
    race(entrant)
