"""Fixtures of the tests of the placement `manager`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import sharedkit as sk


@pytest.fixture(scope="module")
def ctx() -> Iterator[Any]:
    """A context with a server, started for the tests of one module."""
    with sk.get_context("manager") as context:
        yield context
