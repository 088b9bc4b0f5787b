"""The table of `sharedkit ls`: the columns for which a terminal has room. Names and states go on in the next line."""

from __future__ import annotations

from datetime import UTC, datetime

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from sharedkit.commands.text import shown
from sharedkit.compare.numbers import quantity
from sharedkit.segments import SegmentInfo

__all__ = ["table_of"]

GAP = 3  # blanks between two columns
LEAST_NAME, LEAST_STATE = 12, 16  # characters of a line of it, even where that leaves no room for other columns
MOST_PIDS = 12  # characters of a line, unless there is more room than the other columns need

SHOWN = ("name", "kind", "size", "attached", "state", "since")
# Those that matter most come first: where there is no room for all, the last ones are left out.
OPTIONAL = ("kind", "attached", "size", "since")
GROWING = ("state", "name", "attached")


def _cells(segment: SegmentInfo) -> dict[str, str]:
    made = datetime.fromtimestamp(segment.created, UTC).strftime("%m-%d %H:%M") if segment.created else ""
    return {
        "name": shown(segment.name),
        "kind": segment.kind,
        "size": quantity(segment.size, "B"),
        "attached": " ".join(map(str, segment.attached)) or "nobody",
        "state": f"{segment.state}, persists" if segment.persist else segment.state,
        "since": made,
    }


def table_of(found: list[SegmentInfo], width: int) -> Table:
    """A table of at most `width` characters a line. Where no column has room beside names and states, the state begins
    with the kind."""
    rows = [_cells(segment) for segment in found]
    needed = {name: max(cell_len(text) for text in (name, *(row[name] for row in rows))) for name in SHOWN}
    given = dict(needed)
    given["name"] = min(needed["name"], max(LEAST_NAME, width // 4), max(width // 3, 1))
    given["state"] = min(needed["state"], max(LEAST_STATE, width // 3), max(width - given["name"] - GAP, 1))
    given["attached"] = min(needed["attached"], MOST_PIDS)
    room = width - given["name"] - given["state"] - GAP
    chosen = {"name", "state"}
    for name in OPTIONAL:
        if given[name] + GAP > room:
            break
        chosen.add(name)
        room -= given[name] + GAP
    if "kind" not in chosen:
        for row in rows:
            row["state"] = f"{row['kind']}: {row['state']}"
        needed["state"] = max(cell_len(row["state"]) for row in rows)
    for name in GROWING:
        if name in chosen:
            more = max(min(needed[name] - given[name], room), 0)
            given[name] += more
            room -= more
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", padding=(0, 1))
    for name in SHOWN:
        if name in chosen:
            table.add_column(
                name,
                justify="right" if name == "size" else "left",
                width=given[name],
                overflow="fold",
                no_wrap=name in ("kind", "size", "since"),
            )
    styles = {"name": "bold", "attached": ""}
    for row, segment in zip(rows, found, strict=True):
        styles["attached"] = "" if segment.attached else "yellow"
        table.add_row(*(Text(row[name], style=styles.get(name, "")) for name in SHOWN if name in chosen))
    return table
