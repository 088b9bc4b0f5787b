"""What workers put into the queue of results.

int >= 0                       the task of that number returned None
int < 0                        ~number: a task with a limit of time has begun
bytes                          8 bytes of number, then the pickled result
(number, bytes, buffers)       the same, with large data beside the pickle
(number, bytes, [], text)      the pickled exception, and its traceback
(str, ...)                     not of a task: a death, an initializer that raised
"""

from __future__ import annotations

import pickle
from concurrent.futures.process import _RemoteTraceback
from typing import Any

__all__ = ["Outcome", "read", "remote_cause"]

Outcome = tuple[int, Any, BaseException | None]
"""A task's number, its result, its exception."""


def remote_cause(text: str) -> Exception:
    """The cause of an exception that came from a worker: its traceback there, shown as by ProcessPoolExecutor."""
    return _RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type]


def read(message: Any) -> Outcome | None:
    """The outcome of a task, if the message is one."""
    if type(message) is int:
        return None if message < 0 else (message, None, None)
    try:
        if type(message) is bytes:
            task = int.from_bytes(message[:8], "little")
            return task, pickle.loads(memoryview(message)[8:]), None
        if type(message[0]) is str:
            return None
        task = message[0]
        value = pickle.loads(message[1], buffers=message[2])
        error = value if len(message) > 3 else None
    except BaseException as why:  # unpickling runs the user's code
        error = why
    if type(message) is tuple and len(message) > 3 and error is not None:
        error.__cause__ = remote_cause(message[3])
    return task, None if error is not None else value, error
