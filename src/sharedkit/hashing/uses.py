"""Uses of batches of digests: shards and duplicates."""

from __future__ import annotations

from operator import index
from typing import Any, Literal

import numpy as np

from sharedkit.hashing.many import hash_many

__all__ = ["duplicates", "partition"]


def partition(
    items: Any, n: int, *, algorithm: str = "xxh3_64", seed: int = 0, threads: int | Literal["auto"] = 1
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The shard in 0 … n - 1 of each item, the same in every process, machine and release.

    The shard is the integer digest modulo `n`: with the default algorithm `xxhash.xxh3_64_intdigest(item, seed) % n`.
    `items` are as in `hash_many`; the result is an int64 array with one shard for each item. Raises ValueError if `n`
    is below 1 or needs more than 63 bits, or if the algorithm has no integer digest.
    """
    n = index(n)
    if n < 1:
        raise ValueError(f"n must be at least 1: {n}")
    if n >= 1 << 63:
        raise ValueError(f"n must be less than 2**63: {n}")
    digests = hash_many(items, algorithm, seed=seed, threads=threads)
    if digests.ndim != 1:
        raise ValueError(f"{algorithm} has no integer digest; use xxh3_64 or crc32c")
    shards: np.ndarray[Any, np.dtype[np.int64]] = (digests.astype(np.uint64, copy=False) % np.uint64(n)).astype(
        np.int64
    )
    return shards


def duplicates(
    items: Any, *, algorithm: str = "blake3", key: Any = None, threads: int | Literal["auto"] = 1
) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Groups of items with equal digests: for each an int64 array of two or more indices, ascending.

    Groups have the order of their first items. With the default algorithm, equal digests mean equal bytes, even for
    items from an attacker; `xxh3_128` is faster, and safe if no one constructs collisions. `items` are as in
    `hash_many`.
    """
    digests = hash_many(items, algorithm, key=key, threads=threads)
    if digests.ndim == 2:
        digests = digests.view(np.uint64 if digests.shape[1] % 8 == 0 else np.uint32)
    if len(digests) < 2:
        return []
    rows = digests.reshape(len(digests), -1)
    order = np.lexsort(rows.T)
    differs = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    groups = [group for group in np.split(order, np.flatnonzero(differs) + 1) if len(group) > 1]
    return sorted(groups, key=lambda group: int(group[0]))
