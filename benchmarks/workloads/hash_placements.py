"""Two workers for one batch: processes and asyncio, with today's packages and with ours.

Pools are started by the first batch, so that only entrants of a race cost anything. Worker processes import this
module, so it imports no rival.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import numpy as np

import sharedkit as sk
from sharedkit.compare.plain import digests
from sharedkit.hashing import hash_many

WORKERS = 2

Hash = Callable[[Any], Any]


def halves(batch: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def plainly(batch: list[bytes], algorithm: str) -> list[bytes]:
    """The loop over the algorithm's package, in a form that can be sent to another process."""
    return digests(batch, algorithm)


class OverProcesses:
    """A process pool: messages are pickled out, digests are pickled back."""

    def __init__(self, algorithm: str) -> None:
        self._hash = partial(plainly, algorithm=algorithm)

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"))

    def __call__(self, batch: list[bytes]) -> list[bytes]:
        first, second = self._pool.map(self._hash, halves(batch))
        return first + second

    def close(self) -> None:
        if "_pool" in self.__dict__:
            self._pool.shutdown()
            del self._pool


class OverAsyncio:
    """An event loop that awaits both halves in its executor's threads; `join` makes one result of the two."""

    def __init__(self, hash_half: Hash, join: Callable[[Any, Any], Any]) -> None:
        self._hash, self._join = hash_half, join

    @cached_property
    def _runner(self) -> asyncio.Runner:
        runner = asyncio.Runner()
        runner.get_loop().set_default_executor(ThreadPoolExecutor(WORKERS))
        return runner

    def __call__(self, batch: list[bytes]) -> Any:
        return self._runner.run(self._both(batch))

    async def _both(self, batch: list[bytes]) -> Any:
        first, second = await asyncio.gather(*(asyncio.to_thread(self._hash, half) for half in halves(batch)))
        return self._join(first, second)

    def close(self) -> None:
        if "_runner" in self.__dict__:
            self._runner.close()
            del self._runner


class OverSharedArrays:
    """A process pool for messages of one size that are rows of a shared Array; the digests go to another Array.

    Only row numbers are sent. The messages are put there once, by `place`.
    """

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm

    def place(self, batch: list[bytes]) -> list[bytes]:
        """Put the messages and room for their digests into shared memory, and start the workers."""
        none = hash_many([], self._algorithm)
        self._messages = sk.Array((len(batch), len(batch[0])), "u1")
        self._messages.ndarray[:] = np.frombuffer(b"".join(batch), "u1").reshape(len(batch), -1)
        self._digests = sk.Array((len(batch), *none.shape[1:]), none.dtype)
        self._pool = ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("spawn"), _keep, (self._messages, self._digests, self._algorithm)
        )
        return batch

    def __call__(self, batch: list[bytes]) -> np.ndarray[Any, Any]:
        middle = len(batch) // 2
        for _ in self._pool.map(_hash_rows, (0, middle), (middle, len(batch))):
            pass
        return self._digests.ndarray

    def close(self) -> None:
        self._pool.shutdown()
        self._messages.close()
        self._digests.close()


_kept: tuple[Any, Any, str]


def _keep(messages: Any, room: Any, algorithm: str) -> None:
    """In a worker: the arguments that it was started with."""
    global _kept
    _kept = messages.ndarray, room.ndarray, algorithm


def _hash_rows(start: int, stop: int) -> None:
    messages, room, algorithm = _kept
    hash_many(messages[start:stop], algorithm, out=room[start:stop])
