"""Counts: of waiters, of items, of permits. One rule for all placements limits them to 64-bit numbers."""

from __future__ import annotations

from math import ceil, isnan
from operator import index
from typing import Any

from sharedkit._core.timeouts import is_real

__all__ = ["how_many", "how_many_to_notify"]

MOST = (1 << 63) - 1  # more than any count reaches


def how_many(n: Any) -> int:
    """The integer `n`, limited to 63 bits and a sign. TypeError if it is no integer."""
    number = index(n)
    return number if -MOST <= number <= MOST else MOST if number > 0 else -MOST


def how_many_to_notify(n: Any) -> int:
    """The number of waiters that `threading.Condition.notify(n)` wakes: any real number, below 0 as 0. TypeError."""
    if hasattr(type(n), "__index__"):
        return max(how_many(n), 0)
    if not is_real(n):
        raise TypeError(f"a number of waiters must be a number, not {type(n).__name__}")
    if isnan(n) or n <= 0:
        return 0
    return MOST if n >= MOST else ceil(n)
