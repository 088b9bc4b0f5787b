"""CPython's own tests of executors, run on sharedkit's: `main(start method or "thread", placement, suite)`.

This is a program of its own, since those tests look for threads and processes that remain. Its test cases are classes
of this module, because children import them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import multiprocessing
import sys
import threading
import unittest
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from conformance.executor_children import ended
from conformance.watchdog import until

import sharedkit as sk
from sharedkit.executors.future import Future
from sharedkit.thread.executor import Future as ThreadFuture

HOME = "test.test_concurrent_futures"
# The class of each suite, by its module.
SUITES = {
    "ExecutorTest": "executor",
    "ProcessPoolExecutorTest": "test_process_pool",
    "ExecutorShutdownTest": "test_shutdown",
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
    "InitializerMixin": "test_init",
    "FailingInitializerMixin": "test_init",
    "ExecutorDeadlockTest": "test_deadlock",
    "FutureTests": "test_future",
}
FOR_THREADS = [
    "ExecutorTest",
    "ExecutorShutdownTest",
    "WaitTests",
    "AsCompletedTests",
    "InitializerMixin",
    "FailingInitializerMixin",
    "FutureTests",
]
OTHERWISE = {
    "test_killed_child": "a worker that dies breaks one call, not the executor",
    "test_broken_process_pool_traceback": "a worker that dies breaks one call, not the executor",
    "test_traceback_when_child_process_terminates_abruptly": "the error itself says which process ended, and how",
    "test_kill_workers": "patches a private method; test_executor_processes.py has it",
    "test_terminate_workers": "patches a private method; test_executor_processes.py has it",
    "test_force_shutdown_workers": "patches private processes; test_executor_processes.py has it",
    "test_force_shutdown_workers_invalid_op": "calls a private method",
    "test_force_shutdown_workers_stops_pool": "joins private processes; test_executor_processes.py has it",
    "test_failed_worker_replacement_breaks_pool": "patches private methods",
    "test_force_shutdown_during_max_tasks_worker_exit": "patches private methods; test_executor_processes.py has it",
    "test_gc_during_max_tasks_worker_exit_gh152967": "patches private methods; test_executor_processes.py has it",
    "test_shutdown_no_wait_max_tasks_gh119592": "looks at a private thread; test_executor_processes.py has it",
    "test_python_finalization_error": "patches the threads of concurrent.futures",
    "test_error_at_task_unpickle": "the call fails with what unpickling raised, and breaks nothing",
    "test_exit_at_task_unpickle": "the call fails with SystemExit, and breaks nothing",
    "test_error_during_result_unpickle_in_result_handler": "the call fails with what unpickling raised",
    "test_exit_during_result_unpickle_in_result_handler": "the call fails with SystemExit, and breaks nothing",
    "test_shutdown_deadlock_pickle": "looks at the private thread of ProcessPoolExecutor",
    "test_gh105829_should_not_deadlock_if_wakeup_pipe_full": "patches the private pipe of ProcessPoolExecutor",
    "test_cancel_futures": "cancels all calls that no worker has begun, perhaps all there are; see test_executor.py",
    "test_cancel": "waiters are notified at once, so it finds a later state; see test_executor.py",
    "test_hang_gh83386": "its program names a start method but does not import multiprocessing",
    "test_max_workers_too_large": "for Windows",
    "test_saturation": "a semaphore cannot be pickled, and calls that fail at once start no worker",
    "test_processes_terminate": "a semaphore cannot be pickled, and calls that fail at once start no worker",
}


SERVED_OTHERWISE = {
    "test_max_tasks_per_child_defaults_to_spawn_context": "a server's workers start by a fork server",
    "test_initializer": "its multiprocessing queue goes only to children of this process; see test_executor_served.py",
}


class Examined(sk.Executor):
    """sharedkit's executor, with the private attributes that the suites read."""

    _processes = property(lambda self: dict(self._executor_manager._worker_pool._processes))
    _max_workers = property(lambda self: self._executor_manager.workers)
    _broken = property(lambda self: self._executor_manager._broken)
    _mp_context = property(lambda self: self._executor_manager._worker_pool._context)


