"""A server that speaks TLS: everything works; a certificate that is missing or wrong is an error that says so."""

from __future__ import annotations

import asyncio
import pickle
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_certificates import SECRET, make_certificates
from redis_server import ABSENT, Cluster, Server, free_port, tls_program

import sharedkit as sk

if ABSENT is None:
    from sharedkit.redis.address import Address
    from sharedkit.redis.tls import TlsSocket

pytestmark = [
    pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT)),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make certificates"),
    pytest.mark.skipif(tls_program() is None, reason="no redis-server with TLS is installed"),
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_port(certificates: Path) -> Iterator[tuple[int, Server]]:
    """The port of a server that wants a certificate of its clients, and the server."""
    port = free_port()
    server = Server(
        "--tls-port", str(port), "--tls-cert-file", f"{certificates}/server.crt",
        "--tls-key-file", f"{certificates}/server.key", "--tls-ca-cert-file", f"{certificates}/ca.crt",
    )  # fmt: skip
    server.program = tls_program() or ""
    with server:
        yield port, server


@pytest.fixture(scope="module")
def url(tls_port: tuple[int, Server], certificates: Path) -> str:
    """The url with all that the server wants."""
    return (
        f"rediss://localhost:{tls_port[0]}/0?ssl_ca_certs={certificates}/ca.crt"
        f"&ssl_certfile={certificates}/client.crt&ssl_keyfile={certificates}/client.key&ssl_password={SECRET}"
    )


@pytest.fixture
def ctx(url: str, tls_port: tuple[int, Server]) -> Iterator[Any]:
    with sk.get_context("redis", url=url, prefix="tls", timeout=2.0) as context:
        yield context
    assert tls_port[1].ask("KEYS", "*") == []


def test_threads_wait_and_large_items_come_whole(ctx: Any) -> None:
    queue, lock = ctx.Queue(), ctx.Lock()
    wait = Task(queue.get)
    until(lambda: queue.statistics().waiting_getters == 1)
    large = bytes(range(256)) * 60_000
    queue.put(large)
    assert wait.result() == large
    with lock:
        wait = Task(lock.acquire)
        until(lambda: lock.statistics().waiting == 1)
    assert wait.result() is True
    lock.release()


def test_tasks_send_while_answers_are_read_and_no_connection_ends(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = ctx.Queue()
    connections: list[Any] = []
    connect = Address.connect
    monkeypatch.setattr(Address, "connect", lambda *args: connections.append(args) or connect(*args))

    async def work(number: int) -> None:
        for i in range(50):
            await queue.aput(bytes(number * 5000))
            assert len(await queue.aget()) % 5000 == 0, i

    async def main() -> None:
        await asyncio.gather(*map(work, range(16)))

    asyncio.run(main())
    assert len(connections) <= 2  # of the tasks and the keeper


def test_a_server_that_stops_is_told_in_time(ctx: Any, tls_port: tuple[int, Server]) -> None:
    counter = ctx.Counter()
    process = tls_port[1].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(sk.ServerGoneError, match=r"does not answer|no server answers"):
            counter.add()
    finally:
        process.send_signal(signal.SIGCONT)
    assert counter.add() >= 1


def test_pickles_and_texts_have_no_password_of_the_key(ctx: Any, url: str) -> None:
    counter = ctx.Counter()
    for text in (pickle.dumps(counter), pickle.dumps(ctx), repr(counter).encode(), repr(ctx).encode()):
        assert SECRET.encode() not in text
    assert SECRET in url
    assert pickle.loads(pickle.dumps(counter)).add() == 1


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (
            ("/ca.crt", "/other.crt"),
            sk.ServerMismatchError,
            r"certificate of the server at .* not trusted .*\?ssl_ca_certs=",
        ),
        (
            ("localhost", "127.0.0.1"),
            sk.ServerMismatchError,
            r"certificate of the server at .* not trusted .*127\.0\.0\.1",
        ),
        (("&.*", ""), sk.ServerGoneError, r"the server at .* ends the connection .*\?ssl_certfile="),
        (("rediss(.*)\\?.*", "redis\\1"), sk.ServerGoneError, r"no server answers at redis://localhost"),
        (("hush-hush", "hash-hash"), sk.AuthkeyError, r"ssl_certfile and ssl_keyfile of .* ssl_password does not fit"),
        (
            ("&ssl_password=.*", ""),
            sk.AuthkeyError,
            r"ssl_password does not fit .* a pickled handle carries no password",
        ),
    ],
    ids=["authority", "host", "no certificate", "no TLS", "another password", "no password"],
)
def test_what_is_missing_or_wrong_is_said(url: str, wrong: tuple[str, str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        sk.get_context("redis", url=re.sub(*wrong, url), prefix="tls").Counter()
    assert SECRET not in str(caught.value)
    assert "hash-hash" not in str(caught.value)


def test_a_cluster_may_speak_tls(certificates: Path) -> None:
    with Cluster(certificates=certificates) as cluster:
        files = f"ssl_ca_certs={certificates}/ca.crt&ssl_check_hostname=no"  # the nodes name themselves by addresses
        url = cluster.url.replace("redis+", "rediss+") + "?" + files
        with sk.get_context("redis", url=url, prefix="tls") as ctx:
            for number in range(9):
                queue = ctx.Queue(name=f"q{number}")
                wait = Task(queue.get)
                until(lambda queue=queue: queue.statistics().waiting_getters == 1)  # type: ignore[misc]
                pickle.loads(pickle.dumps(queue)).put("item")
                assert wait.result() == "item"
            assert len(ctx.server._sessions) == 3


def test_two_threads_never_use_the_tls_object_at_once() -> None:
    class Tls:
        """Stands for an SSLSocket, and notes two calls at once."""

        inside = overlaps = 0

        def gettimeout(self) -> float:
            return 5.0

        def setblocking(self, _: bool) -> None: ...

        def recv_into(self, _: Any) -> int:
            self.overlaps += self.inside
            self.inside += 1
            time.sleep(0.001)
            self.inside -= 1
            return 1

        send = recv_into

    tls = Tls()
    both = TlsSocket(tls)  # type: ignore[arg-type]
    reader = threading.Thread(target=lambda: [both.recv_into(bytearray(1)) for _ in range(50)])
    reader.start()
    both.sendall(bytes(50))
    reader.join()
    assert tls.overlaps == 0
