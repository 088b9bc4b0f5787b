"""Batches hashed in shared arrays, in process pools over these, in event loops and in thread pools."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))

import hash_children as children

from sharedkit.hashing import algorithms, hash_many
from sharedkit.shm import Array

WATCHDOG = 60
ROWS = np.random.default_rng(3).integers(0, 256, (5000, 40), "u1")


@pytest.mark.parametrize("algorithm", algorithms())
def test_digests_go_straight_into_a_shared_array(algorithm: str) -> None:
    plain = hash_many(ROWS, algorithm)
    with Array(plain.shape, plain.dtype) as digests:
        assert hash_many(ROWS, algorithm, out=digests, threads=2) is digests
        assert (digests.ndarray == plain).all()
        digests.ndarray[:] = 0
        hash_many(list(map(bytes, ROWS)), algorithm, out=digests)
        assert (digests.ndarray == plain).all()


def test_a_shared_array_of_another_shape_is_refused_and_not_touched() -> None:
    with Array((len(ROWS), 31), "u1") as digests:
        with pytest.raises(ValueError, match=r"out must have shape \(5000, 32\)"):
            hash_many(ROWS, "sha256", out=digests)
        assert not digests.ndarray.any()


def test_a_shared_array_is_hashed_by_its_rows_or_items() -> None:
    with Array(ROWS.shape, "u1") as rows, Array(1000, "u8") as numbers:
        rows.ndarray[:] = ROWS
        numbers.ndarray[:] = np.arange(1000)
        assert (hash_many(rows, "sha256") == hash_many(ROWS, "sha256")).all()
        assert (hash_many(numbers, "xxh3_64") == hash_many(np.arange(1000, dtype="u8"), "xxh3_64")).all()


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_process_pool_hashes_one_shared_array_into_another(method: str) -> None:
    parts = [(0, 1200), (1200, 1201), (1201, 4000), (4000, 5000)]
    with Array(ROWS.shape, "u1") as messages, Array((len(ROWS), 48), "u1") as digests:
        messages.ndarray[:] = ROWS
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            done = [
                pool.submit(children.hash_rows, messages, digests, "sha384", start, stop, threads)
                for (start, stop), threads in zip(parts, (1, 2, 3, 2), strict=True)
            ]
            for one in done:
                one.result(WATCHDOG)
        assert [bytes(row) for row in digests.ndarray] == [hashlib.sha384(row.tobytes()).digest() for row in ROWS]


def test_an_event_loop_goes_on_while_its_threads_hash() -> None:
    """A coroutine and the loop take turns until both batches are done; the coroutine must run at least once."""
    batch = [bytes(1 << 20)] * 64
    expected = hash_many(batch[:1], "sha256")[0]

    async def run() -> tuple[Any, int]:
        both = [asyncio.ensure_future(asyncio.to_thread(hash_many, batch, "sha256")) for _ in range(2)]
        turns = 0
        while not all(one.done() for one in both):
            await asyncio.sleep(0)
            turns += 1
        return [await one for one in both], turns

    for _ in range(50):
        results, turns = asyncio.run(asyncio.wait_for(run(), WATCHDOG))
        assert all((digests == expected).all() for digests in results)
        if turns > 1:
            return
    pytest.fail("the loop made no second turn during fifty pairs of batches")


def test_a_thread_pool_hashes_parts_into_one_array() -> None:
    digests = np.zeros((len(ROWS), 32), "u1")

    def part(start: int) -> None:
        hash_many(ROWS[start : start + 500], "blake3", out=digests[start : start + 500])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(part, range(0, len(ROWS), 500), timeout=WATCHDOG))
    assert (digests == hash_many(ROWS, "blake3")).all()
