"""sharedkit's C code for the jobs of the workload `hash`: one call, without the GIL, for the messages of many files."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sharedkit import get_context
from sharedkit.compare.corpus import Corpus, Job
from sharedkit.compare.crew import Clock, ProcessCrew, Program, interrupts_held
from sharedkit.compare.pieces import Pieces
from sharedkit.compare.plain import messages
from sharedkit.compare.workload import Course, Lap, Settings
from sharedkit.hashing import hash_many

__all__ = ["as_bytes", "digest_job", "digest_rows", "server_course", "shared_memory_course"]


def digest_job(job: Job, algorithm: str, threads: int = 1) -> Any:
    """The digests of the job's messages, as an array of rows."""
    return hash_many(_messages(job), algorithm, threads=threads)


def digest_rows(job: Job, algorithm: str) -> Any:
    """Do the same for a job with items of one length, as rows of an array: there is no object for each item."""
    (path,) = job.paths
    return hash_many(np.fromfile(path, np.uint8).reshape(job.rows, job.item_bytes), algorithm)


def as_bytes(digests: Any) -> bytes:
    """The result of any variant as digests one after the other; native integers become the bytes they stand for."""
    if isinstance(digests, np.ndarray):
        return digests.astype(digests.dtype.newbyteorder(">")).tobytes()
    return bytes(digests)


def _messages(job: Job) -> list[bytes]:
    return [message for path in job.paths for message in messages(path, job.item_bytes)]


@dataclass(frozen=True, slots=True)
class _Shared:
    """The numbers of jobs come through `numbers`; each job's digests go to its own rows of `digests`."""

    numbers: Any
    digests: Any
    jobs: Sequence[Job]
    algorithm: str
    workers: int


def _digest_over_server(shared: _Shared, rank: int, _amount: int, clock: Clock) -> None:
    with clock:
        if rank == 0:
            shared.numbers.put_many([*range(len(shared.jobs)), *[None] * shared.workers])
        while (number := shared.numbers.get()) is not None:
            job = shared.jobs[number]
            shared.digests[job.first : job.first + job.rows] = digest_job(job, shared.algorithm)


def _digest(shared: _Shared, rank: int, _amount: int, clock: Clock) -> None:
    rows = shared.digests.ndarray
    with clock:
        if rank == 0:
            shared.numbers.put_many([*range(len(shared.jobs)), *[None] * shared.workers])
        while (number := shared.numbers.get()) is not None:
            job = shared.jobs[number]
            hash_many(_messages(job), shared.algorithm, out=rows[job.first : job.first + job.rows])


@contextmanager
def shared_memory_course(corpus: Corpus | Pieces, settings: Settings) -> Iterator[Course]:
    """Processes that take jobs from a shared Queue and write digests into a shared Array: no result is sent back."""
    with _course(get_context("shm"), _digest, corpus, settings) as course:
        yield course


@contextmanager
def server_course(corpus: Corpus | Pieces, settings: Settings) -> Iterator[Course]:
    """Do the same with the Queue and the Array behind a server: numbers of jobs and digests go through a socket."""
    with interrupts_held():
        kit: Any = get_context("manager")
        kit.__enter__()
    with closing(kit), _course(kit, _digest_over_server, corpus, settings) as course:
        yield course


@contextmanager
def _course(kit: Any, program: Program, corpus: Corpus | Pieces, settings: Settings) -> Iterator[Course]:
    row = hash_many([b""], settings.algorithm)
    with kit.Queue() as numbers, kit.Array((corpus.rows, *row.shape[1:]), row.dtype) as digests:
        shared = _Shared(numbers, digests, corpus.jobs, settings.algorithm, settings.workers)
        context = multiprocessing.get_context(settings.start_method)
        roles = [program] * settings.workers
        with ProcessCrew(roles, shared, context, settings.patience) as crew:

            def course(amount: int) -> Lap:
                digests[:] = 0
                lap = crew.lap(amount)
                return Lap(lap.seconds, [np.array(digests)])

            yield course
