"""Untrusted peers and mismatches: arbitrary bytes, other keys and releases, addresses in use; and how a server ends."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
import threading
from contextlib import closing, suppress
from multiprocessing import connection as mp_connection
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until
from unit.manager_serving import KEY, served

import sharedkit as sk
from sharedkit.manager import connect, server, sockets
from sharedkit.manager.client import Client
from sharedkit.manager.protocol import PROTOCOL


def memory_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


# --- untrusted peers of a server


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(5000),
        b"",
        struct.pack("!i", 200) + b"half of it",
        struct.pack("!i", 0x7FFFFFFF) + b"more than there is memory",
        struct.pack("!iQ", -1, 1 << 62) + b"more than there is anywhere",
        struct.pack("!i", -5),
    ],
    ids=["http", "random", "nothing", "half", "long", "longer", "negative"],
)
def test_bytes_of_an_untrusted_peer_take_neither_memory_nor_a_thread(ctx: Any, noise: bytes) -> None:
    pid = ctx.server._process.pid
    ctx.Counter().add()
    threads, memory = len(os.listdir(f"/proc/{pid}/task")), memory_of(pid)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(ctx.address)
        stranger.sendall(noise)
        assert ctx.Counter(4).value == 4
        assert memory_of(pid) - memory < 32 << 20
    until(lambda: len(os.listdir(f"/proc/{pid}/task")) <= threads)


def test_the_connection_of_a_silent_peer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.05)
    here: Any = server.Manager(None, KEY).get_server()
    serving = threading.Thread(target=here.serve_forever, daemon=True)
    before = threading.active_count() + 2
    serving.start()
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as slow:
        for stranger in (silent, slow):
            stranger.settimeout(LIMIT)
            stranger.connect(here.address)
        slow.sendall(struct.pack("!i", 16) + b"one byte at a")
        for stranger in (silent, slow):
            while stranger.recv(1000):
                pass
        until(lambda: threading.active_count() <= before)
    here.loop.soon(here.loop.stop)
    serving.join(LIMIT)
    here.listener.close()


def test_a_client_with_the_key_that_sends_nonsense_harms_only_itself(ctx: Any) -> None:
    client = ctx.server.client()
    damaged = struct.pack("!i", 17) + b"\1\0\0\0\0\0\0\1N." + b"\0\0\0\0\0\0\1"
    for nonsense in (
        struct.pack("!i", -7),
        struct.pack("!i", 9) + b"\0\0\0\0\0\0\0\1.",
        struct.pack("!i", 0),
        struct.pack("!iQ", -1, 1 << 40) + b"is more than will ever come",
        struct.pack("!iQ", -1, 1 << 63) + b"is more than there can be",
        damaged,
    ):
        stranger, _ = connect.connect(client.address, client.authkey, "kit_session", os.getpid(), None)
        with stranger:
            os.write(stranger.fileno(), nonsense)
            assert ctx.Counter(4).value == 4
    with pytest.raises(sk.ServerGoneError, match="no method"):
        connect.connect(client.address, client.authkey, "os.system", "true")


def test_another_release_is_refused_by_name(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PROTOCOL", PROTOCOL + 1)
    client = Client(ctx.address, None)
    with pytest.raises(sk.ServerMismatchError, match=f"protocol {PROTOCOL}, and this process {PROTOCOL + 1}"):
        client.call(0, "release")


def test_a_value_that_the_server_cannot_import_fails_only_where_it_must_be_unpickled(ctx: Any) -> None:
    d = ctx.Dict()
    d["there"] = 1
    d["mine"] = _Mine()  # the server does not unpickle keys and values
    assert type(d.pop("mine")) is _Nowhere
    d["sum"] = _Mine()
    assert d.add("sum", 4) == 5  # the stored pickle is no number, so the client adds
    with pytest.raises(TypeError):
        d.add("there", _Mine())
    assert d.as_dict() == {"there": 1, "sum": 5}
    with pytest.raises((ImportError, AttributeError)):
        ctx.server.client().call(d._ident, "get", _Mine())
    assert d["there"] == 1


class _Mine:
    """Unpickles as a type of this module, which the server cannot import."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Nowhere, ()


class _Nowhere:
    def __add__(self, n: int) -> int:
        return 1 + n


_Nowhere.__module__ = "a_module_that_is_nowhere"
sys.modules["a_module_that_is_nowhere"] = type(sys)("a_module_that_is_nowhere")
sys.modules["a_module_that_is_nowhere"]._Nowhere = _Nowhere  # type: ignore[attr-defined]


