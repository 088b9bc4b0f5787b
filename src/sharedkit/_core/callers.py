"""Warnings that name the line of the caller, however many frames of this package and of asyncio lie between."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

__all__ = ["warn_caller"]

BETWEEN = ("sharedkit", "asyncio", "contextlib")


def warn_caller(text: str, category: type[Warning]) -> None:
    """Give the warning, for the nearest line of the program that is neither here nor in asyncio: the `await`, or the
    line that runs the loop if the loop runs the coroutine as a task of its own. Raises it if it is an error."""
    levels = 2
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_between(frame):
        frame = frame.f_back
        levels += 1
    # a thread may have no other frames: then the line that made the thread is gone, and any of these lines will do
    warnings.warn(text, category, stacklevel=2 if frame is None else levels)


def _is_between(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in BETWEEN
