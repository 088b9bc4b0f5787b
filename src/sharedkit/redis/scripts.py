"""The Lua that runs in the server: a file for each structure, between a common beginning and a common end.

Each is loaded in two forms. A server that is out of memory refuses the first before it begins, so nothing is half
written; the second, for what reads or makes room, still runs.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

__all__ = ["Script", "script"]

GROWS, SHRINKS = "#!lua\n", "#!lua flags=allow-oom\n"


class Script:
    """One text, and the digest under which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


@cache
def script(structure: str, shrinks: bool) -> Script:
    """The script of a structure: `shrinks` is whether it may run without free memory."""
    folder = files("sharedkit.redis") / "scripts"
    parts = [(folder / f"{name}.lua").read_text("utf-8") for name in ("prelude", structure, "epilogue")]
    return Script((SHRINKS if shrinks else GROWS) + "\n".join(parts))
