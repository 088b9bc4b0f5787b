"""Processes that run the same lap over and over, start at one barrier and time themselves.

A crew is forked once and stays: its workers open what they share, wait (asleep, in a pipe) for the next
lap, prepare it off the clock, meet at a barrier, run, and answer with their own start and end. perf_counter
is one clock for all processes of a machine, so a lap lasts from the first start to the last end.
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
        """Attach to what is shared; once, after the fork."""

    @abstractmethod
    def prepare(self, operations: int, clocked: bool) -> None:
        """Make ready for a lap, off the clock; `clocked` asks for the time of each operation."""

    @abstractmethod
    def run(self) -> None:
        """The lap itself, on the clock."""

    def finish(self) -> Any:  # noqa: B027
        """What the parent needs for its checks (picklable), off the clock."""

    def close(self) -> None:  # noqa: B027
        """Let go of what is shared; once, at the end."""


@dataclass(frozen=True)
class Finish:
    """When one worker started and ended (seconds of perf_counter), its CPU time, and what it answered."""

    start: float
    end: float
    cpu: float
    answer: Any


class Crew:
    """Forked processes, one for each worker; `close` ends them, however they are.

    `pinned` gives each a core of its own (in turn, where there are more workers than cores).
    """

    def __init__(self, workers: Sequence[Worker], pinned: bool = False) -> None:
        # Kept as long as the crew: the block it lies in would be handed to somebody else, still in use.
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
        """Run one lap in every worker and return what each answered, in the workers' order."""
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
        """End every worker: asked first, killed when it does not leave."""
        for pipe in self._pipes:
            try:
                pipe.send(None)
            except OSError:  # it is gone already
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
    """End this process, with a traceback, when it is still here after PATIENCE: also if stuck in C."""
    assert sys.__stderr__ is not None  # sys.stderr is a file of pytest's without a descriptor
    faulthandler.dump_traceback_later(PATIENCE, exit=True, file=sys.__stderr__)


def _next_order(pipe: Connection, parent: int) -> tuple[int, bool] | None:
    """Wait for the next lap, without a watchdog, but no longer than the parent lives."""
    faulthandler.cancel_dump_traceback_later()
    while not pipe.poll(1.0):
        if os.getppid() != parent:
            os._exit(1)
    order: tuple[int, bool] | None = pipe.recv()
    return order
