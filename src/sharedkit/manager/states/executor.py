"""An executor in the server: it passes calls to worker processes on its machine, and answers with their outcomes.

A call is a request that waits for its outcome. So if a client dies, its request ends like any other wait, and the call
is cancelled if no worker has begun it. The workers are those of an executor in shared memory. It is imported when it is
first needed, because placements do not import each other and few servers have executors. That executor starts processes
and takes locks, so the server's loop never calls it: one helper thread, the *submitter*, calls it in the order of the
requests.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from importlib import import_module
from typing import Any, TypeVar

from sharedkit._core.background import background
from sharedkit._core.segment import leave_all, sweep_left
from sharedkit.manager.calls import Home, Outcome, failure, make_call, prepare, sendable
from sharedkit.manager.loop import Loop
from sharedkit.manager.protocol import Cancelled, Packed
from sharedkit.manager.sessions import Session
from sharedkit.manager.states.base import Call, Line, State, Wait, Waiting
from sharedkit.statistics import ExecutorStatistics

__all__ = ["ExecutorState", "end_workers"]

WORKERS = "sharedkit.shm"

T = TypeVar("T")

_working: set[Any] = set()  # executors that may have workers
_making = threading.Lock()
_over = False


def end_workers() -> None:
    """Kill all workers and wait for their end, when the server's process ends, so that no shared memory remains."""
    global _over
    with _making:
        _over = True
    for executor in list(_working):
        executor.kill_workers()
    for executor in list(_working):
        executor.shutdown()
    leave_all()
    sweep_left()


class Job:
    """One call. The helper thread uses `future`, the loop uses `outcome` and `line`."""

    def __init__(self) -> None:
        self.future: Any = None
        self.outcome: Outcome | None = None
        self.line = Line(lambda: True)

    def finish(self, outcome: Outcome | None) -> None:
        """Answer the waiting request, in the loop."""
        self.outcome = outcome
        self.line.release()

    def cancel(self, running: bool = False) -> bool:
        """Take the call back, or end its worker; called in the helper thread."""
        return self.future is not None and self.future.cancel(running)

    def is_running(self) -> bool:
        """Whether a worker has begun the call; called in the helper thread."""
        return self.future is not None and self.future.running()


class ExecutorState(State):
    """`_jobs` are the calls that are not over, by session and by the client's own number."""

    kind = "Executor"

    def __init__(self, name: str, spec: dict[str, Any], home: Home, initializer: bytes) -> None:
        super().__init__(name, spec)
        self._start = home, initializer
        self._submitter = ThreadPoolExecutor(1, "sharedkit-submitter")
        self._jobs: dict[tuple[Session, str, int], Job] = {}
        self._ending = self._ended = False
        self._joiners = Line(lambda: self._ended)
        self.lines = (self._joiners,)

    @cached_property
    def _executor(self) -> Any:
        """The executor in shared memory; the helper thread creates it when it is first needed."""
        make = import_module(WORKERS).Executor
        with _making:
            if _over:
                raise RuntimeError("the server ends")
            made = make(
                self.spec["max_workers"],
                multiprocessing.get_context(self.spec["method"]),
                prepare,
                self._start,
                max_tasks_per_child=self.spec["max_tasks_per_child"],
                thread_name_prefix=self.spec["prefix"],
            )
            _working.add(made)
        return made

    def do_run(
        self, call: Call, key: str, number: int, packed: Packed, timeout: float | None
    ) -> Waiting[Outcome | None]:
        """Submit a call; the answer is its outcome, or None if it was cancelled."""
        job = Job()
        self._jobs[call.session, key, number] = job
        self._submitter.submit(self._begin, job, call.channel.loop, packed, timeout)
        try:
            yield Wait(job.line)
        except Cancelled:
            self._submitter.submit(job.cancel)
            raise
        finally:
            del self._jobs[call.session, key, number]
        return job.outcome

    def _begin(self, job: Job, loop: Loop, packed: Packed, timeout: float | None) -> None:
        """Submit the call, in the helper thread."""

        def over(future: Any) -> None:
            outcome: Outcome | None = None
            if not future.cancelled():
                error = future.exception()
                outcome = sendable(future.result()) if error is None else failure(error)
            loop.soon(partial(job.finish, outcome))

        try:
            job.future = self._executor.submit_with(make_call, packed, timeout=timeout)
        except Exception as error:  # the executor is shut down, or broken
            loop.soon(partial(job.finish, failure(error)))
        else:
            job.future.add_done_callback(over)

    def _ask(self, call: Call, do: Callable[..., T], *args: Any) -> Waiting[T]:
        """Wait until the helper thread has called `do`, and return its result."""
        loop = call.channel.loop
        line = Line(lambda: True)
        asked = self._submitter.submit(do, *args)
        asked.add_done_callback(lambda _: loop.soon(line.release))
        yield Wait(line)
        return asked.result()

    def do_take_back(self, call: Call, key: str, number: int, running: bool) -> Waiting[bool]:
        """Whether the call is cancelled."""
        job = self._jobs.get((call.session, key, number))
        return job is not None and (yield from self._ask(call, job.cancel, running))

    def do_is_running(self, call: Call, key: str, number: int) -> Waiting[bool]:
        job = self._jobs.get((call.session, key, number))
        return job is not None and (yield from self._ask(call, job.is_running))

    def do_statistics(self, call: Call) -> Waiting[ExecutorStatistics]:
        snapshot: ExecutorStatistics = yield from self._ask(call, lambda: self._executor.statistics())
        return snapshot

    # --- the end

    def do_shutdown(self, call: Call, cancel_futures: bool) -> Waiting[None]:
        yield from self._ask(call, lambda: self._executor.shutdown(False, cancel_futures=cancel_futures))
        self._begin_to_end(call)

    def do_end_workers(self, call: Call, kill: bool) -> Waiting[None]:
        yield from self._ask(
            call, lambda: self._executor.kill_workers() if kill else self._executor.terminate_workers()
        )
        self._begin_to_end(call)

    def _begin_to_end(self, call: Call) -> None:
        if not self._ending:
            self._ending = True
            background(self._await_end, args=(call.channel.loop,)).start()

    def _await_end(self, loop: Loop) -> None:
        self._executor.shutdown()
        loop.soon(self._end_came)

    def _end_came(self) -> None:
        self._ended = True
        self.settle()

    def do_join(self, call: Call) -> Waiting[None]:
        if not self._ended:
            yield Wait(self._joiners)

    def end(self, at_once: bool = False) -> None:
        if at_once:
            for job in self._jobs.values():
                self._submitter.submit(job.cancel, True)
        self._submitter.submit(self._end)
        self._submitter.shutdown(wait=False)

    def _end(self) -> None:
        if "_executor" in vars(self):
            self._executor.shutdown(cancel_futures=True)
            _working.discard(self._executor)
