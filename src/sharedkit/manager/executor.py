"""An executor behind a server: any client submits, worker processes on the server's machine make the calls."""

from __future__ import annotations

import os
import pickle
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import BaseContext
from typing import Any, ParamSpec, TypeVar

from sharedkit.errors import ClosedError, ServerGoneError
from sharedkit.executors.base import ExecutorFace, check_arguments, check_context, check_retiring
from sharedkit.executors.future import Future
from sharedkit.manager.calls import home_of_client
from sharedkit.manager.client import Client
from sharedkit.manager.executor_client import ExecutorClient
from sharedkit.manager.handle import DEFAULT_SEATS, Structure
from sharedkit.statistics import ExecutorStatistics

__all__ = ["Executor"]

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Structure, ExecutorFace):
    """A `concurrent.futures.Executor` whose worker processes run on the server's machine, for all of its clients.

    A handle can be pickled, and attached by name; each has futures of its own. A worker that dies breaks the call that
    it ran (WorkerDied) and is replaced; a client that dies has its calls dropped that no worker has begun; if the
    server goes, futures fail with ExecutorGoneError. `shutdown` is for all who have the executor, as of a queue;
    `close` lets go of a handle, whose calls are finished all the same. Calls and results are pickled, and pass through
    the server, which does not look inside. Workers find modules where the maker of the executor has them, its main
    module too, as far as the paths mean the same on the server's machine.

    `mp_context` says how workers start, by default "forkserver", since a server has threads. Without `max_workers`
    there is one for each core of the server. Raises ValueError, TypeError for arguments that it cannot have, and what
    other structures do for names.
    """

    kind = "Executor"
    _executor_client: ExecutorClient

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        thread_name_prefix: str = "",
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
    ) -> None:
        check_arguments(max_workers, initializer, max_tasks_per_child)
        check_context(mp_context)
        context: Any = mp_context
        method = "forkserver" if context is None else context.get_start_method(allow_none=False)
        check_retiring(max_tasks_per_child, method)
        spec = {
            "max_workers": max_workers,
            "method": method,
            "max_tasks_per_child": max_tasks_per_child,
            "prefix": thread_name_prefix,
        }
        start = pickle.dumps((initializer, initargs), 5)
        self._create(name, exist_ok, persist, DEFAULT_SEATS, spec, home_of_client(), start)

    def _open(self, client: Client, released: deque[int], name: str, ident: int) -> None:
        self._client, self._name, self._ident = client, name, ident
        self._sit_down(client, released)
        client.handles[id(self)] = self

    def _sit_down(self, client: Client, released: deque[int]) -> ExecutorClient:
        self._executor_client = executor_client = ExecutorClient(client, released, self._ident)
        self._release = weakref.finalize(self, executor_client.abandon)
        self._release.atexit = False
        return executor_client

    def _at_desk(self) -> ExecutorClient:
        client = self._ensure_open()
        executor_client = self._executor_client
        if executor_client.pid != os.getpid():  # a forked child: the futures are the parent's, and so is the thread
            self._release.detach()
            executor_client = self._sit_down(client, executor_client.released)
        return executor_client

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` called by a worker; the future has what it returns or raises.

        Raises RuntimeError after `shutdown`, ExecutorGoneError. The future of a call that comes after another's
        shutdown has the RuntimeError, and after an initializer failed ExecutorBroken.
        """
        return self._at_desk().submit(fn, args, kwargs, None)

    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        return self._at_desk().submit(fn, args, kwargs, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, from nobody; wait until all are done and the workers have ended.

        Or cancel what no worker has begun, whoever submitted it. Again, or without a server, does nothing more.
        """
        with suppress(ClosedError, ServerGoneError):
            executor_client = self._at_desk()
            executor_client.closing = True
            executor_client.ask("shutdown", cancel_futures)
            if wait:
                executor_client.join()
                executor_client.ask("join")

    def kill_workers(self) -> None:
        """`shutdown` without waiting, for all who have the executor, and a SIGKILL for each worker.

        Calls that they ran fail with WorkerDied, others are cancelled. Again, it is for those that are left.
        """
        self._end_workers(kill=True)

    def terminate_workers(self) -> None:
        """The same by SIGTERM, which a call can handle; one that does not end then is waited for as ever."""
        self._end_workers(kill=False)

    def _end_workers(self, kill: bool) -> None:
        with suppress(ClosedError, ServerGoneError):
            executor_client = self._at_desk()
            executor_client.closing = True
            executor_client.ask("end_workers", kill)

    def close(self) -> None:
        """Let go of the executor. Using this handle then raises ClosedError; its calls are finished all the same."""
        client = self._client
        if client is not None:
            self._at_desk()
            self._release()
            self._client = None
            with suppress(ServerGoneError):
                client.flush()

    def statistics(self) -> ExecutorStatistics:
        """Workers and tasks at this moment, of all clients together."""
        picture: ExecutorStatistics = self._at_desk().ask("statistics")
        return picture
