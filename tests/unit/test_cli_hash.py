"""`sharedkit hash` prints and checks the same lines as coreutils."""

import shutil
import subprocess
from pathlib import Path

import pytest

click_testing = pytest.importorskip("click.testing")

from sharedkit.commands.hash import hash_command  # noqa: E402 - after click is known to be there


def run(*arguments: object, input: bytes | None = None) -> "click_testing.Result":
    return click_testing.CliRunner().invoke(hash_command, [str(a) for a in arguments], input=input)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    names = ["plain", "with space", "line\nbreak", "back\\slash"]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(b"contents %d" % i * 1000 * i)
    return [tmp_path / name for name in names]


@pytest.mark.skipif(shutil.which("sha384sum") is None, reason="needs coreutils")
def test_sharedkit_hash_and_sha384sum_agree_and_check_each_other(files: list[Path], tmp_path: Path) -> None:
    theirs = subprocess.run(["sha384sum", *files], capture_output=True, text=True, timeout=60, check=True).stdout
    ours = run("--threads", 2, *files)
    assert (ours.output, ours.exit_code) == (theirs, 0)
    sums = tmp_path / "SUMS"
    sums.write_text(ours.output)
    checked = run("--check", sums)
    assert checked.exit_code == 0
    assert checked.output.count(": OK\n") == len(files)
    assert run("--check", "--quiet", sums).output == ""
    subprocess.run(["sha384sum", "--check", "--quiet", sums], timeout=60, check=True)


def test_standard_input_is_read_without_files() -> None:
    result = run("-a", "sha256", input=b"abc")
    assert result.output == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n"


def test_a_changed_and_a_missing_file_fail_the_check(files: list[Path], tmp_path: Path) -> None:
    sums = tmp_path / "SUMS"
    sums.write_text(run("-a", "blake3", *files[:3]).output)
    files[0].write_bytes(b"changed")
    files[1].unlink()
    result = run("-a", "blake3", "--check", sums)
    assert result.exit_code == 1
    assert f"{files[0]}: FAILED\n" in result.output
    assert f"{files[1]}: FAILED open or read\n" in result.output
    assert f"{files[2]}: OK\n" in result.output


def test_a_file_that_cannot_be_read_does_not_stop_the_rest(files: list[Path], tmp_path: Path) -> None:
    result = run(tmp_path / "absent", files[0])
    assert result.exit_code == 1
    assert "absent: No such file or directory" in result.output
    assert str(files[0]) in result.output


def test_a_list_without_digests_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "nothing").write_text("not a digest  name\n")
    result = run("--check", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "no lines with digests of sha384" in result.output


def test_blake3_is_printed_and_checked_as_b3sum_does(files: list[Path], tmp_path: Path) -> None:
    """Lines have two spaces; a backslash precedes the digest if the name has escaped line ends or backslashes."""
    blake3 = pytest.importorskip("blake3")
    lines = []
    for path in files:
        name = str(path).replace("\\", "\\\\").replace("\n", "\\n")
        mark = "\\" if name != str(path) else ""
        lines.append(f"{mark}{blake3.blake3(path.read_bytes()).hexdigest()}  {name}\n")
    assert run("-a", "blake3", *files).output == "".join(lines)
    (tmp_path / "B3SUMS").write_text("".join(lines))
    checked = run("-a", "blake3", "--check", tmp_path / "B3SUMS")
    assert (checked.exit_code, checked.output.count(": OK\n")) == (0, len(files))
