"""The kit's own threads, which belong to no caller."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["background"]


def background(target: Callable[..., object], *, name: str | None = None, args: Iterable[Any] = ()) -> threading.Thread:
    """A daemon thread, not started yet, that sees no context variable of the thread that happens to need it first.

    From Python 3.14 on a thread may inherit the context of its maker (`sys.flags.thread_inherit_context`, by default
    without the GIL). A thread that lives as long as the process would keep those values as long. It would also show
    them, a decimal context or warning filters among them, to the callbacks of others.
    """
    if sys.version_info >= (3, 14):
        return threading.Thread(target=target, name=name, args=args, daemon=True, context=contextvars.Context())
    return threading.Thread(target=target, name=name, args=args, daemon=True)
