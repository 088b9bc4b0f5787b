"""The chart: a panel for each workload, a bar for each variant. A bar points right if the variant is faster than the
first one, left if it is slower."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sharedkit.compare.numbers import TIMES, counted, quantity, ratio
from sharedkit.compare.page import page
from sharedkit.compare.report import Report, Result, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

COLOURS = {"stdlib": "#9aa5b1", "sharedkit": "#0f8b8d"}
BAD = "#c0392b"
ROW_INCHES = 0.27
FRAME_INCHES = 1.0


def draw(report: Report, path: Path) -> None:
    """Write the chart; the suffix chooses the format, and .html holds the tables as well."""
    matplotlib.rcParams["svg.fonttype"] = "none"
    figure = _figure(report)
    if path.suffix == ".html":
        image = io.StringIO()
        figure.savefig(image, format="svg")
        path.write_text(page(report, image.getvalue()), encoding="utf-8")
    else:
        figure.savefig(path, format=path.suffix[1:], dpi=144, metadata={"Date": None} if path.suffix == ".svg" else {})


def _figure(report: Report) -> Figure:
    heights = [FRAME_INCHES + ROW_INCHES * len(result.rows) for result in report.results]
    figure = Figure(figsize=(10, sum(heights) + 0.7), layout=ConstrainedLayoutEngine(h_pad=0.08), facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for panel, result in zip(panels, report.results, strict=True):
        _panel(panel, result)
    machine = report.machine
    figure.suptitle(
        f"{report.versions['python']}, sharedkit {report.versions['sharedkit']}, {machine.processor}, "
        f"{counted(machine.cores, 'core')}, {counted(report.settings.workers, 'worker')}, {report.date}",
        fontsize=8,
        color="#5b6670",
    )
    return figure


def _panel(panel: Axes, result: Result) -> None:
    measured = [row for row in result.rows if row.state == "ok"]
    gains = [result.speedup(row) or 1.0 for row in measured]
    low, high = min([*gains, 1.0]), max([*gains, 1.0])
    for place, row in enumerate(result.rows):
        gain = result.speedup(row)
        if gain is None:
            panel.text(1.0, place, f"  {_absence(row)}", va="center", fontsize=8, color=_colour(row))
            continue
        panel.barh(place, gain - 1.0, left=1.0, height=0.68, color=_colour(row))
        text = f" {ratio(gain)}   {quantity(row.per_second)} {result.unit}/s"
        panel.text(max(gain, 1.0), place, text, va="center", fontsize=8)
    panel.set_xscale("log")
    panel.set_xlim(low / 1.3, max(high, 2.0) ** 1.45 * (low**-0.25))
    panel.set_ylim(len(result.rows) - 0.4, -0.6)
    panel.set_yticks(range(len(result.rows)), [row.label for row in result.rows], fontsize=8)
    for label, row in zip(panel.get_yticklabels(), result.rows, strict=True):
        if row.family == "sharedkit":
            label.set_color(COLOURS["sharedkit"])
    panel.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 50 else (1,), numticks=12))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda gain, _: f"{gain:g}{TIMES}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="x", labelsize=8)
    panel.tick_params(axis="y", length=0)
    panel.axvline(1.0, color="#5b6670", linewidth=0.8)
    panel.grid(axis="x", color="#e4e8eb", linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.set_title(f"{result.name}: {result.title}", loc="left", fontsize=9, fontweight="bold")


def _colour(row: Row) -> str:
    if row.state in ("wrong", "failed"):
        return BAD
    return "#9aa5b1" if row.state == "missing" else COLOURS[row.family]


def _absence(row: Row) -> str:
    return "not measured" if row.state == "missing" else f"{row.state}, no figure"
