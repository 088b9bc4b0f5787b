"""The workload `hash`: digest every line and every file of a corpus; every variant must give the same root digest.

With sizes, it digests items of exactly that many bytes, cut from the corpus, with a table for each size.

Reading the files and splitting them into lines is part of the work, as in real programs. The jobs are the same for all
variants; each worker takes the next job when it is free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec

from sharedkit import hashing
from sharedkit.compare import interpreters, kernels, plain, pools
from sharedkit.compare.corpus import Corpus, Job, folder_of_standard_library, standard_library
from sharedkit.compare.pieces import Pieces
from sharedkit.compare.workload import BadInput, Course, Lap, Mismatch, Settings, Variant, Workload

__all__ = ["HashWorkload", "known_algorithms"]


def known_algorithms() -> list[str]:
    """The values that `--algorithm` takes."""
    return sorted({*plain.plain_algorithms(), *hashing.algorithms()})


def _digest_plainly(job: Job, algorithm: str) -> bytes:
    return plain.digest_files(job.paths, algorithm, job.item_bytes)


class HashWorkload(Workload):
    """An amount is one pass over the corpus, and a lap is always one pass."""

    name = "hash"
    unit = "digests"
    corpus: Corpus | Pieces

    def __init__(self, settings: Settings, item_bytes: int = 0) -> None:
        super().__init__(settings)
        self.item_bytes = item_bytes

    @classmethod
    def of(cls, settings: Settings) -> Sequence[Workload]:
        """One for each size, or one for lines and files."""
        tables = [cls(settings, size) for size in settings.sizes or (0,)]
        for i, each in enumerate(tables):
            each.table = i
        return tables

    def prepare(self) -> None:
        """Read the corpus once. Raises BadInput."""
        algorithm = self.settings.algorithm
        if algorithm not in known_algorithms():
            raise BadInput(f"unknown algorithm {algorithm!r}; known: {', '.join(known_algorithms())}")
        if self.settings.corpus is None:
            corpus = standard_library(self.settings.library or folder_of_standard_library())
        else:
            corpus = Corpus.read(self.settings.corpus, self.settings.pattern)
        self.corpus = Pieces(corpus, self.item_bytes) if self.item_bytes else corpus

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        corpus = self.corpus
        if isinstance(corpus, Pieces):
            what = f"{corpus.rows:,} items of {corpus.item_bytes:,} bytes"
        else:
            what = f"{corpus.lines:,} lines and {corpus.files:,} files"
        return f"{self.settings.algorithm} of {what}, {corpus.size / 1e6:,.1f} MB of {corpus.root}"

    def variants(self) -> list[Variant]:
        """One call for each message, as in most programs today, then sharedkit's batches."""
        return [*self._plain(), *self._batched()]

    def _plain(self) -> list[Variant]:
        settings, jobs = self.settings, self.corpus.jobs
        package = plain.package_of(settings.algorithm)
        work = partial(_digest_plainly, algorithm=settings.algorithm)
        missing = "" if find_spec(package) else f"the package {package} is not installed"

        def row(where: str, name: str, start: _Start, why_not: str = "") -> Variant:
            return Variant(where, name, "stdlib", start, missing or why_not)

        over_threads = partial(pools.thread_course, work, jobs, settings)
        over_interpreters = partial(interpreters.interpreter_course, self.corpus, settings)
        return [
            row("serial", package, partial(pools.serial_course, work, jobs)),
            row("threads", package, over_threads),
            row("asyncio", f"{package}, to_thread", partial(pools.asyncio_course, work, jobs, settings)),
            row("processes", package, partial(pools.process_course, work, jobs, settings)),
            row("interpreters", package, over_interpreters, interpreters.why_not(settings.algorithm)),
        ]

    def _batched(self) -> list[Variant]:
        settings, jobs = self.settings, self.corpus.jobs
        algorithm, workers = settings.algorithm, settings.workers
        missing = "" if algorithm in hashing.algorithms() else f"sharedkit has no {algorithm}"
        work = partial(kernels.digest_job, algorithm=algorithm)
        spread = partial(kernels.digest_job, algorithm=algorithm, threads=workers)

        def row(where: str, name: str, start: _Start) -> Variant:
            return Variant(where, f"sharedkit {name}", "sharedkit", start, missing)

        rows = [
            row("serial", "hash_many", partial(pools.serial_course, work, jobs)),
            row("serial", f"hash_many(threads={workers})", partial(pools.serial_course, spread, jobs)),
            row("threads", "hash_many", partial(pools.thread_course, work, jobs, settings)),
            row("asyncio", "hash_many, to_thread", partial(pools.asyncio_course, work, jobs, settings)),
            row("processes", "hash_many", partial(kernels.shared_memory_course, self.corpus, settings)),
            row("processes", "hash_many, server", partial(kernels.server_course, self.corpus, settings)),
        ]
        if self.item_bytes:
            uncut = partial(kernels.digest_rows, algorithm=algorithm)
            rows.append(row("serial", "hash_many of array rows", partial(pools.serial_course, uncut, jobs)))
        return rows

    def operations(self, amount: int) -> int:
        """The number of digests."""
        return amount * self.corpus.rows

    def volume(self, amount: int) -> int:
        """The number of bytes hashed. With lines and files, each byte is hashed twice, and counted once."""
        return amount * self.corpus.size

    def verify(self, amount: int, lap: Lap) -> str:
        """The root digest: the SHA-256 of all digests in the order of the corpus."""
        root, size = hashlib.sha256(), 0
        for result in lap.results:
            digests = kernels.as_bytes(result)
            size += len(digests)
            root.update(digests)
        if size == 0 or size % self.corpus.rows:
            raise Mismatch(f"{size:,} bytes are not {self.corpus.rows:,} digests; did the corpus change meanwhile?")
        return root.hexdigest()

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return f"every variant came to the root digest {fingerprint[:32]}…"


_Start = Callable[[], AbstractContextManager[Course]]
