"""The API reference has an entry for every public name."""

import importlib
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "api"


def found(path: str) -> object:
    """The object of a dotted name."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.fixture(scope="module")
def entries() -> list[object]:
    listed: list[object] = []
    for page in PAGES.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for directive, path, members in re.findall(r"^\.\. auto(\w+):: ([\w.]+)\n(   :members:)?", text, re.MULTILINE):
            if directive != "module":
                listed.append(found(path))
            elif members:
                module = importlib.import_module(path)
                listed += [getattr(module, name) for name in module.__all__]
    return listed


@pytest.mark.parametrize(
    "module", ["sharedkit", "sharedkit.hashing", "sharedkit.segments", "sharedkit.context", "sharedkit.protocols"]
)
def test_every_public_name_has_an_entry(module: str, entries: list[object]) -> None:
    names = importlib.import_module(module).__all__
    assert [name for name in names if found(f"{module}.{name}") not in entries] == []
