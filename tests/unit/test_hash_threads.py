"""A batch split over threads has the digests of one that is not, also after a fork and with many callers at once."""

import os
import random
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from sharedkit.hashing import algorithms, hash_many, hash_spans

WATCHDOG = 60
SOURCE = random.Random(11)
MANY = [SOURCE.randbytes(SOURCE.randrange(200)) for _ in range(20_000)]
UNEQUAL = [SOURCE.randbytes(SOURCE.choice([3, 50, 5_000, 600_000])) for _ in range(60)]
LARGE = [SOURCE.randbytes(size) for size in (5_000_000, 64 * 1024 * 40, 64 * 1024 * 40 + 1, 10)]


@pytest.mark.parametrize("algorithm", algorithms())
@pytest.mark.parametrize("threads", [2, 3, 7, "auto"])
def test_threads_change_no_digest(algorithm: str, threads: Any) -> None:
    for messages in (MANY, UNEQUAL, LARGE):
        alone = hash_many(messages, algorithm)
        assert (hash_many(messages, algorithm, threads=threads) == alone).all()


def test_columns_spans_and_chunks_are_split_too() -> None:
    column = np.random.default_rng(1).integers(0, 2**63, 50_000)
    assert (hash_many(column, "xxh3_64", threads=3) == hash_many(column, "xxh3_64")).all()
    assert (hash_many(column[::-3], "sha256", threads=3) == hash_many(column[::-3], "sha256")).all()
    ends = np.arange(0, column.nbytes, 7)
    assert (hash_spans(column, ends, "blake3", threads=3) == hash_spans(column, ends, "blake3")).all()


def test_arrow_chunks_are_one_batch() -> None:
    pa = pytest.importorskip("pyarrow")
    texts = [f"text {i}" * (i % 9) for i in range(30_000)]
    chunks = pa.chunked_array([pa.array(texts[:7]), pa.array(texts[7:20_000]), pa.array(texts[20_000:])])
    assert (hash_many(chunks, "sha256", threads=4) == hash_many(texts, "sha256")).all()


def test_many_callers_at_once() -> None:
    alone = hash_many(MANY, "sha384")
    with ThreadPoolExecutor(6) as pool:
        for digests in pool.map(lambda threads: hash_many(MANY, "sha384", threads=threads), [1, 2, 3, 4] * 6):
            assert (digests == alone).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    expected = hash_many(MANY, "sha256", threads=4).tobytes()
    stop = threading.Event()

    def keep_the_pool_busy() -> None:
        while not stop.is_set():
            hash_many(MANY, "sha256", threads=4)

    busy = threading.Thread(target=keep_the_pool_busy, daemon=True)
    busy.start()
    try:
        for _ in range(5):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                same = hash_many(MANY, "sha256", threads=4).tobytes() == expected
                os.write(writer, b"y" if same else b"n")
                os._exit(0)
            os.close(writer)
            ready, _, _ = select.select([reader], [], [], WATCHDOG)
            if not ready:
                os.kill(child, signal.SIGKILL)
            answer = os.read(reader, 1)
            os.close(reader)
            os.waitpid(child, 0)
            assert answer == b"y"
    finally:
        stop.set()
        busy.join(WATCHDOG)
    assert not busy.is_alive()
