"""The report on a terminal: a heading, and a table for each workload that fits into 80 columns and uses up to 120."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sharedkit.compare.numbers import counted, duration, quantity, ratio
from sharedkit.compare.report import Report, Result, Row

__all__ = ["print_heading", "print_result", "short_reason"]

WIDE = 118
BAR = 14
EIGHTHS = " ▏▎▍▌▋▊▉"
OURS = "bold cyan"


def print_heading(console: Console, report: Report) -> None:
    """The machine, the versions, the method of measuring, and a warning if the machine is busy with something else."""
    machine, settings = report.machine, report.settings
    found = [f"{name} {number}" for name, number in report.versions.items() if name != "python"]
    console.print(Text(" · ".join([report.versions["python"], *found, report.date]), style="bold"))
    cores = counted(machine.cores, "core")
    console.print(f"{machine.processor} · {cores} · {machine.memory / 2**30:.0f} GiB · {machine.system}")
    workers = counted(settings.workers, "worker")
    console.print(
        f"{workers}, all ready before the clock starts; processes by {settings.start_method}; "
        f"median of {settings.repeats} after a warm-up",
        style="dim",
    )
    if machine.load > 0.5 * machine.cores:
        console.print(
            f"The machine is busy (load {machine.load:g} on {cores}): expect lower figures that spread further.",
            style="yellow",
        )


def print_result(console: Console, result: Result) -> None:
    """One workload: title, rows, the variants that could not be measured and why, and whether all results agree."""
    console.print()
    console.print(Text.assemble((result.name, "bold"), f" · {result.title} · {result.unit} a second"))
    console.print(_table(result, console.width >= WIDE))
    notes = [(row, _note(row)) for row in result.rows if row.state != "ok"]
    for row, note in notes:
        style = "dim" if row.state == "missing" else "bold red"
        console.print(Padding(Text(f"{row.label}: {note}", style=style), (0, 0, 0, 1)))
    if result.bad:
        names = ", ".join(row.label for row in result.bad)
        console.print(Padding(Text(f"not to be trusted: {names}", style="bold red"), (0, 0, 0, 1)))
    elif result.agreement:
        console.print(Padding(Text(f"✓ {result.agreement}", style="green"), (0, 0, 0, 1)))


def short_reason(row: Row) -> str:
    """The last line of the reason, because a traceback has the error there."""
    lines = row.reason.strip().splitlines()
    return lines[-1] if lines else ""


def _note(row: Row) -> str:
    said = short_reason(row)
    return {"missing": f"not measured: {said}", "wrong": f"wrong: {said}", "failed": f"failed: {said}"}[row.state]


def _table(result: Result, wide: bool) -> Table:
    measured = [row for row in result.rows if row.state == "ok"]
    volume = any(row.volume is not None for row in measured)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=True, header_style="dim")
    table.add_column("workers")
    table.add_column("with", overflow="fold", min_width=32)
    table.add_column("per s", justify="right", no_wrap=True)
    if wide or not volume:
        table.add_column("each", justify="right", no_wrap=True)
    if volume:
        table.add_column("bytes/s", justify="right", no_wrap=True)
    if wide:
        table.add_column("spread", justify="right", no_wrap=True)
    table.add_column("speed-up", justify="right", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True, min_width=BAR)
    fastest = max((row.per_second for row in measured), default=0.0)
    for row in result.rows:
        style = OURS if row.family == "sharedkit" else ""
        cells = [Text(row.where), Text(row.name, style=style)]
        if row.state == "ok":
            cells += _numbers(result, row, volume, wide, fastest)
        else:
            mark = Text("-", style="dim") if row.state == "missing" else Text(row.state, style="bold red")
            cells += [Text("")] * (len(table.columns) - len(cells) - 1 - wide) + [mark]
        table.add_row(*cells, style="dim" if row.state == "missing" else "")
    return table


def _numbers(result: Result, row: Row, volume: bool, wide: bool, fastest: float) -> list[Text]:
    cells = [Text(quantity(row.per_second))]
    if wide or not volume:
        cells.append(Text(duration(row.nanoseconds)))
    if volume:
        rate = row.bytes_per_second
        cells.append(Text("" if rate is None else quantity(rate, "B")))
    if wide:
        cells.append(Text(f"{100 * row.spread:.0f} %", style="dim"))
    gain = result.speedup(row)
    best = "bold green" if row.per_second == fastest else ""
    cells.append(Text("" if gain is None else ratio(gain), style=best))
    if wide:
        cells.append(Text(_bar(row.per_second / fastest), style="cyan" if row.family == "sharedkit" else "dim"))
    return cells


def _bar(share: float) -> str:
    eighths = max(1, round(share * BAR * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
