"""Clients of a server are killed at random moments: the other clients go on, and the counts are right."""

from __future__ import annotations

from typing import Any

import pytest
from stress.kills_queue import MODES
from stress.kills_words import SUBJECTS
from stress.primitives import PRIMITIVES
from stress.soak import soak

SEED = 20261123
USES = [
    *(("kills_sync.py", primitive) for primitive in PRIMITIVES),
    *(("kills_queue.py", mode) for mode, uses in MODES.items() if not uses.leases),
    *(("kills_words.py", subject) for subject in SUBJECTS),
    ("kills_dict.py", "Dict"),
]


def survives(script: str, use: str, kills: int, soaks: Any) -> None:
    books = soak(script, use, kills, SEED, limit=60 + kills, place="manager")
    soaks(f"random kills of clients of a server, {script}", books)
    assert books["kills"] == kills
    assert books["clean"], books


@pytest.mark.parametrize(("script", "use"), list({script: (script, use) for script, use in USES}.values()))
def test_a_server_outlives_some_of_its_clients(script: str, use: str, soaks: Any) -> None:
    survives(script, use, 5, soaks)


@pytest.mark.stress
@pytest.mark.parametrize(("script", "use"), USES)
def test_a_server_outlives_many_of_its_clients(script: str, use: str, soaks: Any) -> None:
    survives(script, use, 500, soaks)
