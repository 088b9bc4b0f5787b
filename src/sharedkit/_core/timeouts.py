"""One rule for all classes says what counts as a number of seconds. What the number means follows the standard class.

docs/timeouts.md has the table. For a timeout that is too long, `threading` raises OverflowError only if the call would
have to wait (a Lock always raises it). This package does the same.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from math import inf, isnan
from time import monotonic
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "LONGEST",
    "await_for",
    "await_without_waiting",
    "check_wait",
    "is_real",
    "not_negative",
    "refuse_too_long",
    "seconds",
    "span",
    "too_long",
    "without_waiting",
]

T = TypeVar("T")

LONGEST = threading.TIMEOUT_MAX
_NO_NUMBERS = "cmMSUOT"  # kinds of NumPy's dtypes: complex, times, text, objects


def seconds(timeout: Any) -> float:
    """`timeout` as a float: any real number, also a Decimal, a Fraction or a NumPy number.

    Raises TypeError if it is no real number, ValueError for NaN.
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
    """The timeout of a call that takes None for "no limit", as a float or None. Raises TypeError, ValueError."""
    return None if timeout is None else seconds(timeout)


def not_negative(timeout: Any) -> float:
    """The timeout of a queue, as a float. Raises TypeError, ValueError."""
    number = seconds(timeout)
    if number < 0:
        raise ValueError(
            f"'timeout' must be a non-negative number: {timeout}; max(0, timeout) allows for a deadline that has passed"
        )
    return number


def check_wait(blocking: bool, timeout: Any) -> float:
    """The timeout of a lock as a float, -1 for no limit. The errors are the same whether or not the call has to wait.

    Raises TypeError, ValueError, OverflowError.
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


def refuse_too_long(timeout: float | None) -> None:
    """Check the timeout of a call that has to wait, on a structure other than a lock. Raises OverflowError."""
    if timeout is not None and timeout > LONGEST:
        raise too_long()


def too_long() -> OverflowError:
    """The error for a timeout that is longer than a lock of Python can wait."""
    return OverflowError(
        f"timeout value is too large: at most threading.TIMEOUT_MAX ({LONGEST:.0f} s); None is for ever"
    )


def without_waiting(call: Callable[[], T], refusal: type[Exception]) -> T:
    """The result of `call()`. Raises OverflowError if the call raises `refusal`: then it would have to wait."""
    try:
        return call()
    except refusal:
        raise too_long() from None


async def await_without_waiting(answer: Awaitable[Any], refusal: type[Exception] | None = None) -> Any:
    """Await `answer`, which has been asked not to wait, and return its result. If `answer` would have to wait, it
    raises `refusal` (if no `refusal` is given, it returns a false value); then raise OverflowError."""
    try:
        got = await answer
    except Exception as why:
        if refusal is None or not isinstance(why, refusal):
            raise
        raise too_long() from None
    if refusal is None and not got:
        raise too_long()
    return got


async def await_for(
    once: Callable[[float | None], Awaitable[bool]], predicate: Callable[[], T], timeout: float | None
) -> T:
    """Wait until `predicate()` is true, as `Condition.wait_for` does; `once(timeout)` waits for one notification."""
    left = span(timeout)
    end = None if left is None else monotonic() + left
    result = predicate()
    while not result:
        await once(left)
        result = predicate()
        if end is not None and (left := end - monotonic()) <= 0:
            break
    return result
