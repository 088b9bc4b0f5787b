"""The Lua scripts that run in the server: a file for each structure, between a common beginning and a common end.

Each script is loaded in two forms. A server that is out of memory refuses the first form before it begins, so nothing
is half written. It still runs the second form, which is for methods that only read, or that free memory.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

__all__ = ["LIFE", "Script", "script"]

GROWS, SHRINKS = "#!lua\n", "#!lua flags=allow-oom\n"


class Script:
    """The text of a script, and the digest by which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


LIFE = frozenset({b"create", b"open", b"ticket", b"beat", b"look", b"check", b"cancel", b"leave", b"unlink"})
"""The methods in life.lua."""


@cache
def script(structure: str, shrinks: bool, life: bool = False) -> Script:
    """The script of a structure. `shrinks`: it may run when no memory is free; `life`: it has the methods in LIFE."""
    folder = files("sharedkit.redis") / "scripts"
    names = ("prelude", structure, *(["life"] if life else []), "epilogue")
    parts = [(folder / f"{name}.lua").read_text("utf-8") for name in names]
    return Script((SHRINKS if shrinks else GROWS) + "\n".join(parts))
