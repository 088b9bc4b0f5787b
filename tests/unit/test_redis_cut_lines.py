"""Client and Redis server in two network namespaces whose line is cut and restored: the client that was cut off is
fenced after its lease, and the others go on; a short cut harms nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from far import CALLS, HELD, Far
from namespaces import Namespaces, why_not
from redis_server import ABSENT, Server, free_port

import sharedkit as sk

pytestmark = [
    pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT)),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

LEASE = 2.0
SLACK = 5.0  # seconds by which a busy machine may be late


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    with Namespaces() as made:
        yield made


@pytest.fixture
def server(spaces: Namespaces) -> Iterator[Server]:
    """A server that the client's namespace reaches by TCP, and this process by a Unix socket, which no cut concerns."""
    port = free_port()
    made = Server("--port", str(port), "--bind", spaces.address, "--protected-mode", "no")
    made.before = ()
    made.tcp = f"redis://{spaces.address}:{port}/0"  # type: ignore[attr-defined]
    made.program, made.before = "ip", (*spaces.inside(spaces.server)[1:], made.program)
    with made:
        yield made


@pytest.fixture
def client(spaces: Namespaces, server: Server) -> Iterator[Far]:
    url = server.tcp  # type: ignore[attr-defined]
    with Far(*spaces.inside(spaces.client)) as far:
        assert far.do(f"ctx = sk.get_context('redis', url={url!r}, prefix='far', lease={LEASE}, timeout=1.0)") == "ok"
        yield far


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="far", lease=LEASE) as context:
        yield context


@pytest.mark.filterwarnings("ignore::sharedkit.errors.OwnerDiedWarning")
@pytest.mark.parametrize("how", ["packets are lost", "replies are lost", "the link is down"])
def test_a_client_behind_a_cut_line_is_fenced_and_the_others_go_on(
    how: str, spaces: Namespaces, client: Far, ctx: Any
) -> None:
    for cls, (made, call) in CALLS.items():
        name = f"name='far {cls}'"
        assert client.do(f"{cls} = ctx.{made.format(name)}") == "ok"
        assert not client.do(f"{cls}.{call}").startswith(("LeaseLost", "ServerGone"))
    theirs = {cls: ctx.attach(f"far {cls}") for cls in CALLS}
    waits = {cls: Task(lambda h=theirs[cls], call=call: eval(f"h.{call}", {"h": h})) for cls, (_, call) in HELD.items()}
    until(lambda: theirs["Lock"].statistics().waiting == 1)

    cut = {
        "packets are lost": spaces.cut,
        "replies are lost": lambda: spaces.cut(to_server=False),
        "the link is down": spaces.take_down,
    }
    began = time.monotonic()
    cut[how]()
    client.ask("Counter.add(1)")
    assert client.answer().startswith(("ServerGoneError", "LeaseLostError"))
    for wait in waits.values():
        assert wait.result() is True
    took = time.monotonic() - began
    print(f"{how}: the others had everything after {took:.2f} s; the lease is {LEASE} s")
    assert took < LEASE + 1 + SLACK
    counted = theirs["Counter"].value

    spaces.bring_up()
    for cls, (_, call) in CALLS.items():
        assert client.do(f"{cls}.{call}").startswith("LeaseLostError the lease of this process"), cls
    assert theirs["Counter"].value == counted
    assert (theirs["Counters"]["a"].value, theirs["Queue"].qsize(), theirs["Semaphore"].get_value()) == (1, 1, 2)
    assert (dict(theirs["Dict"]), set(theirs["Set"]), theirs["Array"][0], theirs["RawValue"].value) == (
        {"a": 1}, {1}, 1, 3,
    )  # fmt: skip
    assert client.do("ctx.attach('far Counter').add(1)") == str(counted + 1)
    for cls in HELD:
        theirs[cls].close()


@pytest.mark.parametrize(
    "direction", [{}, {"to_server": False}, {"to_client": False}], ids=["both", "replies", "requests"]
)
def test_a_cut_that_is_shorter_than_the_lease_harms_nothing(
    direction: dict[str, bool], spaces: Namespaces, server: Server, ctx: Any
) -> None:
    url = server.tcp  # type: ignore[attr-defined]
    with Far(*spaces.inside(spaces.client)) as client:
        assert client.do(f"ctx = sk.get_context('redis', url={url!r}, prefix='far', lease=60.0, timeout=20.0)") == "ok"
        assert client.do("c = ctx.Counter(name='short')") == "ok"
        assert client.do("q = ctx.Queue(name='short queue')") == "ok"
        assert client.do("lock = ctx.Lock(name='short lock')") == "ok"
        count, items, lock = (ctx.attach(each) for each in ("short", "short queue", "short lock"))
        items.put_many(range(20))
        for turn in range(3):
            spaces.cut(**direction)
            for call in ("c.add(1)", "q.get()", "lock.acquire()", "lock.release()"):
                client.ask(call)
            time.sleep(0.3)
            spaces.restore()
            assert [client.answer() for _ in range(4)] == [str(turn + 1), str(turn), "True", "None"]
        assert (count.value, items.qsize(), lock.locked()) == (3, 17, False)


def test_what_comes_slowly_comes_whole(spaces: Namespaces, server: Server, client: Far, ctx: Any) -> None:
    assert client.do("q = ctx.Queue(name='slow')") == "ok"
    spaces.slow_down()
    ctx.attach("slow").put(bytes(8_000))
    assert client.do("len(q.get())") == "8000"
    assert client.do("[q.put(n) for n in range(5)] and [q.get() for _ in range(5)]") == "[0, 1, 2, 3, 4]"
