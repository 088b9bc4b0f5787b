"""Files are hashed once for all algorithms; a file that cannot be read does not stop the others."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from sharedkit.hashing import hash_file, hash_files, hash_many

KEY = bytes(range(32))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"file {i}" for i in range(12)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * (i * 200_003))
    return paths


@pytest.mark.parametrize("threads", [1, 4, "auto"])
def test_several_digests_in_one_pass(files: list[Path], threads: Any) -> None:
    results = hash_files(files, ["sha384", "sha256", "sha384"], threads=threads)
    assert [r.path for r in results] == files
    for path, result in zip(files, results, strict=True):
        contents = path.read_bytes()
        assert result.error is None
        assert result.size == len(contents)
        assert result.digests == {
            "sha384": hashlib.sha384(contents).digest(),
            "sha256": hashlib.sha256(contents).digest(),
        }


@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_that_cannot_be_read_does_not_stop_the_rest(files: list[Path], tmp_path: Path, threads: int) -> None:
    results = hash_files([files[1], tmp_path / "gone", tmp_path, files[2]], "sha256", threads=threads, form="hex")
    assert isinstance(results[1].error, FileNotFoundError)
    assert results[1].error.filename == tmp_path / "gone" or "gone" in str(results[1].error)
    assert isinstance(results[2].error, IsADirectoryError)
    assert results[1].digests == results[2].digests == {}
    for result, path in ((results[0], files[1]), (results[3], files[2])):
        assert result.digests == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_progress_adds_up_to_every_byte(files: list[Path]) -> None:
    seen: dict[Any, int] = {}
    lock = threading.Lock()

    def progress(path: Any, size: int) -> None:
        with lock:
            seen[path] = seen.get(path, 0) + size

    results = hash_files(files, "xxh3_64", threads=3, progress=progress)
    assert seen == {r.path: r.size for r in results if r.size}


def test_an_exception_of_progress_ends_the_call(files: list[Path]) -> None:
    def progress(path: Any, size: int) -> None:
        raise RuntimeError("enough")

    for threads in (1, 3):
        with pytest.raises(RuntimeError, match="enough"):
            hash_files(files, "sha256", threads=threads, progress=progress)


def test_wrong_arguments_open_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown algorithm 'md4'"):
        hash_files([tmp_path], ["sha256", "md4"])
    with pytest.raises(ValueError, match="at least one"):
        hash_files([tmp_path], [])
    with pytest.raises(ValueError, match="form"):
        hash_files([tmp_path], "sha256", form="array")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads"):
        hash_files([tmp_path], "sha256", threads=0)


@pytest.mark.parametrize("threads", [1, 3])
def test_seed_and_key_go_to_the_algorithms_that_take_them(files: list[Path], threads: int) -> None:
    names = ["sha256", "blake3", "xxh3_64", "xxh3_128", "crc32c"]
    results = hash_files(files, names, seed=7, key=bytearray(KEY), threads=threads)
    for path, result in zip(files, results, strict=True):
        message = [path.read_bytes()]
        assert result.digests == {
            "sha256": hash_many(message, "sha256", form="bytes")[0],
            "blake3": hash_many(message, "blake3", key=KEY, form="bytes")[0],
            **{name: hash_many(message, name, seed=7, form="bytes")[0] for name in names[2:]},
        }
    assert results[1].digests["blake3"] == hash_file(files[1], "blake3", key=KEY)
    assert results[1].digests["blake3"] != hash_file(files[1], "blake3")
    assert results[1].digests["xxh3_64"] == hash_file(files[1], "xxh3_64", seed=7) != hash_file(files[1], "xxh3_64")


@pytest.mark.parametrize(
    ("names", "options", "error", "words"),
    [
        (["sha256", "blake3"], {"seed": 1}, ValueError, "none of sha256, blake3 takes a seed: 1"),
        (["sha256", "xxh3_64"], {"key": KEY}, ValueError, "none of sha256, xxh3_64 takes a key"),
        ("blake3", {"key": KEY[1:]}, ValueError, "key of blake3 must have 32 bytes: 31"),
        ("blake3", {"key": "text"}, TypeError, "bytes-like"),
        (["xxh3_64", "crc32c"], {"seed": 1 << 32}, ValueError, r"seed of crc32c must be in 0 … 2\*\*32 - 1"),
        ("xxh3_64", {"seed": -1}, ValueError, r"seed of xxh3_64 must be in 0 … 2\*\*64 - 1: -1"),
        ("xxh3_64", {"seed": "7"}, TypeError, "seed must be an int: str"),
    ],
)
def test_an_impossible_seed_or_key_opens_no_file(
    tmp_path: Path, names: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    def opened(path: Any, size: int) -> None:
        raise AssertionError(f"{path} was opened")

    (tmp_path / "file").write_bytes(b"contents")
    with pytest.raises(error, match=words):
        hash_files([tmp_path / "file"], names, progress=opened, **options)
