"""Coroutines that never wait, for `async with`, and functions that return coroutines; without asyncio, which takes long
to import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["answer", "coroutine_function"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


async def answer(call: Callable[[], T]) -> T:
    """Return the result of the call."""
    return call()


def coroutine_function(function: F) -> F:
    """Mark a function that returns a coroutine, for `inspect.iscoroutinefunction`; before Python 3.12 there is no mark.

    Such a function is not `async def` because it notes its caller when it is called: the coroutine may begin in another
    task, for example in that of `asyncio.wait_for` before Python 3.12.
    """
    if sys.version_info >= (3, 12):
        import inspect

        inspect.markcoroutinefunction(function)
    return function
