"""Client and server of sharedkit in two network namespaces whose line is cut, by TCP alone and with TLS: calls end in
time with ServerGoneError, and what the client held goes to others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import until
from far import Far
from namespaces import Namespaces, why_not
from redis_server import die_with_parent, free_port
from unit.manager_serving import KEY
from unit.tls_certificates import Certificate, made_in

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

GONE = 6  # seconds after which a silent machine counts as gone, in these tests; otherwise it is 120
SLACK = 10.0  # seconds by which a busy machine may be late
SERVE = f"""
from sharedkit.manager import sockets
sockets.GONE_SECONDS = {GONE}
from sharedkit.commands.root import root
root()
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return made_in(tmp_path_factory.mktemp("tls"), "server", f"subjectAltName=IP:{Namespaces.address}")


@pytest.fixture
def spaces() -> Iterator[Namespaces]:
    with Namespaces() as made:
        yield made


@pytest.fixture(params=["TCP", "TLS"])
def context(request: Any, spaces: Namespaces, certificate: Certificate) -> Iterator[str]:
    """The expression by which a client gets the context of a server, which runs in its namespace."""
    port = free_port()
    options = certificate.options if request.param == "TLS" else ()
    process = subprocess.Popen(
        [
            *spaces.inside(spaces.server), sys.executable, "-c", SERVE,
            "serve", "--address", f"{spaces.address}:{port}", *options,
        ],
        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "SHAREDKIT_AUTHKEY": KEY.decode()},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving at")
        ssl = f", ssl=ssl.create_default_context(cafile={str(certificate.cert)!r})" if options else ""
        yield f"sk.get_context('manager', address=({spaces.address!r}, {port}), authkey={KEY!r}{ssl})"
    finally:
        process.kill()
        process.communicate()


def client_in(spaces: Namespaces, space: str, context: str) -> Far:
    far = Far(*spaces.inside(space))
    for line in (
        "ssl = __import__('ssl')",
        "sockets = __import__('sharedkit.manager.sockets', fromlist=['x'])",
        f"_ = setattr(sockets, 'GONE_SECONDS', {GONE})",
        "Task = __import__('concurrent.futures', fromlist=['x']).ThreadPoolExecutor(8).submit",
        f"ctx = {context}",
    ):
        assert far.do(line) == "ok"
    return far


@pytest.mark.filterwarnings("ignore::sharedkit.errors.OwnerDiedWarning")
@pytest.mark.parametrize(
    "how", ["both", *(pytest.param(each, marks=pytest.mark.stress) for each in ("replies", "link"))]
)
def test_a_client_behind_a_cut_line_gets_an_error_in_time_and_the_others_what_it_held(
    how: str, spaces: Namespaces, context: str
) -> None:
    with client_in(spaces, spaces.client, context) as far, client_in(spaces, spaces.server, context) as near:
        for line in (
            "lock = ctx.Lock(name='lock')",
            "permits = ctx.BoundedSemaphore(1, name='permits')",
            "q = ctx.Queue(name='q')",
            "c = ctx.Counter(name='c')",
        ):
            assert far.do(line) == "ok"
        for name in ("lock", "permits", "q", "c"):
            assert near.do(f"{name} = ctx.attach({name!r})") == "ok"
        assert (far.do("lock.acquire()"), far.do("permits.acquire()")) == ("True", "True")
        assert far.do("blocked = Task(q.get)") == "ok"
        assert near.do("other = Task(lock.acquire)") == "ok"
        until(lambda: near.do("q.statistics().waiting_getters + lock.statistics().waiting") == "2")

        began = time.monotonic()
        {"both": spaces.cut, "replies": lambda: spaces.cut(to_server=False), "link": spaces.take_down}[how]()
        assert far.do("c.add(1)").startswith("ServerGoneError")
        called = time.monotonic() - began
        assert far.do("blocked.result()").startswith("ServerGoneError")
        waited = time.monotonic() - began
        assert near.do("other.result()") == "True"
        assert near.do("permits.acquire()") == "True"
        handed_over = time.monotonic() - began
        print(
            f"{how}: call ended after {called:.1f} s, wait {waited:.1f} s, the lock was another's {handed_over:.1f} s"
        )
        assert max(called, waited, handed_over) < GONE + SLACK
        assert near.do("c.value") in ("0", "1")

        spaces.bring_up()
        assert near.do("q.put('it')") == "None"

        def goes_on() -> bool:
            return far.do("ctx.attach('c').add(0)").isdecimal()

        until(goes_on)
        assert far.do("q.put(1)").startswith("GoneError")  # it belonged to the session that has ended
        assert far.do("ctx.attach('q').get()") == "it"  # no item went to the wait that was cut off
        assert near.do("lock.release()") == "None"


def test_a_call_with_a_time_limit_ends_before_that(spaces: Namespaces, context: str) -> None:
    with client_in(spaces, spaces.client, context) as far:
        assert far.do("q = ctx.Queue()") == "ok"
        assert far.do("_ = setattr(sockets, 'GONE_SECONDS', 120)") == "ok"
        assert far.do("q2 = Task(ctx.Queue).result()") == "ok"
        spaces.cut()
        assert far.do("q.get(timeout=0.5)").startswith(("Empty", "ServerGoneError"))
        assert far.do("q2.put(1, timeout=0.5)").startswith(("Full", "ServerGoneError"))


def test_a_short_cut_and_a_slow_line_harm_nothing(spaces: Namespaces, context: str) -> None:
    with client_in(spaces, spaces.client, context) as far:
        assert far.do("c = ctx.Counter()") == "ok"
        assert far.do("q = ctx.Queue()") == "ok"
        for turn in range(3):
            spaces.cut(to_server=turn != 1, to_client=turn != 2)
            for call in ("c.add(1)", "q.put(bytes(5000))", "len(q.get())"):
                far.ask(call)
            time.sleep(0.3)
            spaces.restore()
            assert [far.answer() for _ in range(3)] == [str(turn + 1), "None", "5000"]
        spaces.slow_down()
        assert far.do("q.put(bytes(20000))") == "None"
        assert far.do("len(q.get())") == "20000"


@pytest.mark.stress
def test_a_new_client_behind_a_cut_line_is_told_in_time(spaces: Namespaces, context: str) -> None:
    with client_in(spaces, spaces.client, context) as far:
        spaces.cut()
        assert far.do("ctx.Counter()").startswith("ServerGoneError")
