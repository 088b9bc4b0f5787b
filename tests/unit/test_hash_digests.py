"""Digests equal the reference's at every length, on every code path of this machine, and published vectors."""

import hashlib
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sharedkit.hashing import _digests, algorithms, hash_many

xxhash = pytest.importorskip("xxhash")
blake3 = pytest.importorskip("blake3")
google_crc32c = pytest.importorskip("google_crc32c")

SEEDS = [0, 1, 0x9E3779B97F4A7C15, 2**64 - 1]

REFERENCES: dict[str, Callable[[bytes], bytes]] = {
    "sha224": lambda m: hashlib.sha224(m).digest(),
    "sha256": lambda m: hashlib.sha256(m).digest(),
    "sha384": lambda m: hashlib.sha384(m).digest(),
    "sha512": lambda m: hashlib.sha512(m).digest(),
    "blake3": lambda m: blake3.blake3(m).digest(),
    "xxh3_64": lambda m: xxhash.xxh3_64_digest(m),
    "xxh3_128": lambda m: xxhash.xxh3_128_digest(m),
    "crc32c": lambda m: google_crc32c.value(m).to_bytes(4, "big"),
}

# FIPS 180-4 examples ("abc", the two-block message, the empty message), and xxHash's own for the empty message.
VECTORS = [
    ("sha224", b"abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    ("sha256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("sha256", b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (
        "sha256",
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ),
    (
        "sha384",
        b"abc",
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    ),
    (
        "sha512",
        b"abc",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    ("xxh3_64", b"", "2d06800538d394c2"),
    ("xxh3_128", b"", "99aa06d3014798d86001c324468d497f"),
    # RFC 3720, B.4.
    ("crc32c", bytes(32), "8a9136aa"),
    ("crc32c", b"\xff" * 32, "62a8ab43"),
    ("crc32c", bytes(range(32)), "46dd794e"),
    ("crc32c", b"123456789", "e3069283"),
    # From BLAKE3's test_vectors.json: the bytes 0, 1, … 250, 0, … of the given length.
    ("blake3", b"", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    ("blake3", b"\0", "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
    ("blake3", bytes(i % 251 for i in range(1024)), "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
    ("blake3", bytes(i % 251 for i in range(1025)), "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
]

PATHS = [(algorithm, path) for algorithm in algorithms() for path in _digests.paths(algorithm)]


@pytest.fixture
def forced(request: pytest.FixtureRequest) -> Iterator[str]:
    algorithm, path = request.param
    _digests.force_path(algorithm, path)
    assert _digests.active_path(algorithm) == path
    yield algorithm
    _digests.force_path(algorithm)


def on_every_path(test: Callable[..., None]) -> Callable[..., None]:
    names = [f"{algorithm}-{path}" for algorithm, path in PATHS]
    return pytest.mark.parametrize("forced", PATHS, ids=names, indirect=True)(test)


def check(algorithm: str, messages: list[bytes]) -> None:
    expected = [REFERENCES[algorithm](m) for m in messages]
    assert hash_many(messages, algorithm, form="bytes") == expected


@on_every_path
def test_every_length_up_to_300_in_one_batch(forced: str) -> None:
    source = random.Random(1)
    check(forced, [source.randbytes(n) for n in range(301)])


@on_every_path
def test_equal_lengths_fill_every_lane_and_every_number_of_lanes(forced: str) -> None:
    source = random.Random(2)
    for count in range(1, 36):
        for size in (0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 241, 1024):
            check(forced, [source.randbytes(size) for _ in range(count)])


@on_every_path
def test_lengths_around_every_boundary_of_blocks_and_chunks(forced: str) -> None:
    source = random.Random(3)
    edges = [0, 16, 64, 128, 240, 256, 512, 1024, 2048, 3072, 4096, 8192, 16384, 1 << 20]
    check(forced, [source.randbytes(max(0, edge + step)) for edge in edges for step in (-2, -1, 0, 1, 2)])


@on_every_path
def test_random_mixes_of_lengths_keep_their_order(forced: str) -> None:
    source = random.Random(4)
    for _ in range(30):
        longest = source.choice([40, 200, 2000, 20000])
        check(forced, [source.randbytes(source.randrange(longest)) for _ in range(source.randrange(1, 90))])


@on_every_path
def test_a_huge_message_among_small_ones(forced: str) -> None:
    source = random.Random(5)
    messages = [source.randbytes(source.randrange(100)) for _ in range(200)]
    messages[77] = source.randbytes(300_001)
    messages[199] = source.randbytes(70_000)
    check(forced, messages)


@pytest.mark.parametrize("path", _digests.paths("xxh3_64"))
@pytest.mark.parametrize("seed", SEEDS)
def test_xxh3_64_is_intdigest_with_every_seed(path: str, seed: int) -> None:
    source = random.Random(6)
    messages = [source.randbytes(n) for n in [*range(301), 1023, 1024, 1025, 1088, 5000, 100_000]]
    _digests.force_path("xxh3_64", path)
    try:
        digests = hash_many(messages, "xxh3_64", seed=seed)
    finally:
        _digests.force_path("xxh3_64")
    assert digests.dtype == "u8"
    assert digests.tolist() == [xxhash.xxh3_64_intdigest(m, seed) for m in messages]


@pytest.mark.parametrize("path", _digests.paths("xxh3_64"))
@pytest.mark.parametrize("seed", SEEDS)
def test_columns_are_hashed_like_lists_of_their_items(path: str, seed: int) -> None:
    numbers = np.random.default_rng(4).integers(0, 2**63, 1003)
    _digests.force_path("xxh3_64", path)
    try:
        for column in (
            numbers,
            numbers[::2],
            numbers.astype("i4"),
            numbers.astype("u2"),
            numbers.astype("c16"),
            numbers[:5],
        ):
            items = [item.tobytes() for item in column]
            expected = [xxhash.xxh3_64_intdigest(item, seed) for item in items]
            assert hash_many(column, "xxh3_64", seed=seed).tolist() == expected
    finally:
        _digests.force_path("xxh3_64")


@pytest.mark.parametrize("path", _digests.paths("xxh3_128"))
@pytest.mark.parametrize("seed", SEEDS)
def test_xxh3_128_with_every_seed(path: str, seed: int) -> None:
    source = random.Random(8)
    messages = [source.randbytes(n) for n in [*range(301), 1023, 1024, 1025, 1088, 5000, 100_000]]
    expected = [xxhash.xxh3_128_digest(m, seed) for m in messages]
    _digests.force_path("xxh3_128", path)
    try:
        assert hash_many(messages, "xxh3_128", seed=seed, form="bytes") == expected
    finally:
        _digests.force_path("xxh3_128")


@pytest.mark.parametrize("path", _digests.paths("crc32c"))
def test_the_seed_of_crc32c_is_the_checksum_of_the_preceding_bytes(path: str) -> None:
    _digests.force_path("crc32c", path)
    try:
        for seed in (1, 2**32 - 1, google_crc32c.value(b"before")):
            digests = hash_many([b"", b"after", b"x" * 9999], "crc32c", seed=seed)
            assert digests.dtype == "u4"
            assert digests.tolist() == [google_crc32c.extend(seed, m) for m in (b"", b"after", b"x" * 9999)]
    finally:
        _digests.force_path("crc32c")
    with pytest.raises(ValueError, match="seed of crc32c"):
        hash_many([b"x"], "crc32c", seed=2**32)


@pytest.mark.parametrize("path", _digests.paths("blake3"))
def test_keyed_blake3(path: str) -> None:
    source = random.Random(9)
    key = source.randbytes(32)
    messages = [source.randbytes(n) for n in [*range(0, 301, 7), 1023, 1024, 1025, 2048, 2049, 65536, 65537, 300_000]]
    _digests.force_path("blake3", path)
    try:
        digests = hash_many(messages, "blake3", key=key, form="bytes")
    finally:
        _digests.force_path("blake3")
    assert digests == [blake3.blake3(m, key=key).digest() for m in messages]


@pytest.mark.parametrize(("algorithm", "message", "digest"), VECTORS)
def test_published_vectors(algorithm: str, message: bytes, digest: str) -> None:
    assert hash_many([message], algorithm, form="hex") == [digest]


@on_every_path
def test_a_stream_fed_in_pieces_gives_the_digest_of_the_whole(forced: str) -> None:
    source = random.Random(7)
    for total in (0, 1, 63, 64, 65, 127, 128, 129, 240, 241, 1023, 1024, 1025, 2048, 5000, 200_000):
        message = source.randbytes(total)
        for longest in (1, 7, 64, 1024, 1500, 100_000):
            if total > 10_000 and longest < 64:
                continue
            hasher = _digests.Hasher(forced)
            rest = memoryview(message)
            while rest:
                size = source.randrange(longest + 1)
                hasher.feed(rest[:size])
                rest = rest[size:]
            assert hasher.digest() == REFERENCES[forced](message)


def test_reading_a_stream_does_not_end_it() -> None:
    hasher = _digests.Hasher("sha256")
    hasher.feed(b"ab")
    assert hasher.digest() == hashlib.sha256(b"ab").digest()
    hasher.feed(b"c")
    assert hasher.digest() == hashlib.sha256(b"abc").digest()


def test_a_code_path_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no path 'abacus' for sha256"):
        _digests.force_path("sha256", "abacus")
