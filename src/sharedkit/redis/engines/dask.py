"""Dask as an engine: its client, and what runs in its workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent import futures
from contextlib import suppress
from multiprocessing import process
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sharedkit._core.background import background
from sharedkit.errors import SharedkitError
from sharedkit.redis.engines import host
from sharedkit.redis.engines.calls import GONE, Outcome, Packed, failure
from sharedkit.redis.engines.engine import LARGE, Came, Counts, Work
from sharedkit.redis.engines.record import Owner, Where

__all__ = ["DaskEngine"]

MOST_OUTCOMES = 1000  # outcomes in one request
MOST_GATHERS = 3  # requests for outcomes at once: a large outcome must not keep the others waiting
MOST_REQUESTS = 5  # for the same outcomes, if other parts of the program cancel them
LOOK = 1.0  # seconds without an answer to a request after which the states of its tasks are examined
PATIENCE = 10.0  # seconds that a Dask worker has to answer a question
Result = TypeVar("Result")
LOST = ("error", "lost", "cancelled")


class DaskEngine:
    """The cluster of a client. Dask forgets a task whose future is dropped."""

    name = "Dask"

    def __init__(self, client: Any) -> None:
        self.client = client
        self.data: dict[int, Any] = {}  # Dask's futures of scattered calls
        self._watching: set[asyncio.Future[Any]] = set()  # in the loop of the Dask client, as the next two
        self._done: list[tuple[int, Any, Came]] = []  # tasks that are done and whose outcomes were not asked for
        self._gathers = 0

    def submit(self, work: dict[int, Work], where: Where) -> dict[int, Any]:
        calls: list[Any] = [each.call for each in work.values()]
        self._scatter(list(work), calls)
        tasks = self.client.map(
            run_call,
            list(work),
            calls,
            [each.limit for each in work.values()],
            where=where,
            key=[each.key for each in work.values()],
            pure=False,
            retries=0,
        )
        return dict(zip(work, tasks, strict=True))

    def _scatter(self, numbers: list[int], calls: list[Any]) -> None:
        """Put Dask's futures in the place of large calls, after sending their data to workers."""
        large = [place for place, call in enumerate(calls) if call.size >= LARGE]
        if not large:
            return
        try:
            scattered = self.client.scatter([calls[place] for place in large], hash=False)
        except TimeoutError:  # there is no worker yet: the data waits with the scheduler
            return
        for place, there in zip(large, scattered, strict=True):
            calls[place] = self.data[numbers[place]] = there

    def fetch(self, number: int, task: Any, came: Came) -> None:
        self.client.loop.add_callback(self._watch, number, task, came)

    # in the loop of the Dask client

    async def _watch(self, number: int, task: Any, came: Came) -> None:
        """Fetch the outcome of this task when it is done."""
        self._keep(self._wait(number, task, came))

    async def _wait(self, number: int, task: Any, came: Came) -> None:
        with suppress(Exception):
            await task._state.wait()
        self._done.append((number, task, came))
        if self._gathers < MOST_GATHERS:
            self._gathers += 1
            try:
                await self._gather()
            finally:
                self._gathers -= 1

    async def _gather(self) -> None:
        """Fetch the outcomes of all tasks that are done, in one request: many a task that becomes done meanwhile is in
        the next one."""
        await asyncio.sleep(0)  # the scheduler tells of several tasks at once
        while self._done:
            some, self._done = self._done[:MOST_OUTCOMES], self._done[MOST_OUTCOMES:]
            asked = self._keep(self._outcomes({number: task for number, task, _ in some}))
            while not (await asyncio.wait([asked], timeout=LOOK))[0]:
                if any(task.status != "finished" for _, task, _ in some):
                    # Dask has lost a result, and computes it again, after other tasks perhaps. This request goes on,
                    # because Dask may have joined it with requests of others, which would be cancelled, too.
                    for each in some:
                        self._keep(self._fetch(*each))
                    break
            else:
                outcomes = asked.result()
                for number, task, came in some:
                    came((number, task, outcomes.get(number)))

    async def _fetch(self, number: int, task: Any, came: Came) -> None:
        """Fetch one outcome."""
        came((number, task, (await self._outcomes({number: task})).get(number)))

    async def _outcomes(self, tasks: dict[int, Any]) -> dict[int, Outcome]:
        """The outcomes that Dask has of these tasks, by the numbers of their calls."""
        for _ in range(MOST_REQUESTS):
            try:
                got: dict[int, Outcome] = await self.client.gather(tasks, errors="skip", asynchronous=True)
                return got
            except asyncio.CancelledError:  # a request of somebody else was, which Dask had joined with this one
                continue
            except Exception:  # the states of the tasks say more
                break
        return {}

    def _keep(self, work: Coroutine[Any, Any, Result]) -> asyncio.Future[Result]:
        """Run a coroutine, to which the loop itself keeps no reference."""
        each = asyncio.ensure_future(work)
        self._watching.add(each)
        each.add_done_callback(self._watching.discard)
        return each

    # in other threads

    def forget(self, number: int, task: Any) -> None:
        self.data.pop(number, None)
        if task is not None and task.status == "pending":  # the call was taken back
            self.client.loop.add_callback(self._drop, task)

    async def _drop(self, task: Any) -> None:
        """Have Dask forget a task, in the loop of the Dask client."""
        with suppress(Exception):  # the cluster has gone
            await self.client.cancel([task], asynchronous=True)

    def is_pending(self, task: Any) -> bool:
        return bool(task.status == "pending")

    def state(self, task: Any) -> str:
        return str(task.status)

    def status(self) -> str:
        return str(self.client.status)

    def lost(self, tasks: dict[int, Any]) -> list[int]:
        """Those that Dask has forgotten, or all, when its client is closed."""
        closed = self.client.status in ("closed", "closing")
        return [number for number, task in tasks.items() if closed or task.status in LOST]

    def failure(self, task: Any) -> BaseException | None:
        """Nothing, if Dask has given the task up: its workers died, or its data was lost."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        if task.status != "error":
            return None
        error: BaseException = task.exception()
        return None if isinstance(error, KilledWorker | FutureCancelledError | futures.CancelledError) else error

    def places(self) -> set[str]:
        return set(self.client.nthreads())

    def threads(self) -> int:
        return int(sum(self.client.nthreads().values()))

    def end_call(self, where: Where, number: int, owner: Owner) -> bool:
        answers = self._ask_workers(end_call, where[4], number, workers=[owner.address])
        return answers.get(owner.address) is True

    def end_children(self, where: Where, kill: bool) -> None:
        self._ask_workers(end_children, where[4], kill)

    def counts(self, where: Where) -> list[Counts]:
        return list(self._ask_workers(counts_of, where[4]).values())

    def _ask_workers(self, fn: Callable[..., Any], *args: Any, workers: list[str] | None = None) -> dict[str, Any]:
        """The answers of Dask workers, by their addresses; without those that fail, or do not answer in PATIENCE."""
        answers: SimpleQueue[dict[str, Any]] = SimpleQueue()

        def ask() -> None:
            said: dict[str, Any] = {}
            with suppress(Exception):
                said = self.client.run(fn, *args, workers=workers, on_error="ignore")
            answers.put(said)

        background(ask, name="sharedkit asks dask").start()
        try:
            return answers.get(timeout=PATIENCE)
        except Empty:
            return {}


# --- in a Dask worker ------------------------------------------------------------------------------------


def run_call(number: int, call: Packed, limit: float | None, where: Where) -> Outcome:
    """Run a call in a child, if no other attempt has begun it; `limit` in seconds. In a thread of a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    try:
        its_host = host.host_of(where, worker.address, worker.state.nthreads)
    except SharedkitError as error:
        return failure(error)
    return Outcome(GONE) if its_host is None else its_host.run(number, call, limit)


async def end_call(base: bytes, number: int, dask_worker: Any) -> bool:
    """End a running call; whether that was possible. In the loop of a Dask worker."""
    its_host = host.known(base, dask_worker.address)
    if its_host is None:
        return False
    until = time.monotonic() + host.BEGIN
    while its_host.is_about_to_begin(number) and time.monotonic() < until:
        await asyncio.sleep(0.005)
    return its_host.end_call(number)


async def end_children(base: bytes, kill: bool, dask_worker: Any) -> None:
    """Send SIGKILL, or SIGTERM, to the children for this executor. In the loop of a Dask worker."""
    its_host = host.known(base, dask_worker.address)
    if its_host is not None:
        its_host.end(process.BaseProcess.kill if kill else process.BaseProcess.terminate)


async def counts_of(base: bytes, dask_worker: Any) -> Counts:
    """The counts of one worker."""
    its_host = host.known(base, dask_worker.address)
    return ((), 0, 0) if its_host is None else its_host.counts()
