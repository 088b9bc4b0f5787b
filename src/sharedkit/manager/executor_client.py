"""A client's side of an executor behind a server: the futures of one handle in one process.

A call is a request that is answered when the call is over. The thread that reads all answers of this process receives
the answers; a thread of the executor client unpickles them and runs callbacks, which may take long or make requests.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from sharedkit._core.background import background
from sharedkit._core.weak_sets import members
from sharedkit.errors import ClosedError, ExecutorGoneError, ServerGoneError, SharedkitError
from sharedkit.executors.future import Future
from sharedkit.manager.arguments import plain
from sharedkit.manager.calls import unpack_outcome
from sharedkit.manager.client import Client
from sharedkit.manager.protocol import pack
from sharedkit.manager.requests import Pending

__all__ = ["ExecutorClient"]

_executor_clients: weakref.WeakSet[ExecutorClient] = weakref.WeakSet()
_ending = threading.Event()  # set when the interpreter ends


class ExecutorClient:
    """Holds no reference to its handle, so that an unused handle can be collected; the handle's calls are finished
    anyway.

    It releases the structure only when it expects no further answer.
    """

    def __init__(self, client: Client, released: deque[int], ident: int) -> None:
        self.settling = threading.RLock()
        self.pid = os.getpid()
        self.closing = False
        self.released = released
        self._client, self._ident = client, ident
        self._key = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._futures: dict[int, Future[Any]] = {}
        self._answers: SimpleQueue[tuple[int, Pending] | None] = SimpleQueue()  # None: the handle is gone
        self._lock = threading.RLock()  # reentrant: a signal handler may submit, too
        self._told = threading.Condition()  # notified when a call and its callbacks are over
        self._thread: threading.Thread | None = None
        _executor_clients.add(self)

    # --- for the handle

    def submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
    ) -> Future[Any]:
        """Send a call and return its future. An error of pickling is set on the future."""
        if self.closing or _ending.is_set():
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Any] = Future(self, None, 0, timeout)
        try:
            packed = pack((fn, args, kwargs))
        except Exception as error:
            future.settle(None, error)
            return future
        with self._lock:
            if self._thread is None:
                self._thread = background(self._deliver, name="sharedkit-collector")
                self._thread.start()
        number = future._task = next(self._numbers)
        self._futures[number] = future
        try:
            request = plain("Executor", "run", (self._key, number, packed, timeout))
            self._client.begin(self._ident, "run", request, partial(self._answered, number))
        except BaseException as error:
            with self._told:
                self._futures.pop(number, None)
                self._told.notify_all()
            if isinstance(error, ServerGoneError):
                raise ExecutorGoneError(str(error)) from error
            raise
        return future

    def ask(self, method: str, *args: Any) -> Any:
        """The server's answer, which shows that the server has read all calls that were submitted before."""
        over = threading.Event()
        pending = self._client.begin(self._ident, method, plain("Executor", method, args), lambda _: over.set())
        try:
            over.wait()
        except BaseException:
            pending.cancel()
            raise
        if pending.cancelled:
            raise ClosedError("it was closed while this call waited")
        return pending.result()

    def join(self) -> None:
        """Wait until all calls and their callbacks are over. When a callback calls this, do not wait for itself."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            with self._told:
                self._told.wait_for(lambda: not self._futures)

    def abandon(self) -> None:
        """Record that the handle is gone. This may run at any moment in any thread, so it neither locks nor waits."""
        if self._thread is None:
            self.released.append(self._ident)
        else:
            self._answers.put(None)

    # --- for futures

    def withdraw(self, future: Future[Any], running: bool) -> bool:
        """Take a call back; `Future.cancel` calls this."""
        return self._asked(future._task, "take_back", running)

    def is_running(self, task: int) -> bool:
        """Whether a worker has begun the call."""
        return self._asked(task, "is_running")

    def _asked(self, number: int, method: str, *args: Any) -> bool:
        if number not in self._futures:
            return False
        try:
            return bool(self.ask(method, self._key, number, *args))
        except SharedkitError:  # the futures will get the error
            return False

    # --- answers

    def _answered(self, number: int, pending: Pending) -> None:
        self._answers.put((number, pending))

    def _deliver(self) -> None:
        left = False
        while not left or self._futures:
            answer = self._answers.get()
            if answer is None:
                left = True
            else:
                self._settle(*answer)
            del answer  # no reference is kept while the thread waits
        self.released.append(self._ident)
        with suppress(SharedkitError):  # the server, or this process's session, has ended
            self._client.flush()

    def _settle(self, number: int, pending: Pending) -> None:
        future = self._futures.get(number)
        if future is None:
            return
        try:
            self._tell(future, pending)
        finally:
            with self._told:
                self._futures.pop(number, None)  # a `submit` that a signal handler has ended removes its future, too
                self._told.notify_all()

    def _tell(self, future: Future[Any], pending: Pending) -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            if pending.cancelled:
                raise ServerGoneError("this process has ended its session with the server")
            outcome = pending.result()
        except ServerGoneError as gone:
            error = ExecutorGoneError(str(gone))
        except Exception as why:
            error = why
        else:
            if outcome is None:
                future.take_back()
                return
            value, error = unpack_outcome(outcome)
        future.settle(value, error)


def _at_exit() -> None:
    """Wait for all calls before the interpreter joins its threads: calls still run, as in concurrent.futures."""
    _ending.set()
    for executor_client in members(_executor_clients):
        if executor_client.pid == os.getpid():
            with suppress(SharedkitError):
                executor_client.join()


threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
