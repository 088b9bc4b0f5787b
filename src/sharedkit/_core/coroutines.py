"""Coroutines that never wait, for `async with`; without asyncio, which takes long to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["answer"]

T = TypeVar("T")


async def answer(call: Callable[[], T]) -> T:
    """Return the result of the call."""
    return call()
