"""Files are hashed once for all algorithms; one that cannot be read harms no other."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from sharedkit.hashing import hash_files


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


def test_what_progress_raises_ends_the_call(files: list[Path]) -> None:
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
