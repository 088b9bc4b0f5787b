"""The function libraries of the placement redis: what belongs to one call is set at its beginning, and nothing else is
kept from call to call."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

pytest.importorskip("redis")

from sharedkit.redis.scripts import function, library

PARTS = {"prelude", "life", "epilogue", "one_server", "cluster"}
FOLDER = files("sharedkit.redis") / "scripts"
STRUCTURES = sorted({path.name.removesuffix(".lua") for path in FOLDER.iterdir()} - PARTS)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_name_of_a_library_tells_releases_apart(structure: str) -> None:
    text = library(structure).decode()
    name = function(structure, False).decode()
    assert re.fullmatch(rf"sharedkit_{structure}_[0-9a-f]{{12}}", name)
    assert text.startswith(f"#!lua name={name}\n")
    assert function(structure, True).decode() == name + "_shrinks"
    assert function(structure, False, True) not in (function(structure, False), function(structure, True))
    assert len({function(each, False)[-12:] for each in STRUCTURES}) == len(STRUCTURES)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("clustered", [False, True])
def test_a_library_uses_the_server_only_within_functions(structure: str, clustered: bool) -> None:
    """At its margin, where it runs once, it defines functions, constants, tables, and variables without a value."""
    for line in library(structure, clustered).decode().splitlines()[1:]:
        if re.match(r"$|--|end$|\}$| {4}|function |local function ", line):
            continue
        if line.startswith("redis.register_function"):
            continue
        assert re.fullmatch(r"local [\w, ]+?( = ('[^']*'(, '[^']*')*|\d+|\{.*\}?(, \{\})*))?( --.*)?", line), line
