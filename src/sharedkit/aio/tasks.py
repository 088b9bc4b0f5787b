"""Facts about tasks: a number for each, for locks that have an owner; and the tasks that wait for a condition."""

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
    """Whether the number is that of a task and not of a thread."""
    return bool(name & _TASK)


def name_of_task() -> int:
    """A number of 32 bits that stands for the running task; 0 if no task runs in this thread."""
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
    """Keep waiting tasks from being collected with the modules: that would end their blocks around the wait."""
    if _asleep:
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_asleep))


atexit.register(_at_exit)


def hold() -> asyncio.Task[Any] | None:
    """Keep the running task until `let_go` is called with it: it waits for a condition, and has released the lock.

    A kept task is never collected, even if its loop is closed. Its collection would end the blocks around the wait, and
    those blocks release the lock, which another task or thread holds.
    """
    task = asyncio.current_task()
    _asleep.add(task)
    return task


def let_go(task: asyncio.Task[Any] | None) -> None:
    """Stop keeping the task, which holds the lock again."""
    _asleep.discard(task)
