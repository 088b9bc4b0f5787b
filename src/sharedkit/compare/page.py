"""The report as one self-contained HTML page: the chart and every number behind it."""

from __future__ import annotations

from html import escape

from sharedkit.compare.numbers import counted, duration, quantity, ratio
from sharedkit.compare.report import Report, Result, Row

__all__ = ["page"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1f2933; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e8eb; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
.sharedkit { color: #0b6e70; font-weight: 600; } .missing { color: #7b8794; } .wrong, .failed { color: #c0392b; }
p.meta { color: #5b6670; }
"""
HEAD = ("workers", "with", "", "each", "bytes/s", "spread", "speed-up")


def page(report: Report, image: str) -> str:
    """The page; `image` is the chart as SVG text."""
    machine, settings = report.machine, report.settings
    drawing = image[image.index("<svg") :]
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items() if name != "python")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>sharedkit compare</title><style>{STYLE}</style></head><body>",
            "<h1>sharedkit compare</h1>",
            f'<p class="meta">{escape(report.date)} · {escape(report.versions["python"])}, {escape(versions)}<br>',
            f"{escape(machine.processor)}, {counted(machine.cores, 'core')} · {escape(machine.system)}, "
            f"load {machine.load:g}<br>",
            f"{counted(settings.workers, 'worker')}, processes by {escape(settings.start_method)}; "
            f"median of {settings.repeats} laps after a warm-up</p>",
            drawing,
            *[_table(result) for result in report.results],
            "</body></html>",
        ]
    )


def _table(result: Result) -> str:
    head = [name or f"{result.unit}/s" for name in HEAD]
    lines = [
        f"<h2>{escape(result.name)}: {escape(result.title)}</h2>",
        "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>",
        *[_row(result, row) for row in result.rows],
        "</table>",
    ]
    if result.agreement:
        lines.append(f'<p class="meta">{escape(result.agreement)}</p>')
    return "\n".join(lines)


def _row(result: Result, row: Row) -> str:
    kind = row.family if row.state == "ok" else row.state
    names = f'<td>{escape(row.where)}</td><td class="{kind}">{escape(row.name)}</td>'
    if row.state != "ok":
        return f'<tr>{names}<td class="{kind}" colspan="5">{escape(row.state)}: {escape(row.reason)}</td></tr>'
    gain, rate = result.speedup(row), row.bytes_per_second
    numbers = (
        quantity(row.per_second),
        duration(row.nanoseconds),
        "" if rate is None else quantity(rate, "B"),
        f"{100 * row.spread:.0f} %",
        "" if gain is None else ratio(gain),
    )
    return f"<tr>{names}" + "".join(f"<td>{text}</td>" for text in numbers) + "</tr>"
