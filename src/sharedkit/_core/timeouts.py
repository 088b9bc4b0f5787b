"""Timeouts. One rule says what counts as a number of seconds; the meaning of a number is as in the class replaced.

docs/timeouts.md has the table. `threading` raises OverflowError for a timeout that is too long only in a call that
would have to wait (for a Lock, always); so does this package.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf, isnan
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "LONGEST",
    "check_span",
    "check_wait",
    "is_real",
    "not_negative",
    "seconds",
    "span",
    "too_long",
    "without_waiting",
]

T = TypeVar("T")

LONGEST = threading.TIMEOUT_MAX
_NO_NUMBERS = "cmMSUOT"  # kinds of NumPy's dtypes: complex, times, text, objects


def seconds(timeout: Any) -> float:
    """`timeout` as a float: any real number, also a Decimal, a Fraction or a number of NumPy's.

    TypeError if it is no real number, ValueError for NaN.
    """
    kind = type(timeout)
    if kind is not float:
        if kind is not int and not is_real(timeout):
            raise TypeError(f"a timeout must be a number of seconds, not {kind.__name__}")
        try:
            timeout = float(timeout)
        except OverflowError:  # it is larger than any float
            timeout = inf if timeout > 0 else -inf
    if isnan(timeout):
        raise ValueError("a timeout must not be NaN")
    return timeout  # type: ignore[no-any-return]


def is_real(value: object) -> bool:
    """Whether `float` accepts the value, and it is not text."""
    kind = type(value)
    if isinstance(value, str | bytes | complex | np.void):  # `float` accepts NumPy's text and complex numbers
        return False
    if isinstance(value, np.generic | np.ndarray):
        return value.dtype.kind not in _NO_NUMBERS and value.ndim == 0
    return hasattr(kind, "__float__") or hasattr(kind, "__index__")


def span(timeout: Any) -> float | None:
    """The timeout of a call for which None means for ever, as a float. TypeError, ValueError."""
    return None if timeout is None else seconds(timeout)


def not_negative(timeout: Any) -> float:
    """The timeout of a queue, as a float. TypeError, ValueError."""
    number = seconds(timeout)
    if number < 0:
        raise ValueError(f"'timeout' must be a non-negative number: {timeout}; max(0, timeout) is for one that is over")
    return number


def check_wait(blocking: bool, timeout: Any) -> float:
    """The timeout of a lock as a float, -1 for ever: the errors are the same whether or not the call has to wait.

    TypeError, ValueError, OverflowError.
    """
    if timeout is None:
        return -1.0
    number = seconds(timeout)
    if number == -1:
        return number
    if abs(number) > LONGEST:
        raise too_long()
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if number < 0:
        raise ValueError(f"timeout value must be a non-negative number, or -1 or None for ever: {timeout}")
    return number


def check_span(timeout: float | None) -> None:
    """Check any other timeout, of a call that has to wait. OverflowError."""
    if timeout is not None and timeout > LONGEST:
        raise too_long()


def too_long() -> OverflowError:
    """The error for a timeout that is longer than a lock of Python can wait."""
    return OverflowError(
        f"timeout value is too large: at most threading.TIMEOUT_MAX ({LONGEST:.0f} s); None is for ever"
    )


def without_waiting(call: Callable[[], T], refusal: type[Exception]) -> T:
    """The result of `call()` if it need not wait, else OverflowError. It raises `refusal` if it would have to wait."""
    try:
        return call()
    except refusal:
        raise too_long() from None
