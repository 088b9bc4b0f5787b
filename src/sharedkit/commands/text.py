"""How the commands write names, errors and times for people, and lines for scripts."""

from __future__ import annotations

import os
import sys
from datetime import datetime

import click

from sharedkit.commands.exit_codes import REFUSED

__all__ = ["CommandError", "about", "ago", "clock", "draws_tables", "plain_line", "say", "shown"]

# Characters that end a line in some programs, change the direction of text, or control a terminal.
CONTROLS = (*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
CONTROL = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in CONTROLS}


class CommandError(click.ClickException):
    """Raised when a command cannot do what was asked: it ends with this sentence and the exit code 2."""

    exit_code = REFUSED


def shown(text: str) -> str:
    """Text from elsewhere, such as a name, for a terminal: on one line; bytes that are no UTF-8 appear as escapes."""
    return text.translate(CONTROL).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def plain_line(*cells: str) -> str:
    """A line for scripts: cells with tabs between, without control characters."""
    return "\t".join(cell.translate(CONTROL) for cell in cells)


def say(error: Exception) -> str:
    """The error's text, without the number and the path that OSError adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def about(name: str, error: Exception) -> str:
    """The error's text with the name in front, unless the text contains the name."""
    text = say(error)
    return text if repr(name) in text else f"{name!r}: {text}"


def draws_tables() -> bool:
    """Whether standard output is a terminal for tables. TERM=dumb stands for one that only prints lines: it gets the
    lines of a pipe."""
    return sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def clock(seconds: float, now: float) -> str:
    """A moment, in seconds since 1970, as the local time of day; with the date where that is another day than `now`."""
    then, today = datetime.fromtimestamp(seconds), datetime.fromtimestamp(now)
    return then.strftime("%H:%M:%S" if then.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def ago(seconds: float) -> str:
    """A span of time in one or two units: 3.2 s, 4 min 10 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 59.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole} s"
