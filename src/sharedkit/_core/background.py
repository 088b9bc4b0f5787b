"""The threads that sharedkit starts for itself; they belong to no caller."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["background"]


def background(target: Callable[..., object], *, name: str | None = None, args: Iterable[Any] = ()) -> threading.Thread:
    """A daemon thread, not started yet, that sees no context variable of the thread that creates it.

    From Python 3.14 on a new thread can inherit the context of its creator (`sys.flags.thread_inherit_context`, by
    default without the GIL). A thread that lives as long as the process would keep those values as long. It would also
    pass them, a decimal context or warning filters for example, to the callbacks of other callers.
    """
    if sys.version_info >= (3, 14):
        return threading.Thread(target=target, name=name, args=args, daemon=True, context=contextvars.Context())
    return threading.Thread(target=target, name=name, args=args, daemon=True)
