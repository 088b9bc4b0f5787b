"""An executor behind a server: any client submits calls, worker processes on the server's machine run them."""

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
from sharedkit.executors.base import ExecutorFace, check_arguments, check_context, check_engine, check_retiring
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

    A handle can be pickled, and attached by name; each handle has its own futures. When a worker dies, the call that it
    ran fails (WorkerDied) and the worker is replaced. When a client dies, its calls that no worker has begun are
    dropped. If the server ends, futures fail with ExecutorGoneError. `shutdown` acts for all clients of the executor,
    like a queue's; `close` closes one handle, whose calls are still finished. Calls and results are pickled and pass
    through the server, which never unpickles them. Workers get the module paths and the main module of the program that
    made the executor, as far as these paths exist on the server's machine.

    `mp_context` says how workers start: by default by "forkserver", because a server has threads. Without `max_workers`
    there is one worker for each core of the server. Raises ValueError and TypeError for invalid arguments, and the
    errors of other structures for names.
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
        on: Any = None,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
    ) -> None:
        check_engine(on)
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
        self._new_client(client, released)
        client.handles[id(self)] = self

    def _new_client(self, client: Client, released: deque[int]) -> ExecutorClient:
        self._executor_client = executor_client = ExecutorClient(client, released, self._ident)
        self._release = weakref.finalize(self, executor_client.abandon)
        self._release.atexit = False
        return executor_client

    def _own_client(self) -> ExecutorClient:
        client = self._ensure_open()
        executor_client = self._executor_client
        if executor_client.pid != os.getpid():  # in a forked child the futures and the thread belong to the parent
            self._release.detach()
            executor_client = self._new_client(client, executor_client.released)
        return executor_client

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn(*args, **kwargs)`; the future gets the result or the exception.

        Raises RuntimeError after `shutdown`, ExecutorGoneError. If another client has shut the executor down, the
        future of the call gets the RuntimeError; if an initializer has failed, it gets ExecutorBroken.
        """
        return self._own_client().submit(fn, args, kwargs, None)

    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        return self._own_client().submit(fn, args, kwargs, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls from any client. With `wait`, wait until all are done and the workers have ended.

        `cancel_futures` cancels the calls that no worker has begun, including those of other clients. Calling this
        again, or when the server is gone, does nothing.
        """
        with suppress(ClosedError, ServerGoneError):
            executor_client = self._own_client()
            executor_client.closing = True
            executor_client.ask("shutdown", cancel_futures)
            if wait:
                executor_client.join()
                executor_client.ask("join")

    def kill_workers(self) -> None:
        """Shut down without waiting, for all clients of the executor, and send SIGKILL to each worker.

        The calls that they run fail with WorkerDied; the other calls are cancelled. Calling this again sends the signal
        again to the remaining workers.
        """
        self._end_workers(kill=True)

    def terminate_workers(self) -> None:
        """Do as `kill_workers` does, but with SIGTERM, which a call can handle; the executor waits as usual for a
        worker that does not end."""
        self._end_workers(kill=False)

    def _end_workers(self, kill: bool) -> None:
        with suppress(ClosedError, ServerGoneError):
            executor_client = self._own_client()
            executor_client.closing = True
            executor_client.ask("end_workers", kill)

    def close(self) -> None:
        """Close this handle. Using the handle afterwards raises ClosedError; its calls are still finished."""
        client = self._client
        if client is not None:
            self._own_client()
            self._release()
            self._client = None
            with suppress(ServerGoneError):
                client.flush()

    def statistics(self) -> ExecutorStatistics:
        """Return workers and tasks at this moment, of all clients together: an ExecutorStatistics."""
        snapshot: ExecutorStatistics = self._own_client().ask("statistics")
        return snapshot
