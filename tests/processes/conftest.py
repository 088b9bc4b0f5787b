"""Where test modules and the programs they start find their helpers, and a folder for segments."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))


@pytest.fixture
def folder() -> Iterator[str]:
    """One of its own for segments, in which nothing is left."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tests-") as path:
        yield path
        assert os.listdir(path) == []
