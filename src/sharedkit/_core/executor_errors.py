"""The exceptions of executors, a part of `sharedkit.errors`; apart, because their base class takes long to import."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from sharedkit._core.base_errors import ServerGoneError, SharedkitError

__all__ = ["ExecutorBroken", "ExecutorGoneError", "WorkerDied"]


class ExecutorBroken(SharedkitError, BrokenProcessPool):
    """Raised when an executor's workers cannot start, or their initializer raised; fix that, make a new one."""

    __module__ = "sharedkit.errors"


class ExecutorGoneError(ServerGoneError, BrokenProcessPool):
    """Raised when the server of an executor has ended; it is unknown which calls have run. Start a new server."""

    __module__ = "sharedkit.errors"


class WorkerDied(SharedkitError, BrokenProcessPool):
    """Raised when the worker process that ran the call died. The executor goes on; submit the call again if it is safe.

    `pid` and `exitcode` are the worker's. A negative exit code is the signal that killed it; None: unknown, because
    other code waited for the process, or because SIGCHLD is ignored.
    """

    __module__ = "sharedkit.errors"

    def __init__(self, pid: int, exitcode: int | None) -> None:
        super().__init__(pid, exitcode)
        self.pid = pid
        self.exitcode = exitcode

    def __str__(self) -> str:
        how = "" if self.exitcode is None else f" with exit code {self.exitcode}"
        return f"worker process {self.pid} died in this call{how}"
