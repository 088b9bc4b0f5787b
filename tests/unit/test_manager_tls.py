"""Servers over TLS: everything works as without, nothing is legible on the line, and every end is noticed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from click.testing import CliRunner
from conformance.watchdog import LIMIT, Task, until
from processes.programs import is_stopped
from unit.manager_serving import KEY, served
from unit.tls_certificates import Certificate, made_in

import sharedkit as sk
from sharedkit.commands.root import root
from sharedkit.errors import AuthkeyError, GoneError, ServerGoneError, ServerMismatchError
from sharedkit.manager import connect, server, stopped_server, tls
from sharedkit.manager.client import Client

BRIEF = 0.2  # seconds: the timeout of a call


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return made_in(tmp_path_factory.mktemp("tls"))


@contextmanager
def served_over_tls(certificate: Certificate) -> Iterator[tuple[Any, tuple[str, int]]]:
    with served("127.0.0.1:0", *certificate.options) as (process, shown):
        host, _, port = shown.rpartition(":")
        yield process, (host, int(port))


@pytest.fixture
def address(certificate: Certificate) -> Iterator[tuple[str, int]]:
    with served_over_tls(certificate) as (_, address):
        yield address


@pytest.fixture
def ctx(certificate: Certificate, address: tuple[str, int]) -> Iterator[Any]:
    with sk.get_context("manager", address=address, authkey=KEY, ssl=certificate.client()) as context:
        yield context


def relays() -> int:
    return sum(each.name == "sharedkit TLS" for each in threading.enumerate())


# --- what works without TLS works with it


def test_items_of_every_size_arrive_as_they_were_sent(ctx: Any) -> None:
    with ctx.Queue() as q:
        for size in (0, 1, 16_383, 16_384, 16_385, 65_536, 262_144, 1_000_003, 20 << 20):
            item = np.random.default_rng(size).bytes(size)
            q.put(item)
            assert q.get() == item


def test_threads_and_tasks_share_the_server(ctx: Any) -> None:
    hits, q = ctx.Counter(), ctx.Queue(3)

    def work() -> None:
        for number in range(50):
            hits.add(1)
            q.put(number)

    async def take() -> list[int]:
        return [await q.aget() for _ in range(200)]

    workers = [Task(work) for _ in range(4)]
    assert sorted(asyncio.run(take())) == sorted([*range(50)] * 4)
    for each in workers:
        each.result()
    assert hits.value == 200


def test_two_large_messages_cross_on_the_line(ctx: Any) -> None:
    """Each side sends much before it reads: a relay that read only after it had sent would stop both for ever."""
    size = 16 << 20
    with ctx.Queue() as q, ctx.Queue() as other:
        q.put(bytes(size))

        async def main() -> int:  # both go through the session's one connection
            came, _ = await asyncio.gather(q.aget(), other.aput(bytes(size)))
            return len(came)

        assert Task(lambda: asyncio.run(main())).result() == size
        assert len(other.get()) == size


def test_an_executor_runs_calls(ctx: Any) -> None:
    with ctx.Executor(1) as executor:
        assert executor.submit(pow, 2, 100).result(LIMIT) == 2**100


def test_a_timeout_and_a_cancelled_task_end_a_wait_and_take_nothing(ctx: Any) -> None:
    with ctx.Queue() as q:
        with pytest.raises(Empty):
            q.get(timeout=BRIEF)

        async def main() -> None:
            waiting = asyncio.create_task(q.aget())
            while not q.statistics().waiting_getters:
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(main())
        q.put("it")
        assert q.get() == "it"


def test_a_signal_handler_that_raises_ends_a_wait_and_takes_nothing(ctx: Any) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()
    try:
        with ctx.Queue() as q:
            for _ in range(5):
                helper = Task(
                    lambda: (
                        until(lambda: q.statistics().waiting_getters == 1),
                        signal.pthread_kill(main, signal.SIGUSR1),
                    )
                )
                with pytest.raises(Interrupted):
                    q.get()
                helper.result()
            until(lambda: q.statistics().waiting_getters == 0)
            q.put("it")
            assert q.get() == "it"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_stopped_server_lets_calls_with_a_time_limit_end(certificate: Certificate) -> None:
    with served_over_tls(certificate) as (process, address):
        context: Any = sk.get_context("manager", address=address, authkey=KEY, ssl=certificate.client())
        q = context.Queue()
        q.put("it")
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: is_stopped(process.pid))
        begun = time.monotonic()
        with pytest.raises(Empty, match="has said nothing for 5 s past the time"):
            q.get(timeout=BRIEF)
        assert time.monotonic() - begun >= stopped_server.SILENCE
        os.kill(process.pid, signal.SIGCONT)
        assert q.get(timeout=LIMIT) == "it"


# --- on the line


class Line:
    """A server between client and server; it records what passes."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.seen = bytearray()
        self.ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
            except OSError:
                return
            self.ends += near, far
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(1 << 16):
                self.seen += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self) -> None:
        """End every connection, in the middle of whatever passes."""
        for each in self.ends:
            with suppress(OSError):  # it has ended already
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()
        for each in self.ends:
            each.close()


