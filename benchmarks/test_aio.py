"""Event loops: how soon a task goes on when a process has put what it waits for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.race import Entrant, group
from benchmarks.workloads.awaiting import contestants

Race = Callable[[Entrant], None]


@group("asyncio: wake-up, all asleep")
@pytest.mark.parametrize("entrant", contestants(0.001), ids=lambda each: each.name)
def test_a_sleeping_task_is_woken(entrant: Entrant, race: Race) -> None:
    race(entrant)


@group("asyncio: wake-up, the other answers at once")
@pytest.mark.parametrize("entrant", contestants(0), ids=lambda each: each.name)
def test_a_task_gets_an_answer(entrant: Entrant, race: Race) -> None:
    race(entrant)
