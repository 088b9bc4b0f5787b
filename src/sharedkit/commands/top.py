"""`sharedkit top`: the structures of this machine as they work."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sharedkit._core.segment import FOLDER
from sharedkit.commands.folder import look_around
from sharedkit.commands.keyboard import Keyboard
from sharedkit.commands.options import Seconds
from sharedkit.commands.participants import facts_of, wait_documents
from sharedkit.commands.text import CommandError, draws_tables, plain_line, say, shown
from sharedkit.commands.top_table import HEADS, Row, table_of
from sharedkit.shm.inspection import Inspection, Trouble, rates

__all__ = ["top"]

ESCAPE, ENTER, ERASE = "\x1b", "\r\n", "\x7f\b"
ORDERS = {"n": "name", "s": "size", "r": "rate", "w": "waiting"}
# From the longest to the shortest: a terminal gets the first for which it has room.
HELP = (
    "q quit · sort by n name, s size, r rate, w waiting · / filter",
    "q quit · n s r w sort · / filter",
    "q quit · / filter",
    "q quit",
)


@click.command()
@click.option("--once", is_flag=True, help="Look twice, an interval apart, print that and end.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: with --once one document, else one line an interval.")
@click.option(
    "--interval",
    type=Seconds(0.05),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="The time between two looks; rates are averages over it.",
)
def top(once: bool, as_json: bool, interval: float) -> None:
    """Show the structures as they work: rates, waiters, holders.

    Each structure that has a segment is a row; a narrow terminal shows fewer columns.

    Keys: q quits; n, s, r and w sort by name, size, rate and waiting threads; / filters by name and kind (Enter keeps
    the filter, Escape drops it). Looking disturbs no structure.

    With --once into a pipe or a file goes one line a structure, with tabs between: name, kind, bytes, pids with commas,
    length, puts and gets a second, waiting threads, holders. Structures of threads and those behind a server have no
    segment.
    """
    if as_json:
        for document in _documents(interval):
            click.echo(json.dumps(document, indent=2 if once else None))
            if once:
                break
    elif once:
        _print_once(interval)
    else:
        _show(interval)


class Looks:
    """The latest look at all structures, and the one before it."""

    def __init__(self) -> None:
        self.before: Mapping[str, Inspection] = {}
        self.now: list[Inspection | Trouble] = []
        self.taken = time.monotonic()
        self.again()

    def again(self) -> None:
        """Look again."""
        self.before = {each.name: each for each in self.now if isinstance(each, Inspection)}
        self.now = look_around()
        self.taken = time.monotonic()

    def rates(self, each: Inspection) -> tuple[float, float] | None:
        """Puts and gets a second since the look before."""
        return rates(self.before[each.name], each) if each.name in self.before else None

    def rows(self) -> list[Row]:
        """A row for each structure."""
        return [
            Row.of_trouble(each.name, each.size, say(each.error))
            if isinstance(each, Trouble)
            else Row.of(each, self.rates(each))
            for each in self.now
        ]


# --- once ---------------------------------------------------------------------------------------------------


def _print_once(interval: float) -> None:
    looks = Looks()
    time.sleep(interval)
    looks.again()
    rows = looks.rows()
    if draws_tables():
        console = Console()
        console.print(table_of(rows, console.width, "name"))
        return
    for row in rows:
        click.echo(os.fsencode(plain_line(*row.plain)))


def _documents(interval: float) -> Iterator[dict[str, Any]]:
    looks = Looks()
    while True:
        time.sleep(interval)
        began = looks.taken
        looks.again()
        yield {
            "folder": FOLDER,
            "time": time.time(),
            "seconds": looks.taken - began,
            "structures": [_document(each, looks.rates(each)) for each in looks.now if isinstance(each, Inspection)],
            "unreadable": {each.name: say(each.error) for each in looks.now if isinstance(each, Trouble)},
        }


def _document(each: Inspection, rates: tuple[float, float] | None) -> dict[str, Any]:
    puts, gets = rates or (None, None)
    return {
        "name": each.name,
        "kind": each.kind,
        "size": each.size,
        "created": each.created,
        "persist": each.persist,
        "orphan": each.orphan,
        "users": each.users,
        "length": each.length,
        "puts_per_second": puts,
        "gets_per_second": gets,
        "state": each.state,
        "statistics": _plain(each.statistics),
        "waits": wait_documents(each, facts_of),
    }


def _plain(value: Any) -> Any:
    """Statistics as values for JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


# --- live ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class View:
    """What the keys have chosen: the order, and the filter while it is typed and afterwards."""

    order: str = "name"
    wanted: str = ""
    typing: bool = False
    over: bool = False

    def press(self, keys: str) -> None:
        """Obey the keys. An arrow or another function key, which begins with Escape, counts as Escape alone."""
        if keys.startswith(ESCAPE):
            self.wanted, self.typing = "", False
            return
        for key in keys:
            if self.typing:
                self._type(key)
            elif key == "q":
                self.over = True
            elif key == "/":
                self.wanted, self.typing = "", True
            elif key in ORDERS:
                self.order = ORDERS[key]

    def _type(self, key: str) -> None:
        if key in ENTER:
            self.typing = False
        elif key in ERASE:
            self.wanted = self.wanted[:-1]
        elif key.isprintable():
            self.wanted += key

    def chosen(self, rows: list[Row]) -> list[Row]:
        """The rows to show, in their order."""
        wanted = self.wanted.casefold()
        keys: dict[str, Callable[[Row], Any]] = {
            "name": lambda row: row.name,
            "size": lambda row: (-(row.size or 0), row.name),
            "rate": lambda row: (-row.rate, row.name),
            "waiting": lambda row: (-(row.waiting or 0), not row.uncounted, row.name),
        }
        found = (row for row in rows if wanted in row.name.casefold() or wanted in row.kind.casefold())
        return sorted(found, key=keys[self.order])

    def footer(self, width: int) -> str:
        """The last line."""
        wanted = f"filter: {shown(self.wanted)}"
        if self.typing:
            return _fitting(
                width, f"{wanted}▏ Enter keeps it, Escape drops it", f"{wanted}▏ Enter, Escape", f"{wanted}▏"
            )
        if not self.wanted:
            return _fitting(width, *HELP)
        dropped = f"{wanted} (Escape drops it)"
        return _fitting(width, *(f"{dropped} · {text}" for text in HELP), dropped, wanted)


def _fitting(width: int, *texts: str) -> str:
    """The first text that fits, else the last."""
    return next((text for text in texts if cell_len(text) <= width), texts[-1])


def _show(interval: float) -> None:
    """The live table, until `q`."""
    console = Console()
    if not (sys.stdin.isatty() and draws_tables()):
        raise CommandError(
            "top needs a terminal that it can draw on; --once prints what there is now, --json also without end"
        )
    looks, view = Looks(), View()
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while not view.over:
            live.update(_frame(console, looks, view, interval), refresh=True)
            try:
                pressed = keyboard.keys(max(looks.taken + interval - time.monotonic(), 0))
            except EOFError:
                return
            view.press(pressed)
            if not pressed:
                looks.again()


def _frame(console: Console, looks: Looks, view: View, interval: float) -> Group:
    rows = view.chosen(looks.rows())[: max(console.height - HEADS - 2, 1)]
    title = Text(f"{len(rows)} of {len(looks.now)} structures, every {interval:g} s, in {FOLDER}", style="bold")
    footer = Text(view.footer(console.width), style="reverse")
    for line in (title, footer):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(title, table_of(rows, console.width, view.order), footer)
