"""`sharedkit doctor`: what it finds, on this machine and on machines that are made up."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import sharedkit as sk
from sharedkit import segments
from sharedkit._core.segment import FOLDER
from sharedkit.commands import findings
from sharedkit.commands.findings import Finding
from sharedkit.commands.root import root

WATCHDOG = 60.0


def path_of(name: str) -> Path:
    return Path(FOLDER) / segments.shared_memory_name(name)


@pytest.fixture
def name() -> Iterator[str]:
    made = f"test-doctor-{uuid.uuid4().hex}"
    yield made
    path_of(made).unlink(missing_ok=True)


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["doctor", *arguments])


def found(check: Any) -> dict[str, Finding]:
    return {each.what: each for each in check()}


def test_each_matter_has_a_finding_and_the_exit_code_tells_of_problems() -> None:
    done = doctor("--json")
    told = json.loads(done.output)
    subjects = {each["what"] for each in told["findings"]}
    assert {
        "sharedkit", "Python", "system", "folder", "files", "futex_waitv", "pidfd", "memfd", "descriptors",
        "address space", "file size", "processes", "mappings", "memory", "container", "seccomp", "/proc", "segments",
        "orphans",
    } <= subjects  # fmt: skip
    problems = [each for each in told["findings"] if each["verdict"] == "problem"]
    assert told["problems"] == len(problems)
    assert done.exit_code == (1 if problems else 0)
    assert all(each["do"] for each in problems)


def test_what_sharedkit_needs_works_where_these_tests_run() -> None:
    assert {each.verdict for check in (findings.file_calls, findings.system_calls) for each in check()} <= {
        "ok",
        "note",
    }
    assert found(findings.file_calls)["files"].verdict == "ok"


def test_into_a_pipe_goes_a_line_a_finding() -> None:
    lines = [line.split("\t") for line in doctor().output.splitlines()]
    assert {len(line) for line in lines} == {4}
    assert {line[0] for line in lines} <= {"ok", "note", "problem"}


def test_it_changes_nothing_in_the_folder(name: str) -> None:
    with closing(sk.Counter(name=name)):
        before = path_of(name).read_bytes()
        ours = {each for each in os.listdir(FOLDER) if name in each}
        doctor()
        assert {each for each in os.listdir(FOLDER) if name in each} == ours
        assert path_of(name).read_bytes() == before


# --- what other programs left -------------------------------------------------------------------------------


LEAVE_AN_ORPHAN = """
import os, signal
from click.testing import CliRunner
import sharedkit as sk
from sharedkit.commands.root import root

