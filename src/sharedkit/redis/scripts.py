"""The Lua scripts that run in the server: one for each method of each structure.

A script has a common beginning, the structure's part, the methods that all structures have, and a common end. A script
makes its functions anew each time it runs, and that can take longer than its commands. So it contains only the
statements that the method needs.

Each script is loaded in two forms. A server that is out of memory refuses the first form before it begins, so nothing
is half written. It still runs the second form, which is for methods that only read, or that free memory.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple

__all__ = ["Script", "script"]

GROWS, SHRINKS = "#!lua\n", "#!lua flags=allow-oom\n"
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)?")
_DEFINITION = re.compile(rf"local function ({_WORD.pattern})|function ({_WORD.pattern})|local ([\w, ]+)")
_SILENT = re.compile(r"--[^\n]*|'[^'\n]*'")  # comments and strings


class Script:
    """The text of a script, and the digest by which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


class _Statement(NamedTuple):
    """A statement at the margin, the names that it defines, and the words that it uses."""

    text: str
    names: frozenset[str]
    words: frozenset[str]


def _statements(text: str) -> list[_Statement]:
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith(("local ", "function ", "return ")):
            found.append([line])
        elif line and not line.startswith("--"):
            found[-1].append(line)
    return [_statement("\n".join(lines)) for lines in found]


def _statement(text: str) -> _Statement:
    silent = _SILENT.sub("''", text)
    definition = _DEFINITION.match(silent)
    names = re.findall(r"[\w.]+", next(filter(None, definition.groups()))) if definition else []
    words = {word for each in _WORD.findall(silent) for word in (each, each.partition(".")[0])}
    return _Statement(text, frozenset(names), frozenset(words))


@cache
def _all_statements(structure: str) -> list[_Statement]:
    """All statements for a structure, without defaults that it replaces."""
    folder = files("sharedkit.redis") / "scripts"
    own = ("lock", "condition") if structure == "condition" else (structure,)
    parts = [(folder / f"{name}.lua").read_text("utf-8") for name in ("prelude", *own, "life", "epilogue")]
    statements = [each for part in parts for each in _statements(part)]
    latest = {name: each for each in statements for name in each.names if "." in name}
    return [each for each in statements if all(latest.get(name, each) is each for name in each.names)]


@cache
def script(structure: str, method: bytes, shrinks: bool) -> Script:
    """The script for that method of a structure. `shrinks`: it may run when no memory is free."""
    statements = _all_statements(structure)
    own = {f"{table}.{method.decode()}" for table in ("reader", "call", "life")}
    needed = {each for each in statements if not each.names or each.names & own}
    while True:
        words = frozenset[str]().union(*(each.words for each in needed))
        more = {each for each in statements if each.names & words} - needed
        if not more:
            break
        needed |= more
    return Script((SHRINKS if shrinks else GROWS) + "\n".join(each.text for each in statements if each in needed))
