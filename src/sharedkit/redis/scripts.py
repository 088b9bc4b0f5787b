"""The function libraries that run in the server: one for each structure, in Lua.

A library has a common beginning, the structure's part, the methods that all structures have, and a common end. For the
nodes of a cluster there are libraries of their own, which tell sessions by other commands. The name of a library has a
digest of its text, so releases that differ have different libraries. At its beginning it has the names of the commands
that it uses: making or opening a structure checks that the user may run them.

Functions, not scripts: a script makes all its Lua functions anew each time it runs, and that takes longer than its
commands.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files

__all__ = ["MOST_LOADS", "commands", "function", "library"]

MOST_LOADS = 3  # for one call; a server that forgets functions at once is not usable
WITH = {"array": "lock", "condition": "lock", "value": "lock"}  # structures, and another one that each contains


@cache
def _named(structure: str, clustered: bool) -> tuple[str, str]:
    """The name of the structure's library, which is also that of its function, and the library's text."""
    folder = files("sharedkit.redis") / "scripts"
    own = [WITH[structure], structure] if structure in WITH else [structure]
    parts = ("cluster" if clustered else "one_server", "prelude", *own, "life", "epilogue")
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    text = f"local COMMANDS = '{' '.join(_commands_in(text))}'\n{text}"
    name = f"sharedkit_{structure}_{sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]}"
    return name, f"#!lua name={name}\nlocal NAME = '{name}'\n{text}"


def _commands_in(text: str) -> list[str]:
    """The commands that a library runs; those with a second word as ACL writes them: PUBSUB|NUMSUB."""
    found = re.findall(r"redis\.p?call\('([A-Z]+)'(?:, '((?:SHARD)?NUMSUB)')?", text)
    return sorted({name + ("|" + second if second else "") for name, second in found})


def commands(structure: str, clustered: bool = False) -> list[str]:
    """The commands that the structure's library runs."""
    return _commands_in(library(structure, clustered).decode())


@cache
def function(structure: str, shrinks: bool, clustered: bool = False) -> bytes:
    """The name of the function for the structure's methods. `shrinks`: it may run when no memory is free."""
    return (_named(structure, clustered)[0] + ("_shrinks" if shrinks else "")).encode()


@cache
def library(structure: str, clustered: bool = False) -> bytes:
    """The text of the structure's library."""
    return _named(structure, clustered)[1].encode()