@pytest.mark.parametrize("encrypted", [True, False])
def test_nothing_is_legible_on_the_line(certificate: Certificate, encrypted: bool) -> None:
    secret = b"a secret that nobody on the line reads"
    with served("127.0.0.1:0", *(certificate.options if encrypted else ())) as (_, shown):
        host, _, port = shown.rpartition(":")
        with closing(Line((host, int(port)))) as line:
            context = certificate.client() if encrypted else None
            with sk.get_context("manager", address=line.address, authkey=KEY, ssl=context) as ctx, ctx.Queue() as q:
                q.put(secret)
                assert q.get() == secret
            assert len(line.seen) > 500
            for word in (secret, b"kit_session", b"#CHALLENGE#"):
                assert (word in line.seen) is not encrypted


def test_a_line_that_is_cut_ends_every_wait(certificate: Certificate, address: tuple[str, int]) -> None:
    with closing(Line(address)) as line:
        context: Any = sk.get_context("manager", address=line.address, authkey=KEY, ssl=certificate.client())
        q = context.Queue()
        waits = [Task(q.get), Task(lambda: asyncio.run(q.aget()))]
        until(lambda: q.statistics().waiting_getters == 2)
        line.cut()
        for each in waits:
            with pytest.raises(ServerGoneError):
                each.result()
        until(lambda: relays() == 0)

        def goes_on() -> bool:
            with suppress(ServerGoneError):  # the first call of a thread may learn of it only now
                context.Counter().add(1)
                return True
            return False

        until(goes_on)
        with pytest.raises(GoneError):  # it belongs to the session before
            q.put("it")


# --- who is let in


def test_a_certificate_that_nobody_vouches_for_is_refused(address: tuple[str, int]) -> None:
    strict: Any = sk.get_context("manager", address=address, authkey=KEY, ssl=ssl.create_default_context())
    with pytest.raises(ServerMismatchError, match="CERTIFICATE_VERIFY_FAILED"):
        strict.Counter()
    until(lambda: relays() == 0)


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    other = made_in(tmp_path, "other", "subjectAltName=DNS:elsewhere.example")
    with served_over_tls(other) as (_, address):
        context: Any = sk.get_context("manager", address=address, authkey=KEY, ssl=other.client())
        with pytest.raises(ServerMismatchError, match=r"127\.0\.0\.1"):
            context.Counter()


def test_the_authkey_is_asked_for_inside_tls(certificate: Certificate, address: tuple[str, int]) -> None:
    context: Any = sk.get_context("manager", address=address, authkey=b"another", ssl=certificate.client())
    with pytest.raises(AuthkeyError):
        context.Counter()
    until(lambda: relays() == 0)


def test_a_client_with_tls_is_told_that_the_server_has_none(certificate: Certificate) -> None:
    with served("127.0.0.1:0") as (_, shown):
        host, _, port = shown.rpartition(":")
        context: Any = sk.get_context("manager", address=(host, int(port)), authkey=KEY, ssl=certificate.client())
        with pytest.raises(ServerMismatchError, match="no TLS with what listens"):
            context.Counter()


def test_a_client_without_tls_is_told_that_the_server_may_want_it(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "HANDSHAKE_SECONDS", 0.5)
    with served_over_tls(certificate) as (_, address):
        context: Any = sk.get_context("manager", address=address, authkey=KEY)
        with pytest.raises(ServerGoneError, match=r"for 0\.5 seconds: .* or it wants TLS \(ssl=\.\.\.\)"):
            context.Counter()


