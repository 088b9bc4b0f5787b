"""Imported first: raises a clear ImportError in a sub-interpreter, where other modules of sharedkit cannot work.

NumPy refuses sub-interpreters from Python 3.12 on, with advice on how to install it, which does not help there. The
compiled modules of sharedkit keep state of the process (seats, the watcher's thread, the holds that a death releases),
so they refuse too.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["SENTENCE", "is_main_interpreter"]

SENTENCE = (
    "sharedkit works in the main interpreter of a process only, as NumPy does, and this is a sub-interpreter: use "
    "threads (concurrent.futures.ThreadPoolExecutor) or processes (sharedkit.Executor, multiprocessing) instead"
)


def is_main_interpreter() -> bool:
    """Whether this is the first interpreter of its process."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before
        try:
            module = import_module(name)
        except ImportError:
            continue
        return bool(module.get_current() == module.get_main())
    return True


if not is_main_interpreter():  # before anything else is loaded, because that might succeed on Python 3.11
    raise ImportError(SENTENCE, name="sharedkit")
