"""The handlers of SIGINT and SIGTERM while a command runs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["handlers_restored", "ignore_signals", "process_ends_too"]

NUMBERS = (signal.SIGINT, signal.SIGTERM)

_process_ends_too = False


def process_ends_too() -> None:
    """Note that this process ends when its command does: then a signal that comes on the way out has no effect."""
    global _process_ends_too
    _process_ends_too = True


def ignore_signals() -> None:
    """From now on Ctrl-C and SIGTERM have no effect: a second one must not interrupt the end of a command."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def handlers_restored() -> Iterator[None]:
    """Give both signals their handlers back when the block ends, for a program that goes on after the command."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    try:
        yield
    finally:
        if not _process_ends_too:
            for number, handler in before.items():
                if handler is not None:  # None: it was not set from Python, which cannot set it again
                    signal.signal(number, handler)
