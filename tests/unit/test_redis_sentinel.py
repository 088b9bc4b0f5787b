"""A primary, a replica and a sentinel: the context finds the primary, and the new one after a failover."""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import until
from redis_server import ABSENT, Server, free_port

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))


class Sentinel(Server):
    """A sentinel that watches a service called "shop"."""

    def __init__(self, primary: Server) -> None:
        super().__init__(port=True)
        conf = Path(self.folder, "conf")
        conf.write_text(
            f"sentinel monitor shop 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
        )
        self.before = (str(conf), "--sentinel")

    def replicas(self) -> list[Any]:
        return list(self.ask("SENTINEL", "REPLICAS", "shop"))


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server, Sentinel]]:
    with Server(port=True) as primary, Server("--replicaof", "127.0.0.1", str(primary.port), port=True) as replica:
        until(lambda: primary.ask("INFO", "replication")["connected_slaves"] == 1)
        with Sentinel(primary) as sentinel:
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
        with pytest.raises(ValueError, match=r"the url of a server begins with .* or redis\+sentinel://") as wrong:
            sk.get_context("redis", url=url)
        assert "hush" not in str(wrong.value)
