"""`--quick`, the fixture `race` that runs a whole benchmark group lap by lap, and the table at the end.

`pytest benchmarks [--quick] [-k queue] [--benchmark-json=bench.json]`, `python -m benchmarks.report bench.json`
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

from benchmarks.race import LAP_CLOCK, Entrant, Pace, Record, run_race
from benchmarks.report import Entry, judge, shares, table
from benchmarks.rows import ROWS

# Many short laps instead of a few long ones: if another program takes a core now and then, some laps are undisturbed.
FULL = Pace(laps=31, seconds=0.05)
QUICK = Pace(laps=7, seconds=0.025)

COLUMNS = ["min", "median", "iqr", "ops", "rounds"]
ENTRIES: pytest.StashKey[dict[str, dict[str, Entry]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few short laps: under two minutes, noisier")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Show tables by group, with the columns that are meaningful for laps, unless the command line chooses others."""
    given = " ".join(map(str, config.invocation_params.args))
    if "--benchmark-group-by" not in given:
        config.option.benchmark_group_by = "group"
    if "--benchmark-columns" not in given:
        config.option.benchmark_columns = COLUMNS
    config.stash[ENTRIES] = {}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the rows of the design's table for which something was measured."""
    entries = config.stash[ENTRIES]
    rows = [row for row in ROWS if row.group in entries]
    if rows:
        terminalreporter.section("the numbers to reach")
        terminalreporter.write_line(table(rows, [judge(row, entries[row.group]) for row in rows]))
    for line in shares(entries):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def pace(request: pytest.FixtureRequest) -> Pace:
    """How many laps each entrant runs, and how long they are."""
    return QUICK if request.config.getoption("--quick") else FULL


@pytest.fixture(scope="session")
def records() -> dict[int, Record]:
    """The record of every entrant so far."""
    return {}


@pytest.fixture
def race(
    request: pytest.FixtureRequest, benchmark: Any, pace: Pace, records: dict[int, Record]
) -> Callable[[Entrant], None]:
    """Pass the laps of this test's entrant to pytest-benchmark; run the whole group if it has not run yet."""

    def report(entrant: Entrant) -> None:
        if id(entrant) not in records:
            records.update(run_race(_entrants(request, benchmark.group), pace))
        record = records[id(entrant)]
        if record.failure is not None:
            raise record.failure
        info = record.extra_info()
        entry = Entry(entrant.name, entrant.kind, info["laps_ns"], info.get("smallest_share"))
        request.config.stash[ENTRIES].setdefault(benchmark.group, {})[entrant.name] = entry
        benchmark.extra_info.update(info)
        laps = iter(record.laps)

        def play() -> None:
            LAP_CLOCK.now += next(laps).per_operation

        benchmark.pedantic(play, rounds=len(record.laps))

    return report


def _entrants(request: pytest.FixtureRequest, title: str) -> list[Entrant]:
    """The entrants of the tests of this group that were selected and are not skipped."""
    return [
        cast("Entrant", item.callspec.params["entrant"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and (mark := item.get_closest_marker("benchmark")) is not None
        and mark.kwargs["group"] == title
        and item.get_closest_marker("skip") is None
    ]
