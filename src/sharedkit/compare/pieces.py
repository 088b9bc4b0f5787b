"""Items of one exact length, cut from a corpus: they show how the length of a message affects each way to hash."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

from sharedkit.compare.corpus import JOB_BYTES, Corpus, Job
from sharedkit.compare.workload import BadInput

__all__ = ["SIZES", "Pieces"]

SIZES = (16, 64, 256, 1024, 1 << 20)
"""The sizes in bytes that `--size all` stands for."""

MOST_ITEMS, MOST_BYTES = 100_000, 32 << 20
"""Limits, so that a lap of single calls takes a tenth of a second and not minutes."""

ITEMS_A_JOB = (4, 4096)
"""The fewest items in a job, so that threads can share it, and the most, so that there are jobs for every worker."""


class Pieces:
    """The first items of a corpus, taken as one file, in a file for each job; they exist as long as this object."""

    def __init__(self, corpus: Corpus, item_bytes: int) -> None:
        self.root = corpus.root
        self.item_bytes = item_bytes
        self.rows = min(corpus.size // item_bytes, MOST_ITEMS, max(MOST_BYTES // item_bytes, ITEMS_A_JOB[0]))
        """The number of items, and so of digests."""
        if not self.rows:
            raise BadInput(f"the corpus has {corpus.size:,} bytes, too few for one item of {item_bytes:,}")
        folder = Path(tempfile.mkdtemp(prefix="sharedkit-compare-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        fewest, most = ITEMS_A_JOB
        share = min(most, max(fewest, JOB_BYTES // item_bytes))
        self.jobs = tuple(_write(corpus, folder, item_bytes, self.rows, share))

    @property
    def size(self) -> int:
        """The number of bytes of all items."""
        return self.rows * self.item_bytes


def _write(corpus: Corpus, folder: Path, item_bytes: int, rows: int, share: int) -> Iterator[Job]:
    files = (path for job in corpus.jobs for path in job.paths)
    held = bytearray()
    for first in range(0, rows, share):
        count = min(share, rows - first)
        while len(held) < count * item_bytes:
            held += Path(next(files)).read_bytes()
        path = folder / str(first)
        path.write_bytes(held[: count * item_bytes])
        del held[: count * item_bytes]
        yield Job(first, count, (str(path),), item_bytes)
