"""Which times can be waited for: what threading refuses is refused in its words, in every placement."""

from __future__ import annotations

import threading
from math import isnan

__all__ = ["check_span", "check_wait"]


def check_wait(blocking: bool, timeout: float) -> None:
    """The timeout of a lock, where -1 is for ever: the same errors whether or not one has to wait."""
    if timeout == -1:
        return
    if isnan(timeout):
        raise ValueError("timeout must not be NaN")
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    check_span(timeout)


def check_span(timeout: float | None) -> None:
    """Any other timeout. TypeError, OverflowError."""
    if timeout is not None and timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
