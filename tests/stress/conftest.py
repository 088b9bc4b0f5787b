"""The tables of the sweeps and soaks, printed at the end of the run."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

# Arenas and test modules use this path to import their helpers.
sys.path.append(str(Path(__file__).parents[1]))

from stress.soak import books_table
from stress.sweep import Row, table

# Rows by the title of their table, as plain values: a worker of pytest-xdist gives them to the process that prints.
_sweeps: dict[str, list[dict[str, Any]]] = {}
_soaks: dict[str, list[dict[str, Any]]] = {}


@pytest.fixture(scope="session")
def sweeps() -> Any:
    """Adds rows of sweeps to the table of that title."""
    return lambda title, *rows: _sweeps.setdefault(title, []).extend(map(asdict, rows))


@pytest.fixture(scope="session")
def soaks() -> Any:
    """Adds rows of soaks to the table of that title."""
    return lambda title, *rows: _soaks.setdefault(title, []).extend(rows)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"sweeps": _sweeps, "soaks": _soaks}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})
    for tables, come in ((_sweeps, output.get("sweeps", {})), (_soaks, output.get("soaks", {}))):
        for title, rows in come.items():
            tables.setdefault(title, []).extend(rows)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    texts = {title: table([Row(**row) for row in rows]) for title, rows in _sweeps.items()}
    texts |= {title: books_table(rows) for title, rows in _soaks.items()}
    for title, text in texts.items():
        terminalreporter.section(title)
        terminalreporter.write_line(text)
