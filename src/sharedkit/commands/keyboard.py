"""Keys of a terminal, as they are pressed; the terminal gets its modes back, however the block ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Keyboard"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end(number: int, _frame: FrameType | None) -> None:
    for each in ENDING:  # a second one must not interrupt the way out
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


class Keyboard:
    """`with Keyboard() as keyboard`: standard input, which is a terminal, without echo and without waiting for Enter.

    SIGTERM and SIGHUP end the block by SystemExit, Ctrl-C by KeyboardInterrupt. Ctrl-Z is off: the
    program would stop without giving the terminal back.
    """

    def __enter__(self) -> Self:
        self._descriptor = sys.stdin.fileno()
        self._modes = termios.tcgetattr(self._descriptor)
        self._handlers: dict[signal.Signals, Any] = {number: signal.signal(number, _end) for number in ENDING}
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._modes)
        for each, handler in self._handlers.items():
            signal.signal(each, handler)

    def keys(self, seconds: float) -> str:
        """The keys that are pressed within this time, as soon as there are any; "" for none. EOFError when the terminal
        is gone."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return ""
        try:
            pressed = os.read(self._descriptor, 256)
        except OSError:  # EIO: it was hung up
            pressed = b""
        if not pressed:
            raise EOFError
        return pressed.decode("utf-8", "ignore")
