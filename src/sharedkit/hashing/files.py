"""Digests of files: each file is read once, in large pieces, for all requested algorithms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from sharedkit.hashing._digests import Hasher, describe
from sharedkit.hashing.many import worker_count

__all__ = ["FileDigests", "hash_file", "hash_files"]

# Large enough that reading and hashing a piece cost far more than the calls, small enough to stay in the second-level
# cache.
PIECE = 1 << 20

Path = str | os.PathLike[str]
Progress = Callable[[Path, int], object]


@dataclass(frozen=True, slots=True)
class FileDigests:
    """The outcome of one file: `digests` by algorithm, or the `error` that prevented reading it."""

    path: Path
    digests: dict[str, Any]
    size: int
    error: OSError | None = None


def hash_file(
    path: Path, algorithm: str, *, seed: int = 0, key: Any = None, form: Literal["bytes", "hex"] = "bytes"
) -> Any:
    """The digest of a file's contents, read in large pieces with the GIL released.

    Returns bytes, or with `form="hex"` a str. Raises OSError, which names the path, for a file that cannot be read.
    """
    _check_form(form)
    hasher = Hasher(algorithm, seed=seed, key=key)
    _feed(path, [hasher], None)
    return _formed(hasher, form)


def hash_files(
    paths: Iterable[Path],
    algorithms: str | Iterable[str],
    *,
    seed: int = 0,
    key: Any = None,
    threads: int | Literal["auto"] = 1,
    progress: Progress | None = None,
    form: Literal["bytes", "hex"] = "bytes",
) -> list[FileDigests]:
    """Digests of many files, several algorithms in one pass over each, on `threads` threads.

    `seed` and `key` apply to the algorithms that take one; they do not change the digests of the others.

    The results have the order of `paths`. A file that cannot be read has an `error`, an OSError with its path, and no
    digests; the other files are still hashed. `progress(path, size)` is called after each piece with the number of
    bytes just hashed, in the thread that hashes; an exception that it raises ends the call.

    Before any file is opened, raises ValueError for an unknown algorithm or form, for a seed or key that no algorithm
    takes or that one cannot take, and for threads below 1.
    """
    names = [algorithms] if isinstance(algorithms, str) else list(dict.fromkeys(algorithms))
    _check_form(form)
    if not names:
        raise ValueError("algorithms is empty: name at least one")
    workers, told = worker_count(threads), _told(names, seed, key)

    def one(path: Path) -> FileDigests:
        hashers = [Hasher(name, seed=seed, key=key) for name, seed, key in told]
        try:
            size = _feed(path, hashers, progress)
        except OSError as error:
            return FileDigests(path, {}, 0, error)
        return FileDigests(path, {name: _formed(s, form) for name, s in zip(names, hashers, strict=True)}, size)

    if workers == 1:
        return [one(path) for path in paths]
    with ThreadPoolExecutor(workers, thread_name_prefix="hash_files") as pool:
        return list(pool.map(one, paths))


def _told(names: list[str], seed: int, key: Any) -> list[tuple[str, int, Any]]:
    """Each algorithm with the seed and key that it gets. Raises ValueError or TypeError for one that it cannot take."""
    takes = {name: describe(name)[2:] for name in names}
    if seed != 0 and not any(bits for bits, _ in takes.values()):
        raise ValueError(f"none of {', '.join(names)} takes a seed: {seed!r}")
    if key is not None and not any(size for _, size in takes.values()):
        raise ValueError(f"none of {', '.join(names)} takes a key")
    key = None if key is None else bytes(memoryview(key))
    told = [(name, seed if bits else 0, key if size else None) for name, (bits, size) in takes.items()]
    for name, its_seed, its_key in told:
        Hasher(name, seed=its_seed, key=its_key)
    return told


def _feed(path: Path, hashers: list[Hasher], progress: Progress | None) -> int:
    """Feed a file's contents to every hasher; returns its size. OSError always has the path."""
    total = 0
    piece = bytearray(PIECE)
    try:
        with open(path, "rb", buffering=0) as file, memoryview(piece) as view:
            while size := file.readinto(piece):
                for hasher in hashers:
                    hasher.feed(view[:size])
                total += size
                if progress is not None:
                    progress(path, size)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = os.fspath(path)
        raise
    return total


def _formed(hasher: Hasher, form: str) -> Any:
    digest = hasher.digest()
    return digest.hex() if form == "hex" else digest


def _check_form(form: str) -> None:
    if form not in ("bytes", "hex"):
        raise ValueError(f"form must be 'bytes' or 'hex': {form!r}")
