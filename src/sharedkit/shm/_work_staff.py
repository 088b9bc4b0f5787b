"""The worker processes of an executor: started, watched by one thread, killed when told, replaced when dead."""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from sharedkit.shm._work_process import Station, work

__all__ = ["Staff"]

VAIN_STARTS = 8


class Staff:
    """Processes by their numbers, which are never used again.

    `report(number, pid, exit code)` is told of each death, after the dead can have put anything; `arrived(number)`
    says whether a worker ever took tasks. `give_up(why)` is called when one after the other dies before that.
    """

    def __init__(
        self,
        context: BaseContext,
        station: Callable[[int], Station],
        report: Callable[[int, int, int | None], None],
        arrived: Callable[[int], bool],
        expire: Callable[[int], None],
        give_up: Callable[[str], None],
        prefix: str,
    ) -> None:
        self._context: Any = context
        self._station, self._report, self._arrived = station, report, arrived
        self._expire, self._give_up, self._prefix = expire, give_up, prefix
        self._lock = threading.RLock()
        self._processes: dict[int, BaseProcess] = {}
        self._started = 0
        self._vain = 0
        self._deadlines: list[tuple[float, int]] = []
        self._ending = False
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._wake, False)
        self._thread: threading.Thread | None = None

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._processes)

    @property
    def deaths(self) -> int:
        """How many have ended so far."""
        return self._started - len(self._processes)

    def pids(self) -> tuple[int, ...]:
        """Of those there are."""
        with self._lock:
            return tuple(process.pid for process in self._processes.values() if process.pid is not None)

    def start(self, wanted: int) -> None:
        """Have `wanted` workers. The watching thread comes after them, so that the first ones are forked without it."""
        with self._lock:
            while len(self._processes) < wanted:
                self._start_one()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name=f"{self._prefix}-staff", daemon=True)
            self._thread.start()
        else:
            self._rouse()

    def _start_one(self) -> None:
        with self._lock:
            self._started += 1
            number = self._started
            process = self._context.Process(target=work, args=(self._station(number),), name=f"{self._prefix}-{number}")
            try:
                process.start()
            except BaseException:
                self._started -= 1
                raise
            self._processes[number] = process

    def kill(self, number: int) -> None:
        """SIGKILL for that worker, if it is still there."""
        with self._lock:
            process = self._processes.get(number)
            if process is not None:
                process.kill()

    def kill_all(self) -> None:
        """SIGKILL for each."""
        with self._lock:
            for process in self._processes.values():
                process.kill()

    def remind(self, task: int, when: float) -> None:
        """Call `expire(task)` at that time of the monotonic clock."""
        with self._lock:
            heapq.heappush(self._deadlines, (when, task))
        self._rouse()

    def end(self) -> None:
        """Replace nobody any more; the watching thread ends when the last worker has."""
        self._ending = True
        self._rouse()

    def join(self) -> None:
        """Wait for the watching thread."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def close(self) -> None:
        """Give the descriptors back; after the thread's end."""
        os.close(self._wake)
        os.close(self._waker)

    def _rouse(self) -> None:
        with suppress(OSError):  # full: it is awake; closed: nobody is left
            os.write(self._waker, b"!")

    def _watch(self) -> None:
        while True:
            with self._lock:
                watched = {process.sentinel: number for number, process in self._processes.items()}
                if self._ending and not watched:
                    break
                first = self._deadlines[0][0] if self._deadlines else None
            patience = None if first is None else max(0.0, first - time.monotonic())
            ready: list[Any] = connection.wait([*watched, self._wake], patience)
            if self._wake in ready:
                with suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            for sentinel in ready:
                if sentinel != self._wake:
                    self._bury(watched[sentinel])
            self._look_at_clock()
        self._report(0, 0, None)

    def _look_at_clock(self) -> None:
        due = []
        with self._lock:
            while self._deadlines and self._deadlines[0][0] <= time.monotonic():
                due.append(heapq.heappop(self._deadlines)[1])
        for task in due:
            self._expire(task)

    def _bury(self, number: int) -> None:
        """In one step for others, who would start one more between a death and its replacement."""
        why = ""
        with self._lock:
            process = self._processes.pop(number)
            process.join()
            pid, exitcode = process.pid, process.exitcode
            process.close()
            arrived = self._arrived(number) or any(map(self._arrived, self._processes))
            self._vain = 0 if arrived else self._vain + 1
            if self._vain >= VAIN_STARTS:
                why = f"{self._vain} workers in a row ended before they could take a task"
                why += f", the last with exit code {exitcode}"
            elif not self._ending:
                try:
                    self._start_one()
                except Exception as error:
                    why = f"a worker cannot be started: {error!r}"
            alone = not self._processes
        assert pid is not None
        self._report(number, pid, exitcode)
        if why and alone and not self._ending:
            self._give_up(why)
