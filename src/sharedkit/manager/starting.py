"""Starts a server process as multiprocessing starts its own: with the same executable and the same command line.

So `multiprocessing.set_executable` and `freeze_support` work, and a frozen or embedded program does not run a second
time. The new process reads from its pipe a `Service` in place of a Process, and no main module: the main module is not
imported again, so a script without `if __name__ == "__main__":` may start a server.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing import spawn
from typing import Any

from sharedkit.manager.server import Manager, end_with

__all__ = ["Service", "start"]

SAFE_PATH = "PYTHONSAFEPATH"


class Service:
    """The server to be, in transit to its process, where `multiprocessing.spawn` calls `_bootstrap`."""

    def __init__(self, owner: int, address: str, authkey: bytes, listens: int, safe_path: str | None) -> None:
        self._owner = owner
        self._address = address
        self._authkey = authkey
        self._listens = listens
        self._safe_path = safe_path  # the value in the environment before `start` changed it

    def _bootstrap(self, _parent_sentinel: int) -> int:
        """Serve until the owner has ended, or ends this process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the owner, which then ends this process
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # even if the owner ignores the signal or had blocked it
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if self._safe_path is None:
            os.environ.pop(SAFE_PATH, None)
        else:
            os.environ[SAFE_PATH] = self._safe_path
        end_with(self._owner)
        # workers inherit it, and can then open the handles in calls
        multiprocessing.current_process().authkey = self._authkey
        server = Manager(self._address, self._authkey).get_server()
        with contextlib.suppress(BrokenPipeError), os.fdopen(self._listens, "wb") as answer:
            pickle.dump(server.address, answer)
        server.serve_forever()
        return 0


def start(address: str, authkey: bytes, listens: int, output: int) -> subprocess.Popen[bytes]:
    """The process of a server that will listen at `address` and report that through the descriptor `listens`.

    Raises RuntimeError if no server can be started from here: in a worker that imports its main module; in a frozen
    program that has not called `multiprocessing.freeze_support()`; in a program without an executable for Python, or if
    the executable does not run.
    """
    spawn._check_not_importing_main()  # type: ignore[attr-defined]
    if spawn.is_forking(_arguments()):
        raise RuntimeError(
            "this process was started to be a child, and runs the program instead: a frozen program that uses "
            'get_context("manager") must call multiprocessing.freeze_support() first of all in its main module'
        )
    if not spawn.get_executable():
        raise RuntimeError(
            "Python does not say which program it is (sys.executable is empty, as where it is embedded); name an "
            "interpreter by multiprocessing.set_executable(...) before the first use of the manager's context"
        )
    service = Service(os.getpid(), address, authkey, listens, os.environ.get(SAFE_PATH))
    begin = os.memfd_create("sharedkit-server", 0)
    try:
        # All data is written before the process exists, so neither process waits for the other, which may have ended.
        with os.fdopen(os.dup(begin), "wb") as file:
            pickle.dump(_preparation(), file)
            pickle.dump(service, file)
        os.lseek(begin, 0, os.SEEK_SET)
        return subprocess.Popen(
            spawn.get_command_line(pipe_handle=begin),
            stdin=subprocess.DEVNULL,
            stdout=output,
            env={**os.environ, SAFE_PATH: "1"},  # modules in the current folder do not belong to the server
            process_group=0,  # so that Ctrl-C reaches only this process, which then ends the server
            pass_fds=(begin, listens),
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise RuntimeError(
            f"{os.fsdecode(spawn.get_executable())!r}, which is to be the interpreter (sys.executable), cannot be "
            f"started ({error.strerror}); name one by multiprocessing.set_executable(...)"
        ) from error
    finally:
        os.close(begin)


def _preparation() -> dict[str, Any]:
    """The data that `multiprocessing.spawn.prepare` sets: the arguments, and the path where sharedkit was found."""
    paths = []
    for path in sys.path:
        with contextlib.suppress(OSError, TypeError):  # the current folder may be gone
            paths.append(os.path.abspath(path))
    return {"name": "MainProcess", "sys_path": paths, "sys_argv": _arguments()}


def _arguments() -> list[str]:
    """The arguments of the program, if they are plain: an embedded Python may have none, or other objects. The list is
    never empty, as in every Python that starts."""
    found: Any = getattr(sys, "argv", None)
    plain = [str.__str__(each) for each in found if isinstance(each, str)] if isinstance(found, list | tuple) else []
    return plain or [""]