def test_a_server_that_never_answers_the_handshake_of_tls_is_left_in_time(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "HANDSHAKE_SECONDS", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        context: Any = sk.get_context("manager", address=silent.getsockname(), authkey=KEY, ssl=certificate.client())
        with pytest.raises(ServerGoneError, match=r"for 0\.5 seconds"):
            context.Counter()


@contextmanager
def serving_here(context: ssl.SSLContext) -> Iterator[Any]:
    here: Any = server.Manager(("127.0.0.1", 0), KEY).get_server(context)
    serving = Task(here.serve_forever)
    try:
        yield here
        until(lambda: not here.registry.sessions)  # a loop that has stopped would close none
    finally:
        here.loop.soon(here.loop.stop)
        serving.result()
        here.listener.close()


def test_a_guest_that_does_not_finish_the_handshake_is_turned_away(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.3)
    with serving_here(certificate.server()) as here:
        with socket.create_connection(here.address) as silent:  # no word of TLS
            silent.settimeout(LIMIT)
            assert silent.recv(1) == b""
        with socket.create_connection(here.address) as raw:  # TLS, and no authkey
            raw.settimeout(LIMIT)
            with certificate.client().wrap_socket(raw, server_hostname="localhost") as encrypted:
                while encrypted.recv(1 << 10):
                    pass
        until(lambda: relays() == 0)


def test_a_server_may_ask_for_the_certificates_of_clients(certificate: Certificate) -> None:
    asking = certificate.server()
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(certificate.cert)
    with serving_here(asking) as here:
        with pytest.raises(ServerMismatchError, match=r"(?i)certificate required"):
            Client(here.address, KEY, certificate.client()).call(0, "release")
        known = certificate.client()
        known.load_cert_chain(certificate.cert, certificate.key)
        client = Client(here.address, KEY, known)
        assert client.call(0, "release") is None
        client.close()


# --- ends


def test_a_closed_context_leaves_no_thread_and_no_socket(certificate: Certificate, address: tuple[str, int]) -> None:
    def closed() -> bool:
        return all(each._tcp.fileno() < 0 and each._near.fileno() < 0 for each in used)

    until(lambda: relays() == 0)
    with sk.get_context("manager", address=address, authkey=KEY, ssl=certificate.client()) as ctx:
        ctx.Counter().add(1)
        used: list[Any] = [each for each in tls._relays if each._tcp.fileno() >= 0]
        assert len(used) == relays() == 2
    until(lambda: relays() == 0 and closed())


def test_a_server_notices_the_end_of_a_session_and_of_each_thread(certificate: Certificate) -> None:
    with serving_here(certificate.server()) as here:
        client = Client(here.address, KEY, certificate.client())
        client.call(0, "release")
        (session,) = here.registry.sessions.values()
        assert len(session.channels) == 2
        Task(client.call, 0, "release").result()  # a thread that ends
        until(lambda: len(session.channels) == 2)
        client.close()
        until(lambda: not here.registry.sessions and relays() == 0)


def test_a_client_notices_the_death_of_the_server(certificate: Certificate) -> None:
    with served_over_tls(certificate) as (process, address):
        context: Any = sk.get_context("manager", address=address, authkey=KEY, ssl=certificate.client())
        q = context.Queue()
        waiting = Task(q.get)
        until(lambda: q.statistics().waiting_getters == 1)
        process.kill()
        with pytest.raises(ServerGoneError):
            waiting.result()
        until(lambda: relays() == 0)


def test_over_tcp_the_socket_below_tls_is_probed(certificate: Certificate) -> None:
    with serving_here(certificate.server()) as here:
        client = Client(here.address, KEY, certificate.client())
        client.call(0, "release")
        sockets = [each._tcp for each in tls._relays if each._tcp.fileno() >= 0]
        assert len(sockets) == 4  # two connections, and both ends are in this process
        for each in sockets:
            assert each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert each.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
        client.close()


# --- other processes


def hold(lock: Any, says: Any) -> None:
    lock.acquire()
    says.set()
    time.sleep(LIMIT)


def test_a_forked_child_has_the_handles_and_its_death_is_noticed(ctx: Any) -> None:
    lock, held = ctx.Lock(), ctx.Event()
    child = multiprocessing.get_context("fork").Process(target=hold, args=(lock, held))
    child.start()
    assert held.wait(LIMIT)
    assert not lock.acquire(False)
    child.kill()
    with pytest.warns(sk.OwnerDiedWarning):
        assert lock.acquire(timeout=LIMIT)
    lock.release()
    child.join()


def fork_and_hold(address: Any, cert: str, says: Any) -> None:
    """Hold a lock, and fork a child that outlives this process."""
    context: Any = sk.get_context("manager", address=address, authkey=KEY, ssl=ssl.create_default_context(cafile=cert))
    context.attach("held by a parent").acquire()
    pid = os.fork()
    if pid == 0:
        time.sleep(LIMIT)
        os._exit(0)
    says.send(pid)
    time.sleep(LIMIT)


def test_the_death_of_a_parent_is_noticed_while_its_child_lives(
    ctx: Any, address: tuple[str, int], certificate: Certificate
) -> None:
    lock = ctx.Lock(name="held by a parent")  # `with` would take it
    here, there = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    parent = spawn.Process(target=fork_and_hold, args=(address, str(certificate.cert), there))
    parent.start()
    assert here.poll(LIMIT)
    child = here.recv()
    try:
        assert not lock.acquire(False)
        parent.kill()
        with pytest.warns(sk.OwnerDiedWarning):
            assert lock.acquire(timeout=LIMIT)
        os.kill(child, 0)  # it lives
        lock.release()
    finally:
        os.kill(child, signal.SIGKILL)
        parent.join()


def use(pickled: bytes, address: Any, cert: str | None, says: Any) -> None:
    if cert is not None:
        sk.get_context("manager", address=address, authkey=KEY, ssl=ssl.create_default_context(cafile=cert))
    try:
        pickle.loads(pickled).add(1)
    except ServerMismatchError as error:
        says.send(str(error))
    else:
        says.send("added")


@pytest.mark.parametrize("knows", [True, False])
def test_a_spawned_child_needs_a_context_of_its_own(
    ctx: Any, address: tuple[str, int], certificate: Certificate, knows: bool
) -> None:
    with ctx.Counter() as hits:
        here, there = multiprocessing.Pipe()
        cert = str(certificate.cert) if knows else None
        child = multiprocessing.get_context("spawn").Process(
            target=use, args=(pickle.dumps(hits), address, cert, there)
        )
        child.start()
        assert here.poll(LIMIT)
        said = here.recv()
        child.join()
        assert hits.value == int(knows)
        assert said == "added" if knows else "wants TLS, and a handle carries no ssl.SSLContext: call" in said


def know(address: Any, cert: str) -> None:
    sk.get_context("manager", address=address, authkey=KEY, ssl=ssl.create_default_context(cafile=cert))


def add(counter: Any, n: int) -> int:
    return int(counter.add(n))


def test_a_handle_reaches_a_worker_of_an_executor_whose_initializer_knows_the_certificate(
    ctx: Any, address: tuple[str, int], certificate: Certificate
) -> None:
    with ctx.Counter() as hits, ctx.Executor(1, None, know, (address, str(certificate.cert))) as executor:
        assert executor.submit(add, hits, 3).result(LIMIT) == 3
        assert hits.value == 3


def test_a_worker_of_an_executor_that_knows_no_certificate_says_where_to_tell_it(ctx: Any) -> None:
    with ctx.Counter() as hits, ctx.Executor(1) as executor:
        with pytest.raises(ServerMismatchError, match="in a worker of an Executor, by its initializer"):
            executor.submit(add, hits, 3).result(LIMIT)
        assert executor.submit(pow, 2, 5).result(LIMIT) == 32  # the worker goes on
        assert hits.value == 0


def test_a_context_with_ssl_is_not_pickled(ctx: Any) -> None:
    with pytest.raises(TypeError, match=r"call get_context\('manager', address=\.\.\., ssl=\.\.\.\) in the other"):
        pickle.dumps(ctx)


# --- arguments


def test_a_process_has_one_placement_for_each_ssl_context(certificate: Certificate) -> None:
    where, one = ("host.example", 1), certificate.client()
    plain: Any = sk.get_context("manager", address=where, authkey=KEY)
    first, again, other = (
        sk.get_context("manager", address=where, authkey=KEY, ssl=each) for each in (one, one, certificate.client())
    )
    assert first.server is again.server
    assert len({id(each.server) for each in (plain, first, other)}) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"address": ("host", 1), "ssl": True}, TypeError, "ssl is an ssl.SSLContext, not bool"),
        ({"address": ("host", 1), "ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, ValueError, "for the other side"),
        ({"address": "/a/path", "ssl": ssl.create_default_context()}, ValueError, "over TCP"),
        ({"ssl": ssl.create_default_context()}, ValueError, "uses no network"),
    ],
)
def test_an_argument_that_is_not_for_tls_is_refused(arguments: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        sk.get_context("manager", **arguments)


def test_only_the_manager_has_ssl() -> None:
    with pytest.raises(ValueError, match="ssl are for"):
        sk.get_context("shm", ssl=ssl.create_default_context())  # type: ignore[call-overload]


def test_a_server_refuses_a_context_for_clients() -> None:
    with pytest.raises(ValueError, match="for the other side"):
        server.Manager(("127.0.0.1", 0), KEY).get_server(ssl.create_default_context())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["127.0.0.1:0", "--tls-key", "{0}/server.key"], "--tls-key needs --tls-cert"),
        (["{0}/socket", "--tls-cert", "{0}/server.pem"], "--tls-cert is for HOST:PORT"),
        (["127.0.0.1:0", "--tls-cert", "{0}/none"], "--tls-cert {0}/none: No such file or directory"),
        (["127.0.0.1:0", "--tls-cert", "{0}/server.pem"], "--tls-cert {0}/server.pem: [SSL]"),
        (["127.0.0.1:0", "--tls-cert", "{0}/server.pem", "--tls-key", "{0}/other.key"], "KEY_VALUES_MISMATCH"),
    ],
)
def test_a_server_without_a_fit_certificate_is_a_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("server", "other"):
        made_in(tmp_path, name)
    monkeypatch.setenv("SHAREDKIT_AUTHKEY", "key")
    done = CliRunner().invoke(root, ["serve", "--address", *(each.format(tmp_path) for each in arguments)])
    assert done.exit_code == 2
    assert sentence.format(tmp_path) in done.output
