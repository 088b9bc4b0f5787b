"""A primary, a replica and a sentinel: the context finds the primary, and the new one after a failover."""

from __future__ import annotations

import pickle
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import until
from redis_certificates import SECRET, make_certificates
from redis_server import ABSENT, Server, free_port, tls_program

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))


class Sentinel(Server):
    """A sentinel that watches a service called "shop"; `lines` belong to its configuration."""

    def __init__(self, port: int, *lines: str, host: str = "127.0.0.1") -> None:
        super().__init__(port=True)
        conf = Path(self.folder, "conf")
        conf.write_text(
            "\n".join(
                (
                    *(line for line in lines if "shop" not in line),
                    f"sentinel monitor shop {host} {port} 1",
                    "sentinel down-after-milliseconds shop 500",
                    "sentinel failover-timeout shop 3000",
                    *(line for line in lines if "shop" in line),
                    "",
                )
            )
        )
        self.before = (str(conf), "--sentinel")

    def replicas(self) -> list[Any]:
        return list(self.ask("SENTINEL", "REPLICAS", "shop"))


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server, Sentinel]]:
    with Server(port=True) as primary, Server("--replicaof", "127.0.0.1", str(primary.port), port=True) as replica:
        until(lambda: primary.ask("INFO", "replication")["connected_slaves"] == 1)
        with Sentinel(primary.port) as sentinel:
            yield primary, replica, sentinel


def test_after_a_failover_handles_have_lost_their_lease_and_new_ones_work(
    servers: tuple[Server, Server, Sentinel],
) -> None:
    primary, replica, sentinel = servers
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/shop/0"
    with sk.get_context("redis", url=url, prefix="shop", lease=30.0) as ctx:
        counter = ctx.Counter(7, name="kept", persist=True)
        assert pickle.loads(pickle.dumps(counter)).value == 7
        until(lambda: replica.ask("GET", "{shop:kept}") is not None)
        until(lambda: len(sentinel.replicas()) == 1)
        primary.stop(signal.SIGKILL)

        def lost() -> bool:
            try:
                counter.add()
            except sk.LeaseLostError:
                return True
            except sk.ServerGoneError:
                return False
            raise AssertionError("the handle works on a server that it does not know")

        until(lost)
        again = ctx.attach("kept")
        assert again.add() == 8
        assert replica.ask("INFO", "replication")["role"] == "master"
        again.unlink()


def test_what_is_wrong_with_the_sentinels_is_named(servers: tuple[Server, Server, Sentinel]) -> None:
    port, nobody = servers[2].port, free_port()
    for place, words in (
        (f"127.0.0.1:{port}/other", rf"127.0.0.1:{port} knows no service 'other'"),
        (f"127.0.0.1:{nobody}/shop", rf"no sentinel of .* names a primary \(127.0.0.1:{nobody}: .*refused"),
    ):
        with pytest.raises(sk.ServerGoneError, match=words) as caught:
            sk.get_context("redis", url=f"redis+sentinel://:hush@{place}", prefix="shop").Counter()
        assert "hush" not in str(caught.value)
    for url in (f"redis+sentinel://127.0.0.1:{port}", "redis+sentinel://:hush@/shop", "redis+sentinel://host:x/shop"):
        with pytest.raises(ValueError, match=r"the url of a server begins with .* redis\+sentinel:// or") as wrong:
            sk.get_context("redis", url=url)
        assert "hush" not in str(wrong.value)


def test_sentinels_may_have_a_user_and_a_password_of_their_own() -> None:
    with (
        Server("--requirepass", "of-primary", port=True) as primary,
        Sentinel(
            primary.port,
            "sentinel auth-pass shop of-primary",
            "user default off",
            "user watcher on >of-sentinel allchannels +@all",
        ) as sentinel,
    ):
        place = f"127.0.0.1:{sentinel.port}/shop"
        login = "sentinel_username=watcher&sentinel_password=of-sentinel"
        url = f"redis+sentinel://:of-primary@127.0.0.1:{free_port()},{place}?{login}"
        with sk.get_context("redis", url=url, prefix="shop") as ctx:
            counter = ctx.Counter()
            assert counter.add() == 1
            for text in (pickle.dumps(counter), pickle.dumps(ctx), repr(counter).encode(), ctx.url.encode()):
                assert b"of-" not in text
            assert pickle.loads(pickle.dumps(counter)).add() == 2
        for wrong in (
            f"redis+sentinel://:of-primary@{place}",
            f"redis+sentinel://:of-primary@{place}?sentinel_username=watcher&sentinel_password=of-nobody",
            f"redis+sentinel://:of-nobody@{place}?{login}",
        ):
            with pytest.raises(sk.AuthkeyError, match="refuses this user or password") as caught:
                sk.get_context("redis", url=wrong, prefix="shop").Counter()
            assert "of-" not in str(caught.value).replace("redis+sentinel", "")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make certificates")
@pytest.mark.skipif(ABSENT is not None or tls_program() is None, reason="no redis-server with TLS is installed")
def test_sentinels_and_their_primary_may_speak_tls(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path)
    files = {"cert-file": "server.crt", "key-file": "server.key", "ca-cert-file": "ca.crt"}
    tls = [f"tls-{what} {folder}/{name}" for what, name in files.items()]
    port, sentinel_port = free_port(), free_port()
    primary = Server("--tls-port", str(port), *(f"--{part}" if not i % 2 else part for i, part in _words(tls)))
    sentinel = Sentinel(
        port, *tls, f"tls-port {sentinel_port}", "tls-replication yes", "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes", host="localhost",
    )  # fmt: skip
    primary.program = sentinel.program = tls_program() or ""
    options = f"ssl_ca_certs={folder}/ca.crt&ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key"
    url = f"rediss+sentinel://localhost:{sentinel_port}/shop?{options}&ssl_password={SECRET}"
    with primary, sentinel:
        with sk.get_context("redis", url=url, prefix="shop") as ctx:
            counter = ctx.Counter()
            assert pickle.loads(pickle.dumps(counter)).add() == 1
            assert SECRET.encode() not in pickle.dumps(counter)
        for wrong, error, words in (
            (url.replace("/ca.crt", "/other.crt"), sk.ServerMismatchError, "certificate of the server .* not trusted"),
            (
                url.replace("rediss+", "redis+").partition("?")[0],
                sk.ServerGoneError,
                "no sentinel of .* names a primary",
            ),
        ):
            with pytest.raises(error, match=words):
                sk.get_context("redis", url=wrong, prefix="shop").Counter()


def _words(lines: list[str]) -> enumerate[str]:
    """The words of these lines, each with its number."""
    return enumerate(word for line in lines for word in line.split(" ", 1))
