"""The rows of `sharedkit top`, and a table of those columns for which a terminal has room."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from sharedkit._core.processes import how_it_went
from sharedkit.commands.text import ago, shown
from sharedkit.compare.numbers import quantity
from sharedkit.shm.inspection import Holder, Inspection

__all__ = ["HEADS", "Row", "table_of"]

HEADS = 2  # lines above the first row
GAP = 2  # blanks between two columns
LEAST_NAME = 12  # characters of a name, even where that leaves no room for other columns
LEAST_KIND = 10  # characters
LEAST_HOLDERS, MOST_HOLDERS = 14, 40  # characters


@dataclass(frozen=True, slots=True)
class Row:
    """One structure. `rates`: puts and gets a second, None without two looks or for other kinds; `uncounted`: further
    threads may wait. None stands for what is not known of a segment that cannot be looked at."""

    name: str
    kind: str
    size: int | None
    users: tuple[int, ...] | None
    length: int | None
    rates: tuple[float, float] | None
    waiting: int | None
    uncounted: bool
    held_by: str

    @classmethod
    def of(cls, each: Inspection, rates: tuple[float, float] | None) -> Self:
        """The row of a structure."""
        return cls(
            name=each.name,
            kind=each.kind,
            size=each.size,
            users=each.users,
            length=each.length,
            rates=rates,
            waiting=sum(sum(wait.waiters.values()) for wait in each.waits),
            uncounted=any(wait.uncounted for wait in each.waits),
            held_by="orphan" if each.orphan else _held_by(each),
        )

    @classmethod
    def of_trouble(cls, name: str, size: int | None, why: str) -> Self:
        """The row of a segment that cannot be looked at: the reason stands where the holders stand."""
        return cls(name, "?", size, None, None, None, None, False, why)

    @property
    def rate(self) -> float:
        """Puts and gets a second, together."""
        return sum(self.rates or ())

    @property
    def waiting_text(self) -> str:
        """How many threads wait; "?" stands for others that nobody counts, a dash for none; empty if unknown."""
        if self.waiting is None:
            return ""
        if self.uncounted:
            return f"{self.waiting}+?" if self.waiting else "?"
        return str(self.waiting or "-")

    @property
    def plain(self) -> tuple[str, ...]:
        """The cells of its line for scripts, with exact numbers; a cell is empty where nothing is known."""
        length = "" if self.length is None else str(self.length)
        puts, gets = ("", "") if self.rates is None else (f"{rate:.1f}" for rate in self.rates)
        size = "" if self.size is None else str(self.size)
        users = ",".join(map(str, self.users or ()))
        waiting = self.waiting_text.replace("-", "0")
        return self.name, self.kind, size, users, length, puts, gets, waiting, self.held_by


def _held_by(each: Inspection) -> str:
    holders = dict.fromkeys(holder for wait in each.waits if not wait.brief for holder in wait.holders)
    return ", ".join(_holder_text(holder) for holder in holders)


def _holder_text(holder: Holder) -> str:
    if holder.process is not None:
        text = f"pid {holder.process.pid}"
    elif holder.gone is not None:
        text = f"pid {holder.gone.pid} ({how_it_went(*holder.gone)})"
    else:
        text = "a dead process"
    if holder.how != "holds":
        text += f" {holder.how}"
    if holder.times > 1:
        text += f" {holder.times} times"
    return text if holder.since is None else f"{text} for {ago(time.time() - holder.since)}"


# --- columns ------------------------------------------------------------------------------------------------

# Those that matter most come first here: where there is no room for one, it is left out, and all that follow.
# A column that is empty in every row comes after all others.
COLUMNS = ("kind", "held by", "waiting", "length", "puts/s", "gets/s", "size", "users")
GROWING = ("kind", "held by", "name")  # those that may be shortened, in the order in which they get what is left
SHOWN = ("name", "kind", "size", "users", "length", "puts/s", "gets/s", "waiting", "held by")
LEFT = ("name", "kind", "held by")
OF_ORDER = {"name": ("name",), "size": ("size",), "rate": ("puts/s", "gets/s"), "waiting": ("waiting",)}


def _cells(row: Row) -> dict[str, str]:
    puts, gets = ("", "") if row.rates is None else (quantity(rate) for rate in row.rates)
    return {
        "name": shown(row.name),
        "kind": row.kind,
        "size": "" if row.size is None else quantity(row.size, "B"),
        "users": "" if row.users is None else str(len(row.users)),
        "length": "" if row.length is None else str(row.length),
        "puts/s": puts,
        "gets/s": gets,
        "waiting": row.waiting_text,
        "held by": shown(row.held_by),
    }


def table_of(rows: list[Row], width: int, order: str) -> Table:
    """A table of at most `width` characters a line; the heads of the columns that give the order are underlined."""
    cells = [_cells(row) for row in rows]
    needed = {name: max(cell_len(text) for text in (name, *(each[name] for each in cells))) for name in SHOWN}
    needed["held by"] = min(needed["held by"], MOST_HOLDERS)
    given = dict(needed)
    given["name"] = min(needed["name"], max(LEAST_NAME, width // 5), max(width, 1))
    given["kind"] = min(needed["kind"], LEAST_KIND)
    given["held by"] = min(needed["held by"], LEAST_HOLDERS)
    room = width - given["name"]
    chosen = {"name"}
    for name in sorted(COLUMNS, key=lambda name: all(not each[name] for each in cells)):
        if given[name] + GAP > room:
            break
        chosen.add(name)
        room -= given[name] + GAP
    for name in GROWING:
        if name in chosen:
            more = max(min(needed[name] - given[name], room), 0)
            given[name] += more
            room -= more
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for name in SHOWN:
        if name in chosen:
            table.add_column(
                Text(name, style="underline" if name in OF_ORDER[order] else ""),
                justify="left" if name in LEFT else "right",
                width=given[name],
                no_wrap=True,
                overflow="ellipsis",
            )
    for each in cells:
        table.add_row(*(Text(each[name]) for name in SHOWN if name in chosen))
    return table
