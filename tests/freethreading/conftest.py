"""The programs here are modules, too, which name each other as where they are run."""

import sys
from pathlib import Path

import pytest

from sharedkit.compare.machine import gil_enabled

HERE = Path(__file__).parent
sys.path.append(str(HERE))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With a GIL, which serializes most of what they do, `make stress` runs them."""
    for item in items:
        if item.path.parent == HERE and gil_enabled():
            item.add_marker(pytest.mark.stress)
