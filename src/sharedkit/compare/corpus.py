"""The corpus of the workload `hash`: real files, cut into jobs that any worker can take."""

from __future__ import annotations

import fnmatch
import os
import sysconfig
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sharedkit.compare.plain import messages
from sharedkit.compare.workload import BadInput

__all__ = ["Corpus", "Job", "folder_of_standard_library", "standard_library"]

JOB_BYTES = 512 * 1024
FOREIGN = ("site-packages", "dist-packages", "__pycache__")
"""Folders inside a standard library that do not belong to it."""


@dataclass(frozen=True, slots=True)
class Job:
    """Some files. Their digests are `rows` rows of the result, from row `first` on.

    With `item_bytes`, a file is a sequence of messages of that length; without, it is its lines and then the whole
    file.
    """

    first: int
    rows: int
    paths: tuple[str, ...]
    item_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files in the order of their names, cut into jobs of about half a mebibyte."""

    root: Path
    files: int
    lines: int
    size: int
    jobs: tuple[Job, ...]

    @property
    def rows(self) -> int:
        """The number of all digests: one for each line and one for each file."""
        return self.lines + self.files

    @classmethod
    def read(cls, root: Path, pattern: str, without: Collection[str] = ()) -> Corpus:
        """Every regular file under `root` whose name matches `pattern`, except in folders named in `without`.

        Symbolic links are not followed. Raises BadInput.
        """
        if not root.is_dir():
            raise BadInput(f"no corpus: {root} is not a directory")
        jobs: list[Job] = []
        paths: list[str] = []
        files = lines = size = first = rows = held = 0
        for path in _files(root, pattern, without):
            try:
                count, length = _measure(path)
            except OSError as error:
                raise BadInput(f"corpus file {path} cannot be read: {error.strerror}") from error
            paths.append(path)
            files, lines, size = files + 1, lines + count, size + length
            rows, held = rows + count + 1, held + length
            if held >= JOB_BYTES:
                jobs.append(Job(first, rows, tuple(paths)))
                first, rows, held, paths = first + rows, 0, 0, []
        if paths:
            jobs.append(Job(first, rows, tuple(paths)))
        if not files:
            raise BadInput(f"empty corpus: no file under {root} matches {pattern!r}")
        return cls(root, files, lines, size, tuple(jobs))


def folder_of_standard_library() -> Path:
    """The folder of the running interpreter's own standard library."""
    return Path(sysconfig.get_path("stdlib"))


def standard_library(folder: Path) -> Corpus:
    """A standard library: real text that exists on every machine. Raises BadInput."""
    return Corpus.read(folder, "*.py", FOREIGN)


def _files(root: Path, pattern: str, without: Collection[str]) -> list[str]:
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = set(subfolders).difference(without)
        paths = [Path(folder, name) for name in fnmatch.filter(names, pattern)]
        found += [str(path) for path in paths if path.is_file() and not path.is_symlink()]
    return sorted(found)


def _measure(path: str) -> tuple[int, int]:
    """Lines and bytes of one file; reading it also brings it into the page cache, for every variant alike."""
    found = messages(path)
    return len(found) - 1, len(found[-1])
