"""Calls in transit: clients pack them, workers unpack them; the server between them never unpickles them."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import process, spawn
from typing import Any

from sharedkit.executors.remote_errors import packed_error, raised
from sharedkit.executors.unguarded_main import UNGUARDED, is_refusal
from sharedkit.manager.protocol import Packed, buffer_over, pack, unpack

__all__ = ["Home", "Outcome", "failure", "home_of_client", "make_call", "prepare", "sendable", "unpack_outcome"]

Home = dict[str, Any]
"""The paths where a client finds its modules: `sys_path`, and the origin of its main module, with its arguments."""
Outcome = tuple[bool, Packed, str]
"""Whether the call returned; the value that it returned or the error that it raised; the traceback."""


def home_of_client() -> Home:
    """The paths that workers need to find the functions of this process."""
    known: Any = {"sys_path": sys.path, "sys_argv": getattr(sys, "argv", None)}
    with suppress(OSError, AttributeError, KeyError):  # the current folder is gone, sys has no argv, or there is
        known = spawn.get_preparation_data("")  # no main module: workers then do without
    home: Home = {}
    for key in ("sys_path", "sys_argv", "init_main_from_name", "init_main_from_path"):
        value = known.get(key)
        if isinstance(value, str):
            home[key] = str.__str__(value)
        elif isinstance(value, list | tuple):
            home[key] = [str.__str__(each) for each in value if isinstance(each, str)]
    return home


def prepare(home: Home, initializer: bytes) -> None:
    """Prepare a worker: give it the module paths and the main module of the executor's maker, then initialize.

    SystemExit with the code `UNGUARDED` if that main module starts processes when it is imported.
    """
    sys.path.extend(each for each in home["sys_path"] if each not in sys.path)
    path = home.get("init_main_from_path")
    if path is None or os.path.exists(path):  # on another machine it does not exist
        here: Any = process.current_process()
        here._inheriting = True  # as in a spawned process: multiprocessing refuses a main module that starts processes
        try:
            spawn.prepare({key: value for key, value in home.items() if key != "sys_path"})
        except Exception as error:
            if is_refusal(error):
                raise SystemExit(UNGUARDED) from None
            raise
        finally:
            del here._inheriting
    start: tuple[Callable[..., object] | None, tuple[Any, ...]] = pickle.loads(initializer)
    if start[0] is not None:
        start[0](*start[1])


def make_call(packed: Packed) -> Outcome:
    """Run a call in a worker, and return its outcome."""
    try:
        fn, args, kwargs = unpack(packed)
        return True, pack(fn(*args, **kwargs)), ""
    except BaseException as error:
        return False, *packed_error(error)


def sendable(outcome: Outcome) -> Outcome:
    """Convert, in the server, an outcome from a worker to a form for clients; memoryviews cannot be pickled."""
    returned, packed, trace = outcome
    return returned, packed if isinstance(packed, bytes) else tuple(map(buffer_over, packed)), trace


def failure(error: BaseException) -> Outcome:
    """The outcome, in the server, of a call that could not be run, or whose worker died."""
    packed, _ = packed_error(error)
    cause = error.__cause__
    trace = "" if cause is None else str(cause)  # the traceback of an initializer that raised, from `remote_cause`
    return False, packed, trace.removeprefix('\n"""\n').removesuffix('"""')


def unpack_outcome(outcome: Outcome) -> tuple[Any, BaseException | None]:
    """The value that the call returned, or the error that it raised; in a client."""
    returned, packed, trace = outcome
    try:
        value = unpack(packed)
    except BaseException as why:  # unpickling runs the user's code
        returned, value = False, why
    return (value, None) if returned else (None, raised(value, trace))
