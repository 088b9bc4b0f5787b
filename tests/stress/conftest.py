"""The tables of the sweeps and soaks, printed at the end of the run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

# Arenas and test modules use this path to import their helpers.
sys.path.append(str(Path(__file__).parents[1]))

_tables: dict[str, str] = {}


@pytest.fixture(scope="session")
def tables() -> dict[str, str]:
    """Titles and texts of the tables that the run prints in its summary."""
    return _tables


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist gives its tables to the process that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tables"] = _tables


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _tables.update(getattr(node, "workeroutput", {}).get("tables", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for title, text in _tables.items():
        terminalreporter.section(title)
        terminalreporter.write_line(text)
