"""The future of a call in a worker process, in any placement."""

from __future__ import annotations

import logging
import threading
from concurrent import futures
from typing import Any, Generic, Protocol, TypeVar

from sharedkit._core.timeouts import span
from sharedkit.executors import base

__all__ = ["OVER", "Future", "Keeper"]

T = TypeVar("T")

FINISHED = "FINISHED"
OVER = ("FINISHED", "CANCELLED", "CANCELLED_AND_NOTIFIED")


class Keeper(Protocol):
    """The object that holds the future's task."""

    settling: Any
    """The reentrant lock that guards the state of its futures."""

    def withdraw(self, future: Future[Any], running: bool) -> bool:
        """Take the task back if no worker runs it yet; with `running`, also kill the worker that runs it."""

    def is_running(self, task: int) -> bool:
        """Whether a worker has claimed the task."""


class _Listed:
    """An attribute that becomes an empty list when it is first read; most futures never need the list."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, future: Any, owner: type | None = None) -> list[Any]:
        made: list[Any] = future.__dict__.setdefault(self._name, [])
        return made


class Future(base.Future[T], Generic[T]):
    """A `concurrent.futures.Future` that can cancel a running call, too: `cancel(running=True)`.

    The base class spends most of its time on a condition for each future. Here the futures of one executor share its
    lock, and a condition is made only when a thread waits; `wait`, `as_completed` and the base class find the condition
    under its usual name. Attributes that most futures never change are class attributes.
    """

    # The base class's attributes, except `_condition`.
    _state = "PENDING"
    _result: Any = None
    _exception: BaseException | None = None
    _waiters: Any = _Listed()
    _done_callbacks: Any = _Listed()
    # Attributes of this class.
    _bell: threading.Condition | None = None
    _timeout: float | None = None
    _task = 0  # the task's number, 0 until it has a slot
    _place = 0  # the number of the put that brought the task into the queue
    _deaths = 0  # how many deaths count against the task, see MOST_DEATHS
    _verdict: BaseException | None = None  # why its worker was killed

    def __init__(self, keeper: Keeper, message: Any, size: int, timeout: float | None) -> None:
        # This replaces the base class's __init__.
        self._keeper = keeper
        self._message = message  # the pickled call, kept in case a worker takes it and dies
        self._size = size  # of the message, in bytes
        if timeout is not None:
            self._timeout = timeout

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        bell = self._bell
        if bell is None:
            with self._keeper.settling:
                bell = self._bell
                if bell is None:
                    bell = self._bell = threading.Condition(self._keeper.settling)
        return bell

    def cancel(self, running: bool = False) -> bool:
        """Cancel the call if no worker has begun it; with `running`, also kill the worker that runs it. That worker is
        replaced.

        Returns whether the call is cancelled; False if it is done, or almost done.
        """
        if self._state in OVER or not self._keeper.withdraw(self, running):
            return self.cancelled()
        self.take_back()
        return self.cancelled()

    def take_back(self) -> None:
        """Cancel the call for the keeper, and notify the waiters. Does nothing if the future is over."""
        with self._keeper.settling:
            if self._state in OVER:
                return
            self._state = "CANCELLED_AND_NOTIFIED"
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            if self._bell is not None:
                self._bell.notify_all()
        self.call_back()

    def running(self) -> bool:
        """Whether a worker runs the call now."""
        task = self._task
        return self._state == "RUNNING" or (task != 0 and self._state not in OVER and self._keeper.is_running(task))

    def done(self) -> bool:
        """Whether the call was cancelled or is over."""
        return self._state in OVER

    def result(self, timeout: float | None = None) -> T:
        """Wait up to `timeout` seconds; return what the call returned, or raise what it raised. Also raises
        TimeoutError and CancelledError."""
        if self._state == FINISHED and self._exception is None:
            return self._result  # type: ignore[no-any-return]
        return super().result(span(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait up to `timeout` seconds; return what the call raised, or None. Raises TimeoutError, CancelledError."""
        return super().exception(span(timeout))

    def set_result(self, result: T) -> None:
        """Called by the executor. Raises InvalidStateError if the future is over."""
        with self._keeper.settling:
            if not self.finish(result, None):
                raise futures.InvalidStateError(f"{self._state}: {self!r}")
        self.call_back()

    def settle(self, result: T | None, error: BaseException | None) -> None:
        """Finish the call for the keeper, and notify the waiters. Does nothing if the future is over."""
        with self._keeper.settling:
            if not self.finish(result, error):
                return
        self.call_back()

    def finish(self, result: T | None, error: BaseException | None) -> bool:
        """Finish the call under `settling`, without callbacks; returns False if the future was over before."""
        if self._state in OVER:
            return False
        if error is None:
            self._result = result
        else:
            self._exception = error
        self._state = FINISHED
        if "_waiters" in self.__dict__:
            for waiter in self._waiters:
                if error is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
        if self._bell is not None:
            self._bell.notify_all()
        return True

    def call_back(self) -> None:
        """Run the callbacks of `add_done_callback`. One that raises SystemExit ends no thread but the main one."""
        if "_done_callbacks" not in self.__dict__:
            return
        for callback in self._done_callbacks:
            try:
                callback(self)
            except BaseException as error:
                if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
                    raise
                logging.getLogger("concurrent.futures").exception("exception calling callback for %r", self)