def test_multiprocessings_own_manager_connects_too(ctx: Any) -> None:
    other = BaseManager(ctx.address, ctx.server.client().authkey)
    other.connect()
    assert ctx.Counter(4).value == 4


# --- a client at a wrong address


def test_another_program_at_the_address_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for said, match in ((b"SSH-2.0-nobody\r\n", "is not a sharedkit server"), (b"", "hung up")):
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            task = Task(_answer, listener, said)
            with pytest.raises(sk.ServerGoneError, match=match):
                sk.get_context("manager", address=listener.getsockname(), authkey=KEY).Counter()
            task.result()
    monkeypatch.setattr(connect, "HANDSHAKE_SECONDS", 1)
    silent = socket.create_server(("127.0.0.1", 0))
    with closing(silent), pytest.raises(sk.ServerGoneError, match="gives no valid answer"):
        sk.get_context("manager", address=silent.getsockname(), authkey=KEY).Counter()


def test_the_handshake_has_one_time_limit_in_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "HANDSHAKE_SECONDS", 1)
    enough = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        task = Task(_drip, listener, enough)
        with pytest.raises(sk.ServerGoneError, match="gives no valid answer"):
            Task(sk.get_context("manager", address=listener.getsockname(), authkey=KEY).Counter).result()
        enough.set()
        task.result()


def _drip(listener: socket.socket, enough: threading.Event) -> None:
    """Send a byte often enough that no single read of a client times out."""
    with listener.accept()[0] as end, suppress(OSError):
        end.sendall(struct.pack("!i", 200))
        while not enough.wait(0.1):
            end.sendall(b"x")


def test_a_listener_that_accepts_no_connection_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "HANDSHAKE_SECONDS", 1)
    path = str(tmp_path / "socket")
    with closing(socket.socket(socket.AF_UNIX)) as listener, closing(socket.socket(socket.AF_UNIX)) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(sk.ServerGoneError, match="gives no valid answer"):
            Task(sk.get_context("manager", address=path, authkey=KEY).Counter).result()


def _answer(listener: socket.socket, said: bytes) -> None:
    with listener.accept()[0] as end:
        end.sendall(said)


@pytest.mark.parametrize(
    "address", [5, (), ("localhost",), ("::1", 1, 0, 0), {}, {1: 2}, (None, 1), (b"localhost", 1), ("localhost", "1")]
)
def test_an_invalid_address_is_a_type_error(address: Any) -> None:
    with pytest.raises(TypeError, match=r"the (address|port) of a server is .*"):
        sk.get_context("manager", address=address)


def test_an_address_and_an_authkey_have_their_forms(tmp_path: Path) -> None:
    for address in ("", ("localhost", 0), ("localhost", 1 << 16)):
        with pytest.raises(ValueError, match="of a server"):
            sk.get_context("manager", address=address)
    for authkey in ("text", 5, 0, [1, 2], 10**12):
        with pytest.raises(TypeError, match=f"an authkey is bytes, .*not {type(authkey).__name__}"):
            sk.get_context("manager", address="/nowhere", authkey=authkey)  # type: ignore[arg-type]
    path = tmp_path / "socket"
    for address in (path, os.fsencode(path)):
        assert sk.get_context("manager", address=address).address == str(path)


def test_an_address_without_a_server_is_an_error() -> None:
    with pytest.raises(sk.ServerGoneError, match="no server answers"):
        sk.get_context("manager", address="/nowhere/socket", authkey=KEY).Counter()


# --- addresses in use


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with served(f"127.0.0.1:{port}") as (process, _):
            _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 2
    assert "cannot listen at" in said and "in use" in said
    assert "Traceback" not in said


def test_the_socket_file_of_a_dead_server_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with served(str(path)) as (process, _):
        process.kill()
        process.wait(LIMIT)
    assert path.exists()
    with served(str(path)) as (_, shown):
        context: Any = sk.get_context("manager", address=shown, authkey=KEY)
        with context:
            assert context.Counter(4).value == 4


def test_the_socket_file_of_a_living_server_and_other_files_are_not_taken_over(tmp_path: Path) -> None:
    path, file = tmp_path / "socket", tmp_path / "file"
    file.write_text("mine")
    with served(str(path)) as (_, shown):
        for taken, match in ((path, "in use"), (file, "no socket")):
            with served(str(taken)) as (process, _):
                _, said = process.communicate(timeout=LIMIT)
            assert process.returncode == 2
            assert match in said and "Traceback" not in said
        context: Any = sk.get_context("manager", address=shown, authkey=KEY)
        with context:
            assert context.Counter(4).value == 4
    assert file.read_text() == "mine"


# --- the authkey


