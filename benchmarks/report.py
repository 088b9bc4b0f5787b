"""Read a `--benchmark-json` file and print the design's table: theirs, ours, the ratio, the target, and if it is met.

    python -m benchmarks.report bench.json [--json FILE] [--strict]

The ratio is the median of the lap-by-lap ratios: lap k of ours over lap k of theirs, which ran moments apart.
`best laps` compares the fastest lap of each: the result of a machine without other load.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `benchmarks` is no installed package

from benchmarks.rows import BEST_RIVAL, ROWS, Row


@dataclass(frozen=True)
class Entry:
    """One entrant of one group: nanoseconds an operation, lap by lap; under contention also the smallest share."""

    name: str
    kind: str
    laps: list[float]
    share: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.laps)


@dataclass(frozen=True)
class Result:
    """A row and its measurements: `theirs`, `ours` in nanoseconds an operation; None: not measured."""

    what: str
    rival: str
    theirs: float | None
    ours: float | None
    ratio: float | None
    best_laps: float | None
    target: str
    met: bool | None


def groups(benchmarks: Iterable[dict[str, Any]]) -> dict[str, dict[str, Entry]]:
    """The entries of a file's benchmarks: group, then name."""
    found: dict[str, dict[str, Entry]] = {}
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        name = info.get("name", benchmark["name"])
        laps = info.get("laps_ns") or [benchmark["stats"]["median"] * 1e9]
        found.setdefault(benchmark["group"], {})[name] = Entry(
            name, info.get("kind", ""), laps, info.get("smallest_share")
        )
    return found


def judge(row: Row, group: dict[str, Entry]) -> Result:
    """Compare a row with the measurements of its group."""
    target = f"<= {row.times:g}x" if row.at_most else f"{row.times:g}x"
    ours = group.get(row.ours)
    theirs = _rival(row, group)
    if ours is None or theirs is None:
        name = theirs.name if theirs else row.beside
        return Result(row.what, name, None, None, None, None, target, None)
    mine, other = (theirs, ours) if row.at_most else (ours, theirs)
    if len(mine.laps) == len(other.laps):
        ratio = statistics.median(b / a for a, b in zip(mine.laps, other.laps, strict=True))
    else:
        ratio = other.median / mine.median
    best = min(other.laps) / min(mine.laps)
    met = ratio <= row.times if row.at_most else ratio >= row.times
    return Result(row.what, theirs.name, theirs.median, ours.median, ratio, best, target, met)


def _rival(row: Row, group: dict[str, Entry]) -> Entry | None:
    if row.beside != BEST_RIVAL:
        return group.get(row.beside)
    rivals = [entry for entry in group.values() if entry.kind == "rival"]
    return min(rivals, key=lambda entry: entry.median, default=None)


def shown(nanoseconds: float | None, unit: str | None) -> str:
    """A number for readers: a rate if the row has a unit, otherwise a time."""
    if nanoseconds is None:
        return "-"
    if unit is None:
        return f"{nanoseconds:.1f} ns" if nanoseconds < 1000 else f"{nanoseconds / 1000:.2f} µs"
    rate = 1e9 / nanoseconds
    for step, letter in ((1e6, "M"), (1e3, "k")):
        if rate >= step:
            return f"{rate / step:.2f} {letter} {unit}/s"
    return f"{rate:.0f} {unit}/s"


def heading(run: dict[str, Any]) -> str:
    """Where and when the run was measured, on which commit, and how busy the machine was."""
    machine, commit = run["machine_info"], run["commit_info"]
    cpu = machine["cpu"]
    loads = [info["load"] for b in run["benchmarks"] if "load" in (info := b["extra_info"])]
    changed = " with uncommitted changes" if commit.get("dirty") else ""
    return (
        f"{cpu.get('brand_raw', machine['machine'])}, {cpu.get('count', '?')} cores, {machine['system']}"
        f" {machine['release']}, {machine['python_implementation']} {machine['python_version']};"
        f" commit {str(commit.get('id'))[:12]}{changed}; {run['datetime'][:16]} UTC;"
        f" load average at most {max(loads, default=0):.1f}"
    )


def table(rows: list[Row], results: list[Result]) -> str:
    """The rows as a Markdown table."""
    lines = [["what", "beside", "theirs", "ours", "ratio", "best laps", "at least", "met"]]
    for row, result in zip(rows, results, strict=True):
        beside = f"{row.beside}: {result.rival}" if row.beside == BEST_RIVAL else result.rival
        lines.append(
            [
                row.what,
                beside,
                shown(result.theirs, row.unit),
                shown(result.ours, row.unit),
                "-" if result.ratio is None else f"{result.ratio:.2f}x",
                "-" if result.best_laps is None else f"{result.best_laps:.2f}x",
                result.target,
                {True: "yes", False: "NO", None: "not measured"}[result.met],
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def shares(found: dict[str, dict[str, Entry]]) -> list[str]:
    """For each race under contention: the smallest share of one process, a line for each entrant."""
    return [
        f"{group}: smallest share with {entry.name}: {entry.share:.1%}"
        for group, entries in found.items()
        for entry in entries.values()
        if entry.share is not None
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; with --strict, return 1 if a row is missed or was not measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="the file that --benchmark-json wrote")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every row is met")
    options = parser.parse_args(arguments)
    run = json.loads(options.run.read_text())
    found = groups(run["benchmarks"])
    results = [judge(row, found.get(row.group, {})) for row in ROWS]
    print(heading(run), "", table(ROWS, results), "", *shares(found), sep="\n")
    if options.json:
        options.json.write_text(json.dumps({"heading": heading(run), "rows": [*map(asdict, results)]}, indent=1))
    return 1 if options.strict and not all(result.met for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
