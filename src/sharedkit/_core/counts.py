"""How many: of those that wait, of items, of permits. One rule for all placements, which fits numbers of 64 bits."""

from __future__ import annotations

from math import ceil, isnan
from operator import index
from typing import Any

from sharedkit._core.timeouts import is_real

__all__ = ["how_many", "how_many_to_notify"]

MOST = (1 << 63) - 1  # more than there ever are


def how_many(n: Any) -> int:
    """The integer `n`; what is past 63 bits is as good as the last one of these. TypeError for what is no integer."""
    number = index(n)
    return number if -MOST <= number <= MOST else MOST if number > 0 else -MOST


def how_many_to_notify(n: Any) -> int:
    """As many as `threading.Condition.notify(n)` wakes, which counts any real number down to 0. TypeError."""
    if hasattr(type(n), "__index__"):
        return max(how_many(n), 0)
    if not is_real(n):
        raise TypeError(f"a number of waiters must be a number, not {type(n).__name__}")
    if isnan(n) or n <= 0:
        return 0
    return MOST if n >= MOST else ceil(n)
