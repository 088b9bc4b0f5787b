"""Loads first the modules that work only in the main interpreter of a process; in another one, ImportError says so.

NumPy refuses sub-interpreters with advice on how to install it, which does not help there. The compiled modules here
keep state of their process (seats, the watching thread, the holds that a death gives back), so they refuse as well.
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


try:
    for _name in ("numpy", "sharedkit._core.segment"):
        import_module(_name)
except ImportError as _error:
    if is_main_interpreter():
        raise
    raise ImportError(SENTENCE, name="sharedkit") from _error
