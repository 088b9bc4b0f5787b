"""`--quick`, and the fixture `race` that runs a whole benchmark group lap by lap, in turn.

pytest benchmarks --benchmark-group-by=group --benchmark-json=bench.json [--quick]
python -m benchmarks.report bench.json
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

from benchmarks.race import LAP_CLOCK, Entrant, Pace, Record, run_race

FULL = Pace(laps=21, seconds=0.08)
QUICK = Pace(laps=5, seconds=0.05)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few short laps: under two minutes, noisier")


@pytest.fixture(scope="session")
def pace(request: pytest.FixtureRequest) -> Pace:
    """How many laps each entrant runs, and how long they are."""
    return QUICK if request.config.getoption("--quick") else FULL


@pytest.fixture(scope="session")
def records() -> dict[int, Record]:
    """What became of every entrant so far."""
    return {}


@pytest.fixture
def race(
    request: pytest.FixtureRequest, benchmark: Any, pace: Pace, records: dict[int, Record]
) -> Callable[[Entrant], None]:
    """Hand this test's entrant's laps to pytest-benchmark, running the whole group if it has not run."""

    def report(entrant: Entrant) -> None:
        if id(entrant) not in records:
            records.update(run_race(_entrants(request), pace))
        record = records[id(entrant)]
        if record.failure is not None:
            raise record.failure
        laps = iter(record.laps)

        def play() -> None:
            LAP_CLOCK.now += next(laps).per_operation

        benchmark.extra_info.update(record.extra_info())
        benchmark.pedantic(play, rounds=len(record.laps))

    return report


def _entrants(request: pytest.FixtureRequest) -> list[Entrant]:
    """The entrants of the tests of this group that were selected and are not skipped."""
    test = request.node.originalname
    return [
        cast("Entrant", item.callspec.params["entrant"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == test
        and item.path == request.path
        and item.get_closest_marker("skip") is None
    ]
