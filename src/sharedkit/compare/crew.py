"""Crews: workers that are started once and then run the same program lap after lap.

A program is `program(shared, rank, amount, clock) -> result`. Its code before `with clock:` is preparation, its code
after it is checking; the code inside is timed. Entering the clock waits for all other workers, so that no worker's
start-up is measured. A lap lasts from the first start to the last stop (CLOCK_MONOTONIC is one clock for the whole
machine).
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Protocol, Self

from sharedkit.compare.workload import Lap, WorkerFailed

__all__ = ["Clock", "ProcessCrew", "Program", "ThreadCrew", "interrupts_held"]

SLICE = 0.05
GRACE = 2.0


class _Meeting(Protocol):
    """The common part of `threading.Barrier` and `multiprocessing.Barrier`."""

    def wait(self, timeout: float | None = None) -> int: ...


class Clock:
    """Times the body of a `with` statement that begins when every worker has reached it."""

    def __init__(self, meeting: _Meeting) -> None:
        self._meeting = meeting
        self.start = 0
        self.stop = 0

    def __enter__(self) -> Self:
        self._meeting.wait()
        self.start = time.perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop = time.perf_counter_ns()


Program = Callable[[Any, int, int, Clock], Any]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block Ctrl-C inside the block: a process started there inherits the mask and leaves Ctrl-C to its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _span(times: Sequence[tuple[int, int]]) -> float:
    return (max(stop for _, stop in times) - min(start for start, _ in times)) / 1e9


class ThreadCrew:
    """One thread for each role. The threads are new in each lap, and all wait at the clock before it starts."""

    def __init__(self, roles: Sequence[Program], shared: Any, patience: float) -> None:
        self._roles = roles
        self._shared = shared
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: a lap joins its threads."""

    def lap(self, amount: int) -> Lap:
        """Run every role once. Raises WorkerFailed."""
        meeting = threading.Barrier(len(self._roles))
        clocks = [Clock(meeting) for _ in self._roles]
        results: list[Any] = [None] * len(self._roles)
        failures: list[str] = []

        def serve(rank: int, program: Program) -> None:
            try:
                results[rank] = program(self._shared, rank, amount, clocks[rank])
            except BaseException:
                failures.append(f"worker {rank} raised\n{traceback.format_exc()}")
                meeting.abort()

        threads = [
            threading.Thread(target=serve, args=(rank, program), daemon=True, name=f"compare-{rank}")
            for rank, program in enumerate(self._roles)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self._patience
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(SLICE)
            if failures:
                deadline = min(deadline, time.monotonic() + GRACE)
            if time.monotonic() > deadline:
                failures.append(f"a worker did not finish within {self._patience:g} s")
                break
        if failures:
            raise WorkerFailed(failures[0])
        return Lap(_span([(clock.start, clock.stop) for clock in clocks]), results)


def _serve(program: Program, shared: Any, rank: int, meeting: _Meeting, orders: Any) -> None:
    """The main loop of a worker process: it runs a lap for each amount it receives, until None or the parent's end."""
    while True:
        try:
            amount = orders.recv()
        except EOFError:
            return
        if amount is None:
            return
        clock = Clock(meeting)
        try:
            result = program(shared, rank, amount, clock)
        except BaseException:
            orders.send((None, traceback.format_exc()))
            return
        orders.send(((clock.start, clock.stop), result))


class ProcessCrew:
    """One process for each role, started by `context` and warm from the first lap on. Raises WorkerFailed if a start
    fails."""

    def __init__(self, roles: Sequence[Program], shared: Any, context: BaseContext, patience: float) -> None:
        self._patience = patience
        self._busy = False
        self._pipes: list[Any] = []
        self._processes: list[BaseProcess] = []
        self._meeting = context.Barrier(len(roles))  # kept: its semaphores must exist until the children have started
        try:
            with interrupts_held():
                for rank, program in enumerate(roles):
                    self._start(context, program, shared, rank)
        except BaseException:
            self.close()
            raise

    def _start(self, context: Any, program: Program, shared: Any, rank: int) -> None:
        ours, theirs = context.Pipe()
        self._pipes.append(ours)
        told = (program, shared, rank, self._meeting, theirs)
        process = context.Process(target=_serve, args=told, daemon=True, name=f"compare-{rank}")
        process.start()
        self._processes.append(process)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lap(self, amount: int) -> Lap:
        """Run every role once. Raises WorkerFailed."""
        self._busy = True
        for pipe in self._pipes:
            pipe.send(amount)
        answers: dict[int, tuple[tuple[int, int], Any]] = {}
        deadline = time.monotonic() + self._patience
        while len(answers) < len(self._pipes):
            waiting = [pipe for rank, pipe in enumerate(self._pipes) if rank not in answers]
            ready = connection.wait(waiting, max(0.0, deadline - time.monotonic()))
            if not ready:
                raise WorkerFailed(f"a worker did not finish within {self._patience:g} s")
            for pipe in ready:
                rank = self._pipes.index(pipe)
                answers[rank] = self._answer(rank)
        self._busy = False
        inorder = [answers[rank] for rank in range(len(self._pipes))]
        return Lap(_span([times for times, _ in inorder]), [result for _, result in inorder])

    def _answer(self, rank: int) -> tuple[tuple[int, int], Any]:
        try:
            times, result = self._pipes[rank].recv()
        except (EOFError, ConnectionError):
            self._processes[rank].join(GRACE)
            raise WorkerFailed(f"worker {rank} died, exit code {self._processes[rank].exitcode}") from None
        if times is None:
            raise WorkerFailed(f"worker {rank} raised\n{result}")
        return times, result

    def close(self) -> None:
        """End every worker: idle ones leave by themselves, those in an unfinished lap are terminated."""
        with interrupts_held():
            for pipe in self._pipes:
                with suppress(OSError):
                    pipe.send(None)
                pipe.close()
            deadline = time.monotonic() + (0.0 if self._busy else GRACE)
            for end in (BaseProcess.terminate, BaseProcess.kill):
                for process in self._processes:
                    process.join(max(0.0, deadline - time.monotonic()))
                for process in self._processes:
                    if process.is_alive():
                        end(process)
                deadline = time.monotonic() + GRACE
            for process in self._processes:
                process.join()
                process.close()
            self._processes.clear()
            self._pipes.clear()
