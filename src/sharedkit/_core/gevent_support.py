"""gevent: if it has patched `threading`, greenlets count as threads, and a wait lets the others run.

A call in C that sleeps would stop all greenlets of its thread. So a wait polls instead, and the other greenlets run
during its pauses of up to 10 ms. Nothing here imports gevent: if it is not imported, it has patched nothing.
"""

from __future__ import annotations

import importlib
import sys
import time
import weakref
from typing import Any

__all__ = ["known", "let_others_run", "original", "patched", "remember"]

FIRST, LAST = 0.0002, 0.01  # seconds; each pause is 1.5 times as long as the one before

_pauses: weakref.WeakKeyDictionary[Any, tuple[float, float]] = weakref.WeakKeyDictionary()
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def patched() -> bool:
    """Whether the threads of `threading` are greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def original(module: str, name: str) -> Any:
    """The unpatched function of the module: it works with threads of the system."""
    if patched():
        return sys.modules["gevent.monkey"].get_original(module, name)
    return getattr(importlib.import_module(module), name)


def let_others_run() -> None:
    """Pause this greenlet. The pauses grow during one wait."""
    gevent = sys.modules["gevent"]
    current = gevent.getcurrent()
    began = time.monotonic()
    last, pause = _pauses.get(current, (0.0, 0.0))
    pause = min(pause * 1.5, LAST) if began - last < 2 * LAST and pause else FIRST
    if current is gevent.get_hub():
        original("time", "sleep")(pause)  # a callback of the hub: no other greenlet can run
    else:
        gevent.sleep(pause)
    _pauses[current] = time.monotonic(), pause


def known() -> int:
    """The number of this greenlet, or 0."""
    return _numbers.get(sys.modules["gevent"].getcurrent(), 0)


def remember(number: int) -> None:
    """Store this number for this greenlet."""
    _numbers[sys.modules["gevent"].getcurrent()] = number
