"""What has to be known of tasks: a name for each, for locks that know their owner; and who waits for a condition."""

from __future__ import annotations

import asyncio
import atexit
import itertools
from typing import Any, Final
from weakref import WeakKeyDictionary

__all__ = ["hold", "let_go", "name_of_task", "names_task"]

_TASK: Final = 1 << 31  # no thread has so large a number
_numbers = itertools.count()
_names: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()


def names_task(name: int) -> bool:
    """Whether that is the name of a task and not of a thread."""
    return bool(name & _TASK)


def name_of_task() -> int:
    """A number of 32 bits that stands for the running task; 0 where none runs in this thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return 0
    if task is None:
        return 0
    name = _names.get(task)
    if name is None:
        name = _names[task] = _TASK | next(_numbers) & (_TASK - 1)
    return name


_asleep: Final[set[asyncio.Task[Any] | None]] = set()


def _at_exit() -> None:
    """Who waits still is not collected with the modules either, which would end the blocks around the wait."""
    if _asleep:
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_asleep))


atexit.register(_at_exit)


def hold() -> asyncio.Task[Any] | None:
    """Keep the running task until `let_go` of the answer: it waits for a condition, and has let the lock go.

    So it is kept for ever if its loop is closed. To collect it would end the blocks around the wait, which release the
    lock, and that is somebody else's.
    """
    task = asyncio.current_task()
    _asleep.add(task)
    return task


def let_go(task: asyncio.Task[Any] | None) -> None:
    """It has the lock again."""
    _asleep.discard(task)
