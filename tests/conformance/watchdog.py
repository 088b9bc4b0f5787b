"""Threads and processes that cannot outlive their test: each has a time limit, and a test that reaches it fails."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

LIMIT = 60.0


class Task:
    """A call in a new thread."""

    def __init__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(call, args, kwargs), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            self._result = call(*args, **kwargs)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, limit: float = LIMIT) -> Any:
        """Return what the call returned, or raise what it raised; AssertionError if it hangs."""
        self._thread.join(limit)
        assert self.done, f"still not back after {limit} s"
        if self._error is not None:
            raise self._error
        return self._result


def in_threads(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """The results of `calls`, which run at the same time, each in a new thread."""
    tasks = [Task(call) for call in calls]
    return [task.result() for task in tasks]


def until(condition: Callable[[], bool], limit: float = LIMIT, what: str = "not so") -> None:
    """Return as soon as the condition holds; AssertionError if it does not hold within the limit."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"{what} after {limit} s"
        time.sleep(0.001)


def end_by_alarm(limit: float = LIMIT) -> None:
    """Let the system end this process after the limit, whatever it does then."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit)


def _guarded(target: Callable[..., Any], args: tuple[Any, ...], answer: Any) -> None:
    end_by_alarm()
    try:
        answer.send((True, target(*args)))
    except BaseException as error:
        answer.send((False, repr(error)))
        raise


class Child:
    """A call in a new process, started by `method`; `target` is a function of an importable module."""

    def __init__(self, method: str, target: Callable[..., Any], *args: Any) -> None:
        context = multiprocessing.get_context(method)
        self._answer, theirs = context.Pipe(duplex=False)
        self._process = context.Process(  # type: ignore[attr-defined]
            target=_guarded, args=(target, args, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid  # type: ignore[no-any-return]

    def result(self, limit: float = LIMIT) -> Any:
        """Return what the call returned; AssertionError if it raised or hangs, or if the process died."""
        try:
            answered = self._answer.poll(limit)
            fine, result = self._answer.recv() if answered else (False, f"no answer after {limit} s")
            assert fine, result
            self._process.join(limit)
            assert self._process.exitcode == 0, f"the child ended with {self._process.exitcode}"
            return result
        except EOFError:
            self._process.join(limit)
            raise AssertionError(f"the child ended with {self._process.exitcode} and no answer") from None
        finally:
            self.end()

    def end(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._answer.close()


def in_children(method: str, target: Callable[..., Any], each: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The results of `target(*args)` for the args in `each`; the calls run at the same time, each in a new process."""
    children: list[Child] = []
    try:
        children.extend(Child(method, target, *args) for args in each)
        return [child.result() for child in children]
    finally:
        for child in children:
            child.end()