class Remote:
    """A process that the server has started; this process cannot join it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def join(self) -> None:
        """Wait until the process has ended."""
        until(lambda: ended(self.pid))


SERVER: Any = sk.get_context("manager")  # its server starts at the first use


class Served(SERVER.Executor):  # type: ignore[misc]
    """The executor of the placement `manager`, with the private attributes that the suites read."""

    _processes = property(lambda self: {pid: Remote(pid) for pid in self.statistics().workers})
    _max_workers = property(lambda self: self.statistics().max_workers)
    _broken = False
    _mp_context = property(lambda self: multiprocessing.get_context("forkserver"))


class ExecutorClient:
    """Stands in for the client of a future that has no executor."""

    def __init__(self) -> None:
        self.settling = threading.RLock()

    def withdraw(self, future: Any, running: bool) -> bool:
        """Cancel the future, as if no worker had begun its call."""
        return bool(future._state == "PENDING")

    def is_running(self, task: int) -> bool:
        """Return False: no call is running."""
        return False


def loose(placement: str, state: str = "PENDING", exception: BaseException | None = None, result: Any = None) -> Any:
    """A future of sharedkit without an executor, in any state."""
    future: Any = Future(ExecutorClient(), None, 0, None) if placement != "thread" else ThreadFuture()
    future._state, future._exception, future._result = state, exception, result
    return future


class Threads(sk.get_context("thread").Executor):  # type: ignore[misc]
    """The placement `thread`."""


def module_of(name: str) -> Any:
    """A module of CPython's test package; before Python 3.12 the package is one module."""
    home = importlib.import_module(HOME)
    return importlib.import_module(f"{HOME}.{name}") if hasattr(home, "__path__") else home


def _event(self: Any) -> Any:
    """A method of CPython's mixins from Python 3.14 on: an event for calls; for workers in processes, from a server."""
    return threading.Event() if self.manager is None else self.manager.Event()


def cases_of(placement: str, method: str) -> dict[str, type[unittest.TestCase]]:
    """The suites for one placement."""
    util = module_of("util")
    made = {}
    # The suites of process pools include the tests of all executors.
    for suite in FOR_THREADS if method == "thread" else [each for each in SUITES if each != "ExecutorTest"]:
        try:
            theirs = getattr(module_of(SUITES[suite]), suite)
        except AttributeError:  # another version of Python has no such suite
            continue
        kind: Any = KINDS[placement]
        members: dict[str, Any] = {"executor_type": kind, "create_event": _event}
        if method != "thread":
            members["ctx"] = method
            members["get_context"] = lambda self: multiprocessing.get_context(self.ctx)
        otherwise = OTHERWISE if placement in ("shm", "manager") else {}
        if placement == "manager":
            otherwise = OTHERWISE | SERVED_OTHERWISE
        members |= {
            name: unittest.skip(reason)(getattr(theirs, name))
            for name, reason in otherwise.items()
            if hasattr(theirs, name) and (name != "test_initializer" or suite == "FailingInitializerMixin")
        }
        name = f"{placement.capitalize()}{method.capitalize()}{suite}"
        members |= {"__module__": __name__, "__qualname__": name}
        needs = [] if suite == "FutureTests" or issubclass(theirs, util.ExecutorMixin) else [util.ExecutorMixin]
        made[suite] = type(name, (theirs, *needs, util.BaseTestCase), members)
    return made


KINDS = {"shm": Examined, "thread": Threads, "manager": Served, "standard": futures.ProcessPoolExecutor}
METHODS = [("shm", method) for method in ("fork", "spawn", "forkserver")] + [
    ("thread", "thread"),
    ("manager", "forkserver"),
]
CASES = {(placement, method): cases_of(placement, method) for placement, method in [*METHODS, ("standard", "fork")]}
for made in CASES.values():
    globals().update({case.__name__: case for case in made.values()})


@contextlib.contextmanager
def they_use_ours(placement: str, suite: str) -> Iterator[None]:
    """Replace what the suite imports from `concurrent.futures`.

    The shutdown tests start programs with `from concurrent.futures import …`: these import from this module. The tests
    of futures make some by hand, and use a few that were made at import.
    """
    module = module_of(SUITES[suite])
    if suite == "FutureTests":
        standing = {name: each for name, each in vars(module).items() if name.endswith("_FUTURE")}
        for name, each in standing.items():
            setattr(module, name, loose(placement, each._state, each._exception, each._result))
        module.create_future = module.Future = functools.partial(loose, placement)
    if suite != "ExecutorShutdownTest":
        yield
        return
    original = module.assert_python_ok

    def ours(flag: str, program: str) -> Any:
        program = program.replace("from concurrent.futures import", "from conformance.cpython_executors import")
        lines = program.split("\n")
        path = f"{' ' * (len(lines[1]) - len(lines[1].lstrip()))}import sys; sys.path[:] = {sys.path!r}"
        return original(flag, "\n".join([lines[0], path, *lines[1:]]))

    module.assert_python_ok = ours
    try:
        yield
    finally:
        module.assert_python_ok = original


def main(method: str, placement: str, *suites: str) -> None:
    """Run the suites and exit with 0 where all of them pass."""
    failed = False
    for suite in suites:
        with they_use_ours(placement, suite):
            tests = unittest.defaultTestLoader.loadTestsFromTestCase(CASES[placement, method][suite])
            result = unittest.TextTestRunner(sys.stderr, verbosity=2).run(tests)
        failed |= not result.wasSuccessful() or not result.testsRun
    if placement == "manager":
        SERVER.close()
        until(lambda: threading.active_count() == 1)
    assert threading.active_count() == 1, threading.enumerate()
    sys.exit(1 if failed else 0)