@pytest.mark.parametrize("authkey", [b"0123abcd\n", b" \x00\xff\x0b\r\n"], ids=["with a newline", "binary"])
def test_the_authkey_is_every_byte_of_its_file(tmp_path: Path, authkey: bytes) -> None:
    key = tmp_path / "key"
    key.write_bytes(authkey)
    with served(str(tmp_path / "socket"), "--authkey-file", str(key)) as (_, shown):
        context: Any = sk.get_context("manager", address=shown, authkey=key.read_bytes())
        with context:
            assert context.Counter(4).value == 4


# --- the end of a server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_by_command_ends_without_output(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "socket"
    with served(str(path)) as (process, shown):
        context: Any = sk.get_context("manager", address=shown, authkey=KEY)
        q = context.Queue()
        waiter = Task(q.get)
        until(lambda: q.statistics().waiting_getters == 1)
        process.send_signal(number)
        out, said = process.communicate(timeout=LIMIT)
        assert (process.returncode, out, said) == (0, "", "")
        with pytest.raises(sk.ServerGoneError):
            waiter.result()
    assert not path.exists()


def test_a_server_that_vanishes_in_the_middle_of_an_answer_is_an_error(ctx: Any) -> None:
    """The connection ends after the first bytes of a message."""
    with closing(mp_connection.Listener(("127.0.0.1", 0))) as listener:
        task = Task(_half_a_server, listener)
        client = Client(listener.address, KEY)
        with pytest.raises(sk.ServerGoneError, match="gone"):
            client.call(0, "release")
        task.result()


def _half_a_server(listener: Any) -> None:
    ends = []
    for _ in range(2):  # the session, and the connection of a thread
        end = listener.accept()
        mp_connection.deliver_challenge(end, KEY)
        mp_connection.answer_challenge(end, KEY)
        end.recv()
        end.send(("#RETURN", "session"))
        ends.append(end)
    ends[1].recv_bytes()
    os.write(ends[1].fileno(), struct.pack("!i", 100) + pickle.dumps("half"))
    for end in ends:
        end.close()


# --- a machine that vanishes


def test_over_tcp_both_sides_notice_within_two_minutes() -> None:
    here: Any = server.Manager(("127.0.0.1", 0), KEY).get_server()
    serving = Task(here.serve_forever)
    client = Client(here.address, KEY)
    client.call(0, "release")
    channels = [channel for each in here.registry.sessions.values() for channel in each.channels]
    assert len(channels) == len(client._open) == 2
    for descriptor in (*(each.fileno() for each in client._open), *(each.descriptor for each in channels)):
        with sockets.socket_of(descriptor) as end:
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, count, unheard = (
                end.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                    socket.TCP_USER_TIMEOUT,
                )
            )
            assert idle + interval * count == 120
            assert unheard == 120_000
    client.close()
    here.loop.soon(here.loop.stop)
    serving.result()
    here.listener.close()


def test_an_open_connection_is_not_used_with_another_authkey(tmp_path: Path) -> None:
    with served(str(tmp_path / "socket")) as (_, shown):
        right: Any = sk.get_context("manager", address=shown, authkey=KEY)
        hits = right.Counter(1, name="hits")
        for wrong in (b"wrong", KEY + b"\n", KEY[:-1], b""):
            other: Any = sk.get_context("manager", address=shown, authkey=wrong)
            for use in (lambda: other.Counter(), lambda: other.attach("hits"), lambda: other.Queue(name="hits")):  # noqa: B023
                with pytest.raises(sk.AuthkeyError):
                    use()
            again: Any = sk.get_context("manager", address=shown, authkey=bytearray(KEY))
            assert again.attach("hits").value == hits.value == 1
        assert again.Counter is right.Counter
        with_none: Any = sk.get_context("manager", address=shown)
        assert with_none.attach("hits").value == 1  # this client has been given the key before


def test_a_wrong_authkey_stays_wrong_when_another_is_right(tmp_path: Path) -> None:
    with served(str(tmp_path / "socket")) as (_, shown):
        wrong: Any = sk.get_context("manager", address=shown, authkey=b"wrong")
        with pytest.raises(sk.AuthkeyError):
            wrong.Counter()
        right: Any = sk.get_context("manager", address=shown, authkey=KEY)
        lock = right.Lock()
        wrong_again: Any = sk.get_context("manager", address=shown, authkey=b"wrong")
        for each in (wrong, wrong_again):
            with pytest.raises(sk.AuthkeyError):
                each.Counter()
        assert pickle.loads(pickle.dumps(lock)).acquire(False) is True
        assert lock.locked()
