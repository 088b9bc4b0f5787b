"""Deaths at the machine instructions of each operation: no one is stuck, nothing is lost, duplicated, torn or left."""

from __future__ import annotations

import json
import platform
from typing import Any

import pytest
from stress.arena import NAMES, commits_once
from stress.sweep import Row, sweep, sweep_all

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the stepper knows x86-64 only")

SAMPLE = 400  # a death at every 400th instruction, and around each effect that other processes can see
SLOW = {
    "Dict set growing", "create by class", "put after a death growing", "put after a death grown",
    "Dict set after a death in set", "Dict set after a death cleared", "Dict len after a death set",
    "Lock.acquire, waiting", "Lock.acquire, from the dead", "RLock.acquire, from the dead",
    "Event.wait", "Semaphore.acquire, waiting", "Barrier.wait",
    "Condition.wait, passing on", "RWLock.acquire_write, from the dead",
}  # fmt: skip


@pytest.fixture(scope="module")
def complete(sweeps: Any) -> dict[str, Row]:
    rows = sweep_all(NAMES)
    sweeps("deaths at every machine instruction", *rows)
    return {row.operation: row for row in rows}


def check(row: Row) -> None:
    assert row.deaths > 0
    assert not row.faults, "\n".join(json.dumps(fault).replace("\\n", "\n") for fault in row.faults[:10])
    if commits_once(row.operation):
        # Waits may end earlier or later, and sweeps find more or less; but these operations always take the same way.
        assert row.strayed <= 2 + row.deaths // 100, "too many victims went another way than the traced one"
        assert row.flips == 1, "what has happened must change once, from nothing to all of it"


@pytest.mark.parametrize("operation", [name for name in NAMES if name not in SLOW])
def test_survivors_go_on_after_a_death_at_sampled_instructions(operation: str, sweeps: Any) -> None:
    row = sweep(operation, SAMPLE)
    sweeps("deaths at sampled machine instructions", row)
    check(row)


@pytest.mark.stress
@pytest.mark.parametrize("operation", NAMES)
def test_survivors_go_on_after_a_death_at_every_instruction(operation: str, complete: dict[str, Row]) -> None:
    row = complete[operation]
    check(row)
    assert row.deaths >= row.instructions
