"""Integers that callers give: counts, which are limited to 64 bits, and values, which are refused beyond them."""

from __future__ import annotations

from math import ceil, isnan
from operator import index
from typing import Any

from sharedkit._core.timeouts import is_real

__all__ = ["HIGHEST", "LOWEST", "how_many", "how_many_to_notify", "integer", "number_of", "perhaps_a_name"]

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1  # of the value of a counter

MOST = (1 << 63) - 1  # more than any count reaches


def integer(value: object) -> int:
    """`value` as an int of 64 bits; TypeError if it is no integer, OverflowError if it does not fit."""
    number = index(value)  # type: ignore[arg-type]  # index() itself raises the TypeError
    if not LOWEST <= number <= HIGHEST:
        raise OverflowError(f"{number} does not fit in a signed 64-bit integer")
    return number


def perhaps_a_name(argument: object) -> str:
    """What to add to the error for the first argument of a structure: where a name goes, if the argument is a str."""
    return f"; if it is the structure's name, write name={str(argument)!r}" if isinstance(argument, str) else ""


def number_of(what: str, argument: object) -> int:
    """The first argument of a structure as an int. Raises TypeError."""
    if isinstance(argument, str):
        raise TypeError(f"{what} must be an integer, not {str(argument)!r}{perhaps_a_name(argument)}")
    return index(argument)  # type: ignore[arg-type]  # index() itself raises the TypeError


def how_many(n: Any) -> int:
    """The integer `n`, limited to 63 bits and a sign. Raises TypeError if it is no integer."""
    number = index(n)
    return number if -MOST <= number <= MOST else MOST if number > 0 else -MOST


def how_many_to_notify(n: Any) -> int:
    """The number of waiters that `threading.Condition.notify(n)` wakes: any real number, below 0 as 0. Raises
    TypeError."""
    if hasattr(type(n), "__index__"):
        return max(how_many(n), 0)
    if not is_real(n):
        raise TypeError(f"a number of waiters must be a number, not {type(n).__name__}")
    if isnan(n) or n <= 0:
        return 0
    return MOST if n >= MOST else ceil(n)