child = os.fork()
if child == 0:
    lock = sk.Lock(name="left")
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
print(CliRunner().invoke(root, ["doctor", "--json"]).output)
assert sk.segments.sweep() == ["left"], "it was not there any more"
"""


def test_an_orphan_is_named_and_left_where_it_is() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # of its own: other programs remove orphans in theirs
        done = subprocess.run(
            [sys.executable, "-c", LEAVE_AN_ORPHAN],
            env={**os.environ, "SHAREDKIT_DIR": folder},
            capture_output=True,
            text=True,
            timeout=WATCHDOG,
        )
    assert done.returncode == 0, done.stderr
    (finding,) = (each for each in json.loads(done.stdout)["findings"] if each["what"] == "orphans")
    assert finding["verdict"] == "note"
    assert finding["says"].startswith("'left': ")
    assert finding["do"] == "sharedkit rm --orphans"


@pytest.mark.parametrize("what", ["layout", "damage"])
def test_a_segment_of_another_layout_is_a_note_and_a_damaged_one_a_problem(what: str, name: str) -> None:
    with closing(sk.Lock(name=f"{name}-sound")) as lock:
        raw = bytearray(path_of(lock.name).read_bytes())
    raw[8 if what == "layout" else 20] = 99
    path_of(name).write_bytes(raw)
    (finding,) = (each for each in findings.leftovers() if name in each.says)
    assert (finding.what, finding.verdict) == (what, "note" if what == "layout" else "problem")
    assert finding.do.endswith(f"sharedkit rm --force {name}")
    if what == "layout":
        assert "layout 99, this one has layout" in finding.says
    else:
        assert doctor().exit_code == 1


# --- machines that are made up ------------------------------------------------------------------------------


def test_a_folder_that_is_none_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(findings, "FOLDER", str(tmp_path / "none"))
    for check in (findings.folder, findings.file_calls):
        (finding,) = check()
        assert finding.verdict == "problem"
        assert "SHAREDKIT_DIR" in finding.do
    assert {each.what for each in findings.system_calls()} == {"futex_waitv", "pidfd", "memfd"}


def mounted(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(findings, "_mounts", lambda: [line.split(" ") for line in lines])


def test_the_file_system_is_that_of_the_innermost_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(
        monkeypatch,
        "1 0 8:1 / / rw - ext4 /dev/sda rw",
        "2 1 0:5 / /dev/shm rw - tmpfs shm rw",
        "3 1 0:6 / /dev/sh rw - xfs x rw",
        "4 1 0:7 / /a\\040b rw - overlay x rw",
    )
    kinds = {path: findings._file_system(path) for path in ("/dev/shm", "/dev/shm/in", "/dev/shmem", "/a b/c")}
    assert kinds == {"/dev/shm": "tmpfs", "/dev/shm/in": "tmpfs", "/dev/shmem": "ext4", "/a b/c": "overlay"}


@pytest.mark.parametrize(
    ("blocks", "free", "verdict"),
    [(1 << 24, 1 << 23, "ok"), (1 << 14, 1 << 14, "note"), (1 << 24, 1 << 18, "note"), (1 << 24, 10, "problem")],
)
def test_a_small_or_full_folder_is_told(blocks: int, free: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, f"2 1 0:5 / {FOLDER} rw - tmpfs shm rw")
    room = os.statvfs_result((4096, 4096, blocks, free, free, 0, 0, 0, 0, 255))
    monkeypatch.setattr(findings.os, "statvfs", lambda path: room)
    (finding,) = findings.folder()
    assert finding.verdict == verdict
    assert (finding.do == "") == (verdict == "ok")


def test_limits_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    low = {
        resource.RLIMIT_NOFILE: 20, resource.RLIMIT_AS: 1 << 30, resource.RLIMIT_FSIZE: 1 << 20,
        resource.RLIMIT_NPROC: 10,
    }  # fmt: skip
    monkeypatch.setattr(findings, "_limit", low.get)
    told = found(findings.limits)
    said = {"descriptors": "20 ", "address space": "1.07 GB", "file size": "1.05 MB", "processes": "10 processes"}
    for what, words in said.items():
        assert told[what].verdict == "note"
        assert words in told[what].says
        assert told[what].do.startswith("ulimit -")
    monkeypatch.setattr(findings, "_limit", lambda which: None)
    assert {each.verdict for each in findings.limits() if each.what != "mappings"} == {"ok"}


@pytest.mark.parametrize("hidden", ["hidepid=2", "hidepid=invisible", "hidepid=0"])
def test_a_proc_that_hides_is_told(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, f"2 1 0:5 / /proc rw - proc proc rw,{hidden}")
    finding = found(findings.surroundings)["/proc"]
    assert finding.verdict == ("ok" if hidden == "hidepid=0" else "note")


def test_a_filter_of_system_calls_and_a_container_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_status", lambda: {"Seccomp": "2"})
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    told = found(findings.surroundings)
    assert told["seccomp"].verdict == "note"
    assert "KUBERNETES_SERVICE_HOST" in told["container"].says
    monkeypatch.setattr(findings, "_status", dict)
    assert found(findings.surroundings)["/proc"].verdict == "problem"


def test_the_least_limit_of_the_control_groups_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for place, limit in ((inner, "max"), (inner.parent, str(1 << 30)), (tmp_path, str(1 << 40))):
        (place / "memory.max").write_text(limit)
        (place / "memory.current").write_text("4096")
    groups = tmp_path / "cgroup"
    groups.write_text("1:cpu:/elsewhere\n0::/outer/inner\n")
    mounted(monkeypatch, f"2 1 0:5 / {tmp_path} rw - cgroup2 cgroup2 rw")
    monkeypatch.setattr(findings, "GROUPS", groups)
    (finding,) = findings.memory()
    assert finding.verdict == "note"
    assert "allows 1.07 GB, 4.10 kB are in use" in finding.says
    groups.write_text("")
    (finding,) = findings.memory()
    assert finding.verdict == "ok"
