"""gevent: if it has patched the program before this import, its sockets let other greenlets run during a wait.

In a program that is patched later, or only in part, one wait would stop all greenlets, and for ever if one of them must
end that wait. Such a program is refused, with the remedy in the error.
"""

from __future__ import annotations

import select
import sys
from typing import Any

__all__ = ["COOPERATIVE", "await_ready", "check_patches"]


def _patched(name: str) -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched(name))


COOPERATIVE = _patched("socket") and _patched("threading")
"""Whether sockets and threads were gevent's when sharedkit was imported."""


def check_patches() -> None:
    """Raise RuntimeError if gevent now patches modules that it did not patch when sharedkit was imported."""
    if (_patched("socket"), _patched("threading")) != (COOPERATIVE, COOPERATIVE):
        raise RuntimeError(
            "gevent has patched this program after sharedkit was imported, or only in part: call "
            "gevent.monkey.patch_all() before anything else is imported, so that waiting for a server lets other "
            "greenlets run; or use a server from a process that is not patched"
        )


def await_ready(descriptor: int, to_write: bool, seconds: float | None = None) -> bool:
    """Wait until a non-blocking socket can be written to, or read from; returns whether that happened in `seconds`."""
    if COOPERATIVE:
        socket: Any = sys.modules["gevent.socket"]
        try:
            (socket.wait_write if to_write else socket.wait_read)(descriptor, seconds, _TimeOver)
        except _TimeOver:
            return False
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT if to_write else select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


class _TimeOver(Exception):
    """The exception that gevent raises for `await_ready` when the time is over."""
