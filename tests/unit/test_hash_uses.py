"""Shards are stable numbers; groups of duplicates are exact and in order."""

import subprocess
import sys

import numpy as np
import pytest

from sharedkit.hashing import duplicates, hash_many, partition

xxhash = pytest.importorskip("xxhash")

KEYS = [f"user:{i}" for i in range(5000)]


def test_a_shard_is_the_integer_digest_modulo_n() -> None:
    shards = partition(KEYS, 7, seed=3)
    assert shards.dtype == np.int64
    assert shards.tolist() == [xxhash.xxh3_64_intdigest(key.encode(), 3) % 7 for key in KEYS]
    assert (partition(KEYS, 7, seed=3, threads=2) == shards).all()


def test_another_process_sees_the_same_shards() -> None:
    program = (
        "from sharedkit.hashing import partition; print(partition([f'user:{i}' for i in range(100)], 13).tolist())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == str(partition(KEYS[:100], 13).tolist())


def test_shards_are_even() -> None:
    counts = np.bincount(partition(KEYS, 10), minlength=10)
    assert counts.min() > 400
    assert counts.max() < 600


def test_impossible_numbers_of_shards_are_refused() -> None:
    for n in (0, -3):
        with pytest.raises(ValueError, match=f"at least 1: {n}"):
            partition(KEYS, n)
    with pytest.raises(ValueError, match="no integer digest"):
        partition(KEYS, 3, algorithm="sha256")
    assert partition(KEYS, 1, algorithm="crc32c").max() == 0


@pytest.mark.parametrize("algorithm", ["blake3", "xxh3_64", "xxh3_128", "sha224", "crc32c"])
def test_groups_of_equal_items_in_the_order_of_their_first(algorithm: str) -> None:
    items = ["b", "a", "once", "b", "a", "b", "", "also once", ""]
    groups = duplicates(items, algorithm=algorithm)
    assert [group.tolist() for group in groups] == [[0, 3, 5], [1, 4], [6, 8]]


def test_duplicates_of_a_large_column_agree_with_numpy() -> None:
    column = np.random.default_rng(5).integers(0, 3000, 4000)
    values, counts = np.unique(column, return_counts=True)
    groups = duplicates(column)
    assert sorted(int(column[group[0]]) for group in groups) == values[counts > 1].tolist()
    assert all((column[group] == column[group[0]]).all() for group in groups)
    assert sum(map(len, groups)) == counts[counts > 1].sum()


def test_few_items_have_no_duplicates() -> None:
    assert duplicates([]) == duplicates(["one"]) == duplicates(["one", "two"]) == []


@pytest.mark.parametrize("algorithm", ["xxh3_64", "crc32c"])
def test_shards_are_the_digest_modulo_any_number(algorithm):
    digests = [int(digest) for digest in hash_many(KEYS[:50], algorithm)]
    for n in (1, True, np.int64(3), np.uint8(200), 2**31, 2**32, 2**33 + 1, 2**63 - 1):
        assert partition(KEYS[:50], n, algorithm=algorithm).tolist() == [digest % int(n) for digest in digests]
    for n in (2**63, 2**64 - 1, 2**70):
        with pytest.raises(ValueError, match="less than"):
            partition(KEYS, n, algorithm=algorithm)
    for n in (2.5, 3.0, "3", None):
        with pytest.raises(TypeError):
            partition(KEYS, n, algorithm=algorithm)
