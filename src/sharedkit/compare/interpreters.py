"""Subinterpreters with a GIL each (PEP 684), if the running Python has them: hashing in parallel in one process.

The interpreters live in a process of their own, because the modules before 3.14 are private and may hang when
interpreters are destroyed (seen with 3.13.0). So that process ends without destroying them. Jobs reach them
through a pipe of 4-byte numbers (a read of so few bytes is never partial); digests come back through one anonymous
mapping.
"""

from __future__ import annotations

import inspect
import json
import mmap
import multiprocessing
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sharedkit.compare import plain
from sharedkit.compare.corpus import Corpus, Job
from sharedkit.compare.crew import Clock, ProcessCrew
from sharedkit.compare.pieces import Pieces
from sharedkit.compare.workload import Course, Settings

__all__ = ["interpreter_course", "why_not"]

WORKER = """
def work():
    import json, mmap, os, struct
    out = mmap.mmap(digests_fd, 0)
    plan = json.loads(jobs)
    while (number := struct.unpack("<i", os.read(jobs_fd, 4))[0]) >= 0:
        at, paths, item_bytes = plan[number]
        digested = digest_files(paths, algorithm, item_bytes)
        out[at : at + len(digested)] = digested
    out.close()
work()
"""

Run = Callable[[str, dict[str, Any]], str]
"""Runs source code in one interpreter with these globals; returns the error text, or an empty text."""


def why_not(algorithm: str) -> str:
    """The reason why this Python cannot run the variant; empty if it can."""
    if sys.version_info < (3, 12):
        return "before Python 3.12, interpreters share one GIL"
    if plain.package_of(algorithm) != "hashlib":
        return f"the package {plain.package_of(algorithm)} may not load in a subinterpreter"
    return ""


def _make() -> Run:
    """A new interpreter, by the module that this Python offers."""
    if sys.version_info >= (3, 14):
        interpreter = import_module("concurrent.interpreters").create()

        def run(source: str, names: dict[str, Any]) -> str:
            if names:  # an empty dict is refused
                interpreter.prepare_main(names)
            interpreter.exec(source)
            return ""

    elif sys.version_info >= (3, 13):
        private = import_module("_interpreters")
        number = private.create()

        def run(source: str, names: dict[str, Any]) -> str:
            raised = private.exec(number, source, shared=names)
            return "" if raised is None else str(raised.formatted)

    else:
        private = import_module("_xxsubinterpreters")
        number = private.create()

        def run(source: str, names: dict[str, Any]) -> str:
            private.run_string(number, source, shared=names)
            return ""

    return run


@contextmanager
def interpreter_course(corpus: Corpus | Pieces, settings: Settings) -> Iterator[Course]:
    """A course in a process with one interpreter a worker. Raises WorkerFailed."""
    context = multiprocessing.get_context(settings.start_method)
    digest_size = len(plain.digests([b""], settings.algorithm)[0])
    shared = _Interpreters(corpus.jobs, settings.algorithm, digest_size, settings.workers)
    with ProcessCrew([_digest], shared, context, settings.patience) as crew:
        yield crew.lap


@dataclass
class _Interpreters:
    """The data for the process with the interpreters; that process makes the interpreters itself, once."""

    jobs: Sequence[Job]
    algorithm: str
    digest_size: int
    count: int
    running: list[Run] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of bytes of all digests."""
        return sum(job.rows for job in self.jobs) * self.digest_size


def _digest(shared: _Interpreters, _rank: int, _amount: int, clock: Clock) -> bytes:
    """A program for a crew of one process: the digests of all jobs. Raises RuntimeError with the error of a worker."""
    if not shared.running:
        shared.running = [_make() for _ in range(shared.count)]
        for run in shared.running:
            run(inspect.getsource(plain), {})
    readable, writable = os.pipe()
    digests_fd = os.memfd_create("sharedkit-compare")
    os.truncate(digests_fd, shared.size)
    names = {
        "jobs": json.dumps([(job.first * shared.digest_size, job.paths, job.item_bytes) for job in shared.jobs]),
        "jobs_fd": readable,
        "digests_fd": digests_fd,
        "algorithm": shared.algorithm,
    }
    raised: list[str] = []

    def serve(run: Run) -> None:
        try:
            said = run(WORKER, names)
        except Exception as error:
            said = repr(error)
        if said:
            raised.append(said)

    threads = [threading.Thread(target=serve, args=(run,), daemon=True) for run in shared.running]
    try:
        with clock:
            for thread in threads:
                thread.start()
            for number in [*range(len(shared.jobs)), *[-1] * shared.count]:
                os.write(writable, struct.pack("<i", number))
            for thread in threads:
                thread.join()
        if raised:
            raise RuntimeError(raised[0])
        with mmap.mmap(digests_fd, 0) as digested:
            return digested[:]
    finally:
        for descriptor in (readable, writable, digests_fd):
            os.close(descriptor)
