"""The arguments of the small scripts here: their docstring is the help, and its indented line is the usage."""

from __future__ import annotations

import math
import sys
from typing import NoReturn

__all__ = ["arguments", "number_of_seconds"]


def arguments(page: str | None, least: int = 0, most: float = math.inf) -> list[str]:
    """The arguments of the program, `least` to `most`. Prints the page for --help, and refuses any other option."""
    given = sys.argv[1:]
    if {"-h", "--help"} & set(given):
        print((page or "").strip())
        sys.exit(0)
    if not least <= len(given) <= most or any(each.startswith("-") for each in given):
        _refuse(page)
    return given


def number_of_seconds(page: str | None, default: float) -> float:
    """The only argument, a number of seconds; without one, the default."""
    given = arguments(page, most=1)
    try:
        chosen = float(given[0]) if given else default
    except ValueError:
        _refuse(page)
    if not 0 < chosen < math.inf:
        _refuse(page)
    return chosen


def _refuse(page: str | None) -> NoReturn:
    usage = next(line.strip() for line in (page or "").splitlines() if line.startswith("    "))
    print(f"usage: {usage}\n--help says more", file=sys.stderr)
    sys.exit(2)
