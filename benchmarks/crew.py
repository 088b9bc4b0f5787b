"""Processes that run the same lap over and over, start at one barrier and time themselves.

A crew is forked once and kept. Its workers open the shared structure, wait (asleep, in a pipe) for the next lap,
prepare it before the clock starts, meet at a barrier, run, and answer with their own start and end. perf_counter is one
clock for all processes of a machine, so a lap lasts from the first start to the last end.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from time import perf_counter, process_time
from typing import Any

FORK = multiprocessing.get_context("fork")
PATIENCE = 60.0  # seconds after which a worker that has not finished its lap is stuck


class LapFailed(Exception):
    """Raised when a worker of a crew failed, died or was stuck; the message says which and how."""


class Worker(ABC):
    """One process's part in a lap. Every method but the constructor is called in that process."""

    def open(self) -> None:  # noqa: B027 - many have nothing to open
        """Attach to the shared structure; once, after the fork."""

    @abstractmethod
    def prepare(self, operations: int, clocked: bool) -> None:
        """Prepare a lap before the clock starts; `clocked`: the time of each operation is wanted."""

    @abstractmethod
    def run(self) -> None:
        """Run the lap, while the clock runs."""

    def finish(self) -> Any:  # noqa: B027
        """Return the data that the parent needs for its checks (picklable), after the clock has stopped."""

    def close(self) -> None:  # noqa: B027
        """Detach from the shared structure; once, at the end."""


@dataclass(frozen=True)
class Finish:
    """When one worker started and ended (seconds of perf_counter), its CPU time, and the result of its `finish`."""

    start: float
    end: float
    cpu: float
    answer: Any


class Crew:
    """Forked processes, one for each worker; `close` ends them in whatever state they are.

    `pinned` gives each worker its own core; if there are more workers than cores, they share them in turn.
    """

    def __init__(self, workers: Sequence[Worker], pinned: bool = False) -> None:
        # Kept as long as the crew: otherwise its memory would be reused while the workers still use it.
        self._barrier = FORK.Barrier(len(workers))
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        cores = sorted(os.sched_getaffinity(0))
        for number, worker in enumerate(workers):
            core = cores[number % len(cores)] if pinned else None
            ours, theirs = FORK.Pipe()
            process = FORK.Process(target=_serve, args=(worker, theirs, self._barrier, core), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def lap(self, operations: int, clocked: bool = False) -> list[Finish]:
        """Run one lap in every worker and return the results of all, in the order of the workers."""
        for pipe in self._pipes:
            pipe.send((operations, clocked))
        return [self._answer(index) for index in range(len(self._pipes))]

    def _answer(self, index: int) -> Finish:
        pipe, process = self._pipes[index], self._processes[index]
        ready = wait([pipe, process.sentinel], timeout=PATIENCE + 10)
        if pipe not in ready:
            raise LapFailed(
                f"worker {index} of {len(self._pipes)} "
                + (f"died with exit code {process.exitcode}" if ready else "is stuck")
            )
        try:
            answer = pipe.recv()
        except EOFError:
            process.join(2)
            answer = f"it ended with exit code {process.exitcode}; its traceback is on stderr"
        if isinstance(answer, str):
            raise LapFailed(f"worker {index} of {len(self._pipes)} failed:\n{answer}")
        assert isinstance(answer, Finish)
        return answer

    def close(self) -> None:
        """End every worker by a message; kill those that do not end."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:  # the worker has ended already
                continue
        for process in self._processes:
            process.join(2)
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in self._pipes:
            pipe.close()


def _serve(worker: Worker, pipe: Connection, barrier: Barrier, core: int | None) -> None:
    parent = os.getppid()
    gc.disable()
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        _watch()
        worker.open()
        while (order := _next_order(pipe, parent)) is not None:
            _watch()
            worker.prepare(*order)
            barrier.wait(PATIENCE)
            cpu, start = process_time(), perf_counter()
            worker.run()
            end = perf_counter()
            pipe.send(Finish(start, end, process_time() - cpu, worker.finish()))
        _watch()
        worker.close()
    except BaseException:
        barrier.abort()
        pipe.send(traceback.format_exc())
    faulthandler.cancel_dump_traceback_later()


def _watch() -> None:
    """End this process, with a traceback, if it still runs after PATIENCE, even if it is stuck in C code."""
    assert sys.__stderr__ is not None  # under pytest, sys.stderr is a file without a descriptor
    faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)


def _next_order(pipe: Connection, parent: int) -> tuple[int, bool] | None:
    """Wait for the next lap, without a time limit, but only while the parent lives."""
    faulthandler.cancel_dump_traceback_later()
    while not pipe.poll(1.0):
        if os.getppid() != parent:
            os._exit(1)
    order: tuple[int, bool] | None = pipe.recv()
    return order
