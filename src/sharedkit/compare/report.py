"""The numbers of a run, as plain data: the tables, the chart and the JSON file are made from them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from sharedkit.compare.machine import Machine
from sharedkit.compare.workload import Family, Settings

__all__ = ["SUFFIXES", "Report", "Result", "Row", "State"]

SUFFIXES = (".svg", ".png", ".html")  # of the files in which the chart can be drawn

State = Literal["ok", "wrong", "failed", "missing"]
"""`ok`: measured and right; `wrong`: did not do the work; `failed`: raised or hung; `missing`: cannot run here."""


@dataclass(slots=True)
class Row:
    """One variant. `seconds` are the laps; a lap did `operations` and moved `volume` bytes (None: meaningless)."""

    where: str
    name: str
    family: Family
    state: State = "ok"
    reason: str = ""
    amount: int = 0
    operations: int = 0
    volume: int | None = None
    seconds: list[float] = field(default_factory=list)
    fingerprint: str = ""

    @property
    def label(self) -> str:
        """The workers and the name, as messages show them."""
        return f"{self.where} · {self.name}"

    @property
    def median(self) -> float:
        """Seconds of the median lap."""
        return median(self.seconds)

    @property
    def per_second(self) -> float:
        """Operations a second in the median lap."""
        return self.operations / self.median

    @property
    def nanoseconds(self) -> float:
        """Wall time of one operation in the median lap, all workers together."""
        return 1e9 * self.median / self.operations

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes a second in the median lap."""
        return None if self.volume is None else self.volume / self.median

    @property
    def spread(self) -> float:
        """(slowest lap - fastest lap) / median lap: how far to trust the row."""
        return (max(self.seconds) - min(self.seconds)) / self.median


@dataclass(slots=True)
class Result:
    """One workload: its rows in the order in which they ran, and the statement that their equal fingerprints prove."""

    name: str
    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    agreement: str = ""

    def speedup(self, row: Row) -> float | None:
        """The speed-up against the first row; None if one of the two has no reliable numbers."""
        first = self.rows[0]
        if first.state != "ok" or row.state != "ok":
            return None
        return row.per_second / first.per_second

    @property
    def bad(self) -> list[Row]:
        """The rows that did not do the work."""
        return [row for row in self.rows if row.state in ("wrong", "failed")]


@dataclass(slots=True)
class Report:
    """A run: its time, machine, settings and results."""

    date: str
    machine: Machine
    versions: dict[str, str]
    settings: Settings
    results: list[Result] = field(default_factory=list)

    @property
    def bad(self) -> list[str]:
        """Labels of all rows that did not do the work."""
        return [f"{result.name}: {row.label}" for result in self.results for row in result.bad]

    def as_dict(self) -> dict[str, Any]:
        """The whole report, in a form for JSON."""
        return {
            "date": self.date,
            "machine": asdict(self.machine),
            "versions": self.versions,
            "settings": asdict(self.settings),
            "workloads": [
                {
                    "name": result.name,
                    "title": result.title,
                    "unit": result.unit,
                    "agreement": result.agreement,
                    "rows": [_row(result, row) for row in result.rows],
                }
                for result in self.results
            ],
        }

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        path.write_text(json.dumps(self.as_dict(), indent=2, default=str) + "\n", encoding="utf-8")


def _row(result: Result, row: Row) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    if row.state == "ok":
        numbers = {
            "median_seconds": row.median,
            "per_second": row.per_second,
            "nanoseconds": row.nanoseconds,
            "bytes_per_second": row.bytes_per_second,
            "spread": row.spread,
            "speedup": result.speedup(row),
        }
    return asdict(row) | numbers
