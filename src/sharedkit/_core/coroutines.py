"""Coroutines for `async with`, and functions that return coroutines; without asyncio, which takes long to import."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["answer", "coroutine_function", "outlive"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


async def answer(call: Callable[[], T]) -> T:
    """Return the result of the call."""
    return call()


async def outlive() -> None:
    """Suspend a block that is ended by GeneratorExit. The block is being collected together with its task, to which
    nothing refers any more. Others may have its lock by now, and any thread may collect it. Python reports that the
    block has ignored GeneratorExit."""
    import asyncio

    await asyncio.sleep(0)


def coroutine_function(function: F) -> F:
    """Mark a function that returns a coroutine, for `inspect.iscoroutinefunction`; before Python 3.12 there is no mark.

    Such a function is not `async def` because it notes its caller when it is called: the coroutine may begin in another
    task, for example in that of `asyncio.wait_for` before Python 3.12.
    """
    if sys.version_info >= (3, 12):
        import inspect

        inspect.markcoroutinefunction(function)
    return function
