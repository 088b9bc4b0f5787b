"""What the tests of the placement `manager` share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import sharedkit as sk


@pytest.fixture(scope="module")
def ctx() -> Iterator[Any]:
    """A server of the module's own."""
    with sk.get_context("manager") as context:
        yield context
