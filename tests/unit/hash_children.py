"""The work of child processes in the hashing tests; children of `spawn` import it by name."""

from __future__ import annotations

from typing import Any

from sharedkit.hashing import hash_many


def hash_rows(messages: Any, digests: Any, algorithm: str, start: int, stop: int, threads: int) -> None:
    """Hash rows [start, stop) of one shared Array into the same rows of another."""
    hash_many(messages.ndarray[start:stop], algorithm, out=digests.ndarray[start:stop], threads=threads)
