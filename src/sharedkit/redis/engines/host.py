"""The side of a worker of an engine: it claims calls in the record, and has child processes run them.

    the engine's thread: run ──► claim in Redis ──► a child of this process runs the call ──► the outcome, the result

A call runs in a child, so that it can be ended, and so that a call that dies takes no worker with it. The children are
those of the executor in shared memory: one for each thread of the worker, started when a call needs it. They
end with the executor, with this process, or when the program that submitted the calls is gone.
"""

from __future__ import annotations

import os
import pickle
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from multiprocessing import context as mp_context
from multiprocessing import process, util
from typing import Any

from sharedkit._core.background import background
from sharedkit.errors import ExecutorBroken, SharedkitError
from sharedkit.executors.future import Future
from sharedkit.executors.processes.executor_manager import ExecutorManager
from sharedkit.redis.engines.calls import BEGUN, BROKEN, CANCELLED, GONE, Outcome, Packed, failure, make_call
from sharedkit.redis.engines.record import GONE as NO_EXECUTOR
from sharedkit.redis.engines.record import TAKEN, YES, Owner, RecordOfWorker, Where
from sharedkit.redis.placement import placement_of

__all__ = ["BEGIN", "Host", "Start", "host_of", "known"]

LOOK = 1.0  # seconds between two looks whether the executors still exist
BEGIN = 10.0  # the most seconds that `end_call` should wait for a call that has been claimed to begin

Start = tuple[str, int | None, str, Packed]
"""What a host needs to know: start method, `max_tasks_per_child`, prefix of names, (initializer, initargs)."""

_hosts: dict[tuple[bytes, str], Host] = {}
_lock = threading.Lock()
_undaemonizing = threading.Lock()


# --- the children ----------------------------------------------------------------------------------------


class Host:
    """The children of one worker for one executor. `address` is how the engine reaches this worker."""

    def __init__(self, record: RecordOfWorker, start: Start, address: str, threads: int) -> None:
        method, limit, prefix, initializer = start
        self.record = record
        self.owner = Owner(os.getpid(), address)
        self.running: dict[int, Future[Any] | None] = {}  # None: claimed, but not with the children yet
        self.is_over = False  # its executor is gone
        arguments = (record.home.address.url, *record.home.travels()[1:], initializer)
        self.children = ExecutorManager(threads, _contexts[method](), prepare, arguments, limit, prefix)

    def run(self, number: int, call: Packed, limit: float | None) -> Outcome:
        """Run a call in a child. Each invocation is an attempt of its own."""
        try:
            self.running[number] = None
            try:
                answer, other = self.record.claim(number, secrets.token_hex(8).encode(), self.owner)
            except SharedkitError as error:
                return failure(error)  # Redis has not said that this attempt may begin, so it does not
            if answer == YES:
                return self._begin(number, call, limit)
            if answer == TAKEN:
                return Outcome(BEGUN, text=other)
            return Outcome(GONE if answer == NO_EXECUTOR else CANCELLED)
        finally:
            self.running.pop(number, None)

    def _begin(self, number: int, call: Packed, limit: float | None) -> Outcome:
        try:
            future = self.running[number] = self.children.submit(make_call, (call,), {}, limit)
            outcome: Outcome = future.result()
            return outcome
        except futures.CancelledError:
            return Outcome(CANCELLED)
        except ExecutorBroken as error:
            cause = "" if error.__cause__ is None else str(error.__cause__)
            return failure(error, cause.removeprefix('\n"""\n').removesuffix('"""'), BROKEN)
        except Exception as error:
            return failure(error)

    def is_about_to_begin(self, number: int) -> bool:
        """Whether the call is claimed, but not with the children yet."""
        return number in self.running and self.running[number] is None

    def end_call(self, number: int) -> bool:
        """End a call that runs; whether that was possible."""
        future = self.running.get(number)
        return future is not None and future.cancel(running=True)

    def end(self, by: Callable[[process.BaseProcess], None]) -> None:
        """Apply `by` to each child, and begin no further call."""
        self.children.end_workers(by)

    def counts(self) -> tuple[tuple[int, ...], int, int]:
        """Process ids of the children, how many calls are with them, how many children have died."""
        pids, _, _, deaths = self.children.counts()
        return pids, len(self.running), deaths


def known(base: bytes, address: str) -> Host | None:
    """The host for the executor with that record in this worker, if there is one."""
    return _hosts.get((base, address))


def host_of(where: Where, address: str, threads: int, made: Callable[[Host], object] = lambda _: None) -> Host | None:
    """The host for that executor in this worker; None if the executor is gone. `made` is called with a new one.

    Raises ServerGoneError.
    """
    key = where[4], address
    host = _hosts.get(key)
    if host is not None:
        return host
    record = RecordOfWorker(where)
    start = record.start()
    if not start:
        return None
    with _lock:
        host = _hosts.get(key)
        if host is None:
            if not _hosts:
                background(_look_after, name="sharedkit hosts").start()
            host = Host(record, pickle.loads(start), address, threads)
            made(host)
            _hosts[key] = host
            _expect_the_end()
    return host


def _look_after() -> None:
    """Run the thread that ends the children of executors that are gone; it ends when there is none left."""
    while True:
        time.sleep(LOOK)
        for key, host in list(_hosts.items()):
            try:
                there = host.record.exists()
            except SharedkitError:  # Redis does not answer; it may again
                continue
            if not there:
                with _lock:
                    _hosts.pop(key, None)
                host.is_over = True
                host.children.shutdown(wait=False)
        with _lock:
            if not _hosts:
                return


def prepare(url: str, prefix: str, lease: float, timeout: float, initializer: Packed) -> None:
    """Prepare a child: let it know the server by the password that its parent knows, then run the initializer."""
    placement_of(url, prefix, lease, timeout)
    fn, args = initializer.unpack()
    if fn is not None:
        fn(*args)


# --- starting and ending them ----------------------------------------------------------------------------


@contextmanager
def _not_daemonic() -> Iterator[None]:
    """Let a daemonic process start children. Dask's nannies start their workers as daemonic, and multiprocessing gives
    such processes no children, since it could not end them; these children end themselves with their parent."""
    config: dict[str, Any] = process.current_process()._config  # type: ignore[attr-defined]
    with _undaemonizing:
        before = config.pop("daemon", None)
        try:
            yield
        finally:
            if before is not None:
                config["daemon"] = before


class _SpawnedChild(mp_context.SpawnProcess):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.daemon = False  # a call may have children of its own

    def start(self) -> None:
        with _not_daemonic():
            super().start()


class _ForkServerChild(mp_context.ForkServerProcess):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.daemon = False

    def start(self) -> None:
        with _not_daemonic():
            super().start()


class _Spawn(mp_context.SpawnContext):
    Process = _SpawnedChild


class _ForkServer(mp_context.ForkServerContext):
    Process = _ForkServerChild


_contexts: dict[str, type[Any]] = {"spawn": _Spawn, "forkserver": _ForkServer}
_expected = False


def _expect_the_end() -> None:
    """Have the children killed when this process ends in order: their calls would keep it for as long as they take, and
    Dask has given them up. Registered late, since what is registered last runs first. Under the lock."""
    global _expected
    if not _expected:
        _expected = True
        util.Finalize(None, _end_all, exitpriority=200)
        threading._register_atexit(_end_all)  # type: ignore[attr-defined]


def _end_all() -> None:
    for host in list(_hosts.values()):
        host.end(process.BaseProcess.kill)
