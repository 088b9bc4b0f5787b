"""Event loops: the time until a task continues after a process has put its item, and the cost of ten thousand waits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from benchmarks.race import Entrant, field_of, group
from benchmarks.workloads.awaiting import contestants
from benchmarks.workloads.crowding import Crowds, OfKit, OfLoop

Race = Callable[[Entrant], None]
CROWDS = [OfKit(), OfLoop()]


@group("asyncio: wake-up, all asleep")
@pytest.mark.parametrize("entrant", contestants(0.001), ids=lambda each: each.name)
def test_a_sleeping_task_is_woken(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("asyncio: wake-up, the other answers at once")
@pytest.mark.parametrize("entrant", contestants(0), ids=lambda each: each.name)
def test_a_task_gets_an_answer(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("asyncio: 10,000 waits of one loop begin")
@field_of(partial(Crowds, part="begin"), CROWDS)
def test_many_waits_begin(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("asyncio: 10,000 waits of one loop are served")
@field_of(partial(Crowds, part="serve"), CROWDS)
def test_many_waits_are_served(entrant: Entrant, race: Race) -> None:
    race(entrant)
