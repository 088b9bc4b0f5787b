"""Executors: the number of empty calls per second, and the time of one call there and back."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.race import Entrant, field_of, group
from benchmarks.workloads.submitting import Asking, Submitting, contestants

Race = Callable[[Entrant], None]


@group("executor: empty calls by submit")
@field_of(Submitting, contestants())
def test_empty_calls(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("executor: one empty call, there and back")
@field_of(Asking, contestants())
def test_one_call_at_a_time(entrant: Entrant, race: Race) -> None:
    race(entrant)
