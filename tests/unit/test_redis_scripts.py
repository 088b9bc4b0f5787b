"""The scripts of the placement redis: each has what its method needs, in an order that Lua accepts, and no more."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

pytest.importorskip("redis")

from sharedkit.redis.scripts import _all_statements, script

FOLDER = files("sharedkit.redis") / "scripts"
STRUCTURES = sorted({path.name.removesuffix(".lua") for path in FOLDER.iterdir()} - {"prelude", "life", "epilogue"})
METHODS = [
    (structure, name.partition(".")[2])
    for structure in STRUCTURES
    for each in _all_statements(structure)
    for name in sorted(each.names)
    if name.startswith(("reader.", "call.", "life."))
]


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_each_file_is_of_the_form_by_which_statements_are_found(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert '"' not in text and "[[" not in text  # the parser knows strings in single quotes only
    for line in text.splitlines():
        assert re.match(r"$|--|local |function |return |end$|\}$| {4}", line), line


@pytest.mark.parametrize(("structure", "method"), METHODS)
def test_a_script_defines_each_local_before_its_first_use(structure: str, method: str) -> None:
    every = _all_statements(structure)
    names = frozenset[str]().union(*(each.names for each in every))
    text = script(structure, method.encode(), False).text.decode()
    chosen = [each for each in every if each.text in text]
    defined: set[str] = set()
    for each in chosen:
        defined |= each.names
        assert {word for word in each.words & names if "." not in word} <= defined, each.text
    used = frozenset[str]().union(*(each.words for each in chosen))
    assert used & names <= defined | {f"{table}.{method}" for table in ("reader", "call", "life")}
    assert text.count(f".{method}(") >= 1


def test_a_script_has_no_method_but_its_own() -> None:
    text = script("queue", b"qsize", True).text.decode()
    assert re.findall(r"^function (\S+)\(", text, re.MULTILINE) == ["structure.again", "reader.qsize"]
