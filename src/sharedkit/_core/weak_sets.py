"""Weak sets that other threads may change while one reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["members"]

T = TypeVar("T")


def members(objects: Iterable[T]) -> list[T]:
    """The members of a weak set, or of the values of a weak dict, at one moment.

    Iteration over one runs Python code, so it is refused (RuntimeError) if another thread adds a member meanwhile, and
    begins again here. Without a GIL that is likely.
    """
    while True:
        try:
            return list(objects)
        except RuntimeError:
            continue
