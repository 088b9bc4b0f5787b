"""Fixtures of the tests of the placements `manager` and `redis`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from redis_server import Server

import sharedkit as sk


@pytest.fixture(scope="module")
def ctx() -> Iterator[Any]:
    """A context with a server, started for the tests of one module."""
    with sk.get_context("manager") as context:
        yield context


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Redis server, started for the tests of one module."""
    with Server() as running:
        yield running
