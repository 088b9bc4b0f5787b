"""The web services under gunicorn and uvicorn: one limit for all workers, through reloads and deaths of any of them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from conformance.watchdog import LIMIT, in_threads, until

import sharedkit as sk

WEB = Path(__file__).parents[2] / "examples" / "applications" / "web"
BURST = 20
COMMANDS = {
    "gunicorn": ["-m", "gunicorn", "--config", "gunicorn.conf.py"],
    "uvicorn": ["asgi_service.py"],
    "uvicorn's command": ["-m", "uvicorn", "asgi_service:app", "--workers", "2", "--port", "0"],
    "reload": ["asgi_service.py", "--reload"],
}


class Service:
    """A service on a port of the system's choice, in a session of its own that ends with the `with` statement."""

    def __init__(self, kind: str, name: str, home: Path, folder: Path = WEB) -> None:
        own = {"BIND": "127.0.0.1:0", "PORT": "0", "SERVICE": name, "REQUESTS_PER_MINUTE": "0.001", "HOME": str(home)}
        self._log = home / f"{uuid.uuid4().hex}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *COMMANDS[kind]], cwd=folder, env={**os.environ, **own}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._clients = (f"127.1.{n // 250}.{n % 250 + 1}" for n in itertools.count())

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        return int(re.findall(r"http://127\.0\.0\.1:(\d+)", self.log)[0])

    def started(self) -> list[int]:
        """The process ids of all workers that have been started, in order."""
        started = re.findall(r"(?:Booting worker with pid: |Started server process \[)(\d+)", self.log)
        return [int(pid) for pid in started]

    def serves(self, workers: int) -> None:
        """Wait until this number of workers has been started, and the service answers."""
        until(lambda: len(self.started()) >= workers, what=f"{workers} workers: {self.log}")
        until(self.answers, what="an answer")

    def answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request() == 200
        return False

    def request(self, method: str = "GET", client: str | None = None, body: bytes | None = None) -> int:
        """The status of the answer. Without `client`, a new client sends the request, which has its whole allowance.

        Give a request that will be refused no body: the server closes its connection without reading it.
        """
        connection = self.connect(client)
        with contextlib.closing(connection):
            connection.request(method, "/", body)
            return connection.getresponse().status

    def connect(self, client: str | None = None) -> http.client.HTTPConnection:
        source = (client or next(self._clients), 0)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT, source_address=source)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        self._process.wait(LIMIT)
        assert "Traceback" not in self.log

    def has_ended(self) -> bool:
        """Whether no worker is left. A worker of gunicorn checks its master after a request, or half its timeout."""
        self.answers()
        return all(is_gone(pid) for pid in self.started())

    def kill_master(self) -> None:
        self._process.kill()
        self._process.wait(LIMIT)

    def kill_all(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(LIMIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill_all()


def is_gone(pid: int) -> bool:
    """Whether the process has ended, also if nobody has reaped it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def exhaust(service: Service) -> None:
    """Let one client use up its allowance, and no more, from several threads."""
    statuses = in_threads([lambda: [service.request(client="127.0.0.1") for _ in range(BURST // 2)]] * 4)
    assert Counter(itertools.chain(*statuses)) == {200: BURST, 429: BURST}


def is_exhausted(service: Service) -> bool:
    return service.request(client="127.0.0.1") == 429


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a service of which nothing may be left."""
    name = f"web-{uuid.uuid4().hex}"
    yield name
    assert not list(Path("/dev/shm").glob(f"*{name}*"))


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn", "uvicorn's command"])
def test_all_workers_have_one_limit_and_a_graceful_reload_keeps_it(kind: str, name: str, tmp_path: Path) -> None:
    with Service(kind, name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        before = service.started()
        service.signal(signal.SIGHUP)
        service.serves(4)
        until(lambda: all(is_gone(pid) for pid in before), what=f"a reload: {service.log}")
        assert is_exhausted(service)
        assert service.request() == 200
        service.stop()


def begin_upload(service: Service, name: str) -> tuple[http.client.HTTPConnection, int]:
    """An upload whose body does not come, and the process id of the worker that waits for it."""
    connection = service.connect()
    connection.putrequest("PUT", "/")
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    with contextlib.closing(sk.attach(f"{name}-uploads")) as uploads:
        until(lambda: uploads.statistics().holders, what="an upload that has begun")
        (pid,) = uploads.statistics().holders
    return connection, pid


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
def test_a_worker_that_is_killed_during_an_upload_holds_nobody_up(kind: str, name: str, tmp_path: Path) -> None:
    with Service(kind, name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        connection, pid = begin_upload(service, name)
        assert service.request("PUT") == 503
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse()
        connection.close()
        service.serves(3)
        assert service.request("PUT", body=b"a picture") == 200
        assert is_exhausted(service)
        service.stop()


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
def test_the_next_start_after_the_master_was_killed_begins_anew(kind: str, name: str, tmp_path: Path) -> None:
    with Service(kind, name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        service.kill_master()
        until(service.has_ended, what=f"an end: {service.log}")
    with Service(kind, name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        service.stop()


def test_the_next_start_after_all_were_killed_begins_anew(name: str, tmp_path: Path) -> None:
    with Service("gunicorn", name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        service.kill_all()
    with Service("gunicorn", name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        service.stop()


def test_a_new_master_takes_over_from_the_old_one_with_its_limit(name: str, tmp_path: Path) -> None:
    with Service("gunicorn", name, tmp_path) as service:
        service.serves(2)
        exhaust(service)
        service.signal(signal.SIGUSR2)
        service.serves(4)
        service.stop()
        assert is_exhausted(service)
        assert service.request() == 200
        _, successor = re.findall(r"Listening at: \S+ \((\d+)\)", service.log)
        os.kill(int(successor), signal.SIGTERM)
        until(lambda: is_gone(int(successor)), what="an end of the new master")


def test_a_change_of_a_file_replaces_the_worker_and_keeps_the_limit(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(WEB, tmp_path / "web")
    with Service("reload", name, tmp_path, folder) as service:
        service.serves(1)
        exhaust(service)

        def replaced() -> bool:
            (folder / "asgi_service.py").touch()  # again, if uvicorn had not seen the file's first time by then
            with contextlib.suppress(AssertionError):
                until(lambda: len(service.started()) >= 2, limit=LIMIT / 6)
            return len(service.started()) >= 2

        until(replaced, what="another worker")
        service.serves(2)
        assert is_exhausted(service)
        assert service.request() == 200
        service.stop()
