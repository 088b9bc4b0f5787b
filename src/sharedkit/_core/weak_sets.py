"""Weak sets that other threads may change while one reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["members"]

T = TypeVar("T")


def members(objects: Iterable[T]) -> list[T]:
    """The members of a weak set, or of the values of a weak dict, at one moment.

    Iteration over a weak set runs Python code, so Python raises RuntimeError if another thread adds a member meanwhile;
    then the iteration starts again. Without a GIL that is likely.
    """
    while True:
        try:
            return list(objects)
        except RuntimeError:
            continue
