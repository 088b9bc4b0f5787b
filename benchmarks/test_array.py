"""Arrays: single elements and scatter-adds, by one process and by two at once."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.race import Entrant, field_of, group
from benchmarks.rivals.atomicshm import AtomicshmArray
from benchmarks.rivals.ours import OurArray
from benchmarks.rivals.ours_served import ServedArray
from benchmarks.rivals.standard_library import LockedArray, PrivateArray, SynchronizedArray
from benchmarks.workloads.adding import Adding

ARRAYS = [OurArray(), ServedArray(), PrivateArray(), AtomicshmArray(), LockedArray(), SynchronizedArray()]

Race = Callable[[Entrant], None]


@group("array: fetch_add, one process")
@field_of(lambda array: Adding(array, workers=1, scatter=False), ARRAYS)
def test_one_process_adds_single_elements(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("array: fetch_add, two processes")
@field_of(lambda array: Adding(array, workers=2, scatter=False), ARRAYS)
def test_two_processes_add_single_elements(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("array: add_at of 1000 values, one process")
@field_of(lambda array: Adding(array, workers=1, scatter=True), ARRAYS)
def test_one_process_scatters(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("array: add_at of 1000 values, two processes")
@field_of(lambda array: Adding(array, workers=2, scatter=True), ARRAYS)
def test_two_processes_scatter(entrant: Entrant, race: Race) -> None:
    race(entrant)
