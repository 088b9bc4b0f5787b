"""Measuring: warm up, find the amount of work that fills a lap, run several laps, check every one."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable

from sharedkit.compare.report import Result, Row
from sharedkit.compare.workload import Course, Lap, Mismatch, Settings, Variant, Workload

__all__ = ["Apart", "Tick", "laps_of", "measure", "measure_row"]

Tick = Callable[[str, int], None]
"""Called before each lap with the variant's label and the lap's number; 0 is the warm-up."""

Apart = Callable[[Workload, Tick], list[Row]]
"""Measures variants of the workload elsewhere. Its rows have another `where`, and names that this run has, too."""

TENFOLD = 10


def laps_of(workload: Workload, apart: int = 0) -> int:
    """How many ticks `measure` will give if `apart` variants are measured elsewhere."""
    return (len(workload.chosen()) + apart) * (1 + workload.settings.repeats)


def measure(workload: Workload, tick: Tick, apart: Apart | None = None) -> Result:
    """Run every variant, one after the other, then those measured elsewhere, and compare their results."""
    result = Result(workload.name, workload.title, workload.unit)
    for variant in workload.chosen():
        row = Row(variant.where, variant.name, variant.family)
        result.rows.append(row)
        if variant.missing:
            row.state, row.reason = "missing", variant.missing
            for lap in range(1 + workload.settings.repeats):
                tick(variant.label, lap)
            continue
        measure_row(workload, variant, row, tick)
    for row in () if apart is None else apart(workload, tick):
        beside = [each for each in result.rows if each.name == row.name and each.where == "threads"]
        result.rows.insert(result.rows.index(beside[0]) + 1 if beside else len(result.rows), row)
    _agree(workload, result)
    return result


def measure_row(workload: Workload, variant: Variant, row: Row, tick: Tick) -> None:
    """Measure one variant and fill its row."""
    done = 0

    def step() -> None:
        nonlocal done
        tick(variant.label, done)
        done += 1

    try:
        with variant.start() as course:
            step()
            row.amount, row.fingerprint = _calibrate(workload, course)
            row.operations = workload.operations(row.amount)
            row.volume = workload.volume(row.amount)
            for _ in range(workload.settings.repeats):
                step()
                lap, fingerprint = _checked(workload, course, row.amount)
                if fingerprint != row.fingerprint:
                    raise Mismatch(f"one lap came to {row.fingerprint[:16]}, another to {fingerprint[:16]}")
                row.seconds.append(lap.seconds)
    except Mismatch as wrong:
        row.state, row.reason = "wrong", str(wrong)
    except Exception as error:
        row.state, row.reason = "failed", _error_text(error)
    while done <= workload.settings.repeats:
        step()


def _checked(workload: Workload, course: Course, amount: int) -> tuple[Lap, str]:
    lap = course(amount)
    return lap, workload.verify(amount, lap)


def _calibrate(workload: Workload, course: Course) -> tuple[int, str]:
    """The amount that fills a lap. It is found by laps of growing size, which also warm everything up."""
    settings: Settings = workload.settings
    amount = workload.smallest
    while True:
        lap, fingerprint = _checked(workload, course, amount)
        wanted = amount * settings.seconds / max(lap.seconds, 1e-9)
        if lap.seconds >= settings.seconds / 4 or amount >= workload.largest:
            return max(workload.smallest, min(math.ceil(wanted), workload.largest)), fingerprint
        amount = min(math.ceil(wanted), amount * TENFOLD, workload.largest)


def _agree(workload: Workload, result: Result) -> None:
    """Mark the rows whose fingerprint differs from the first one."""
    measured = [row for row in result.rows if row.state == "ok"]
    if not measured:
        return
    reference = measured[0]
    for row in measured[1:]:
        if row.fingerprint != reference.fingerprint:
            row.state = "wrong"
            row.reason = f"came to {row.fingerprint[:16]}, {reference.label} to {reference.fingerprint[:16]}"
    if not result.bad:
        result.agreement = workload.agreement(reference.fingerprint)


def _error_text(error: Exception) -> str:
    """The text of the error, or its class and place if it has no text."""
    if text := str(error).strip():
        return f"{type(error).__name__}: {text}"
    return "".join(traceback.format_exception_only(error)).strip()
