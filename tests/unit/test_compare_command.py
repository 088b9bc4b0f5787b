"""`sharedkit compare` as users run it: whole programs, their output, exit codes, and what they leave."""

import contextlib
import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sharedkit.commands.root import root
from sharedkit.compare import catalogue, redis_server
from sharedkit.compare.digests import HashWorkload
from sharedkit.compare.pieces import SIZES
from sharedkit.compare.workload import Settings

WATCHDOG = 120.0
NO_SERVER = "missing" if redis_server.why_absent("") else ""
QUICK = ["--seconds", "0.02", "--repeats", "1", "--workers", "2"]


def run(*arguments, cwd, columns="120"):
    return subprocess.run(
        [sys.executable, "-m", "sharedkit", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"COLUMNS": columns},
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
    )


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_bytes(b"".join(b"%d of %d\n" % (line, number) for line in range(200 * number)))
    (folder / "empty").write_bytes(b"")
    return folder


def test_every_way_to_hash_gives_the_same_root_digest(tmp_path, corpus):
    done = run("compare", "hash", "--corpus", corpus, "--json", "out.json", "--plot", "out.html", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (hashed,) = json.loads((tmp_path / "out.json").read_text())["workloads"]
    measured = [row for row in hashed["rows"] if row["state"] == "ok"]
    assert {row["where"] for row in measured} >= {"serial", "threads", "asyncio", "processes"}
    assert len({row["fingerprint"] for row in measured}) == 1
    assert {row["operations"] for row in measured} == {2000 + 6}
    assert all(row["reason"] for row in hashed["rows"] if row["state"] == "missing")
    assert ("interpreters" in {row["where"] for row in measured}) == (sys.version_info >= (3, 12))
    assert measured[0]["fingerprint"][:32] in done.stdout
    assert b"root digest" in (tmp_path / "out.html").read_bytes()


def test_algorithms_beyond_hashlib_agree_with_their_packages(tmp_path, corpus):
    done = run("compare", "hash", "--corpus", corpus, "--algorithm", "crc32c", "--json", "o.json", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (hashed,) = json.loads((tmp_path / "o.json").read_text())["workloads"]
    assert {row["family"] for row in hashed["rows"] if row["state"] == "ok"} >= {"sharedkit"}


@pytest.fixture
def scratch(monkeypatch):
    """A folder for temporary files, with a short path: those of sockets are limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="t-") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


def test_every_way_to_hash_gives_the_same_root_digest_for_each_size(tmp_path, scratch, corpus):
    sizes = ["--size", "16", "--size", "1024", "--size", "16"]
    done = run("compare", "hash", "--corpus", corpus, *sizes, "--json", "out.json", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    workloads = json.loads((tmp_path / "out.json").read_text())["workloads"]
    data = b"".join(path.read_bytes() for path in sorted(corpus.iterdir()))
    assert len(workloads) == 2
    for size, hashed in zip((16, 1024), workloads, strict=True):
        items = [data[at : at + size] for at in range(0, len(data) // size * size, size)]
        root_digest = hashlib.sha256(b"".join(hashlib.sha384(item).digest() for item in items)).hexdigest()
        measured = [row for row in hashed["rows"] if row["state"] == "ok"]
        assert {row["where"] for row in measured} >= {"serial", "threads", "asyncio", "processes"}
        assert {row["fingerprint"] for row in measured} == {root_digest}
        assert {row["operations"] for row in measured} == {len(items)}
        assert {row["volume"] for row in measured} == {size * len(items)}
        assert f"{len(items):,} items of {size:,} bytes" in hashed["title"]
        assert not [row for row in hashed["rows"] if row["state"] in ("wrong", "failed")]
    assert not [path for path in scratch.iterdir() if path.name.startswith("sharedkit-compare-")]


def test_size_all_stands_for_the_documented_sizes(corpus):
    settings = Settings(workers=2, sizes=(16, 64, 256, 1024, 1 << 20))
    assert settings.sizes == SIZES
    assert [one.item_bytes for one in HashWorkload.of(settings)] == [*SIZES]
    (corpus / "large").write_bytes(bytes(10_000))
    done = CliRunner().invoke(root, ["compare", "hash", "--size", "all", "--corpus", str(corpus)])
    assert done.exit_code == 2
    assert "too few for one item of 1,048,576" in " ".join(done.output.split())


@pytest.mark.parametrize("workload", ["counter", "queue", "array", "dict", "locks", "executor"])
def test_sharedkit_is_exact_and_so_is_the_first_variant_of_the_standard_library(tmp_path, workload):
    done = run("compare", workload, "--only", "sharedkit", "--json", "out.json", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (compared,) = json.loads((tmp_path / "out.json").read_text())["workloads"]
    in_redis = [row for row in compared["rows"] if row["name"].endswith(", Redis")]
    assert {row["state"] for row in compared["rows"] if row not in in_redis} == {"ok"}
    assert {row["state"] for row in in_redis} == (set() if workload == "executor" else {NO_SERVER or "ok"})
    assert {(row["where"], row["family"]) for row in compared["rows"]} == {
        ("processes", "stdlib"),
        ("asyncio", "sharedkit"),
        ("threads", "sharedkit"),
        ("processes", "sharedkit"),
    }
    assert compared["rows"][1]["speedup"] > 0


@pytest.mark.parametrize("workload", ["counter", "queue", "array", "dict", "locks", "executor"])
def test_the_standard_library_is_exact_too(tmp_path, workload):
    only = {"counter": "threads · int", "dict": "threads · dict"}.get(workload, "multiprocessing")
    done = run("compare", workload, "--only", only, *QUICK, "--workers", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every" in done.stdout


def test_a_variant_that_lies_is_named_and_the_command_fails(monkeypatch, corpus):
    class Liar(HashWorkload):
        def variants(self):
            honest, other = [one for one in super().variants() if one.where == "serial"][:2]
            return [honest, other]

        def verify(self, amount, lap):
            self.laps = getattr(self, "laps", 0) + 1
            truth = super().verify(amount, lap)
            return truth if self.laps <= 2 else truth[::-1]

    monkeypatch.setitem(catalogue.WORKLOADS, "hash", Liar)
    done = CliRunner().invoke(root, ["compare", "hash", "--corpus", str(corpus), "--repeats", "1"])
    assert done.exit_code == 1
    assert "not all variants came to the same: hash: serial · sharedkit hash_many" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["everything"], "unknown workload 'everything'; known: hash, counter, queue, array, dict, locks, executor"),
        (["hash", "--algorithm", "md6"], "unknown algorithm 'md6'; known: "),
        (["hash", "--algorithm", "md6"], "sha384"),
        (["hash", "--corpus", "nowhere"], "no corpus: nowhere is not a directory"),
        (["hash", "--corpus", "."], "empty corpus"),
        (["hash", "--pattern", "*.c"], "none is given"),
        (["hash", "--size", "0"], "'0' is neither a number of bytes, at least 1, nor 'all'"),
        (["hash", "--size", "64", "--size", "big"], "'big' is neither"),
        (["hash", "--size", "1000000000000"], "too few for one item of 1,000,000,000,000"),
        (["counter", "--size", "64"], "--size is for the workload hash"),
        (["counter", "--workers", "0"], "--workers"),
        (["counter", "--workers", "many"], "--workers"),
        (["counter", "--repeats", "0"], "--repeats"),
        (["counter", "--corpus", "."], "--corpus is for the workload hash"),
        (["counter", "--only", "nobody"], "no variant of counter has 'nobody'"),
        (["queue", "--item-bytes", "3"], "at least 12 bytes"),
        (["counter", "--plot", "chart.gif"], ".svg, .png, .html"),
        (["counter", "--json", "no/such/folder.json"], "is not a directory"),
        (["counter", "--start-method", "magic"], "--start-method"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["compare", *arguments])
    assert not list(tmp_path.iterdir())
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_a_full_disk_is_a_sentence_and_exit_code_2(tmp_path):
    done = run(
        "compare", "counter", "--only", "int under", "--no-gil", "none", *QUICK, "--json", "/dev/full", cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "Error: /dev/full cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


def processes_of(session):
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(entry.name) and int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def mapped_by(pids):
    paths = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
            paths |= {line.split()[5] for line in lines if "/dev/shm/" in line and "(deleted)" not in line}
    return paths


def read_until(terminal, text, deadline):
    seen = ""
    while text not in seen:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], f"silent: {seen[-500:]}"
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen


@pytest.mark.parametrize("where", ["processes", "threads"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_run_leaves_nothing_running_and_nothing_in_shared_memory(tmp_path, where, number, code):
    deadline = time.monotonic() + WATCHDOG
    ours, theirs = pty.openpty()
    label = f"{where} · sharedkit Queue, batches"
    command = ["compare", "queue", "--seconds", "0.05", "--repeats", "40", "--only", label]
    child = subprocess.Popen(
        [sys.executable, "-m", "sharedkit", *command],
        cwd=tmp_path,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "160"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        read_until(ours, f"{label}, lap", deadline)
        mapped = mapped_by(processes_of(child.pid))
        # Ctrl-C on a terminal sends the signal to all processes in the foreground, also to workers.
        (os.killpg if number == signal.SIGINT else os.kill)(child.pid, number)
        while child.poll() is None:
            assert time.monotonic() < deadline
            if select.select([ours], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    os.read(ours, 65536)
        assert child.returncode == code
        while left := processes_of(child.pid):
            assert time.monotonic() < deadline, f"still running: {left}"
            select.select([], [], [], 0.05)
        assert mapped or where == "threads"
        assert not [path for path in mapped if os.path.exists(path)]
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
