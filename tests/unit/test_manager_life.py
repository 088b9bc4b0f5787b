"""The server process: its life and end, its connections, and what happens to the structures of dead clients."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from threading import BrokenBarrierError
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, end_by_alarm, until
from unit import manager_children as children

import sharedkit as sk

spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def start(ctx: Any) -> Iterator[Callable[..., Any]]:
    """Start a process that puts its pid into the queue that is its last argument."""
    started: list[Any] = []

    def run(target: Callable[..., Any], *args: Any) -> Any:
        process = spawn.Process(target=_guarded, args=(target, *args), daemon=True)
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()


def _guarded(target: Callable[..., Any], *args: Any) -> None:
    end_by_alarm()
    target(*args)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_with_statement_starts_a_server_and_ends_it() -> None:
    context: Any = sk.get_context("manager")
    with context as ctx:
        counter = ctx.Counter(1)
        pid = ctx.server._process.pid
        assert alive(pid)
    assert not alive(pid)
    with pytest.raises(sk.ServerGoneError):
        counter.add()
    with pytest.raises(sk.ServerGoneError):
        ctx.Counter()


def test_the_server_ends_with_an_owner_that_was_killed() -> None:
    mine, theirs = spawn.Pipe()
    owner = spawn.Process(target=_guarded, args=(children.own_a_server, theirs), daemon=True)
    owner.start()
    assert mine.poll(LIMIT)
    pid, address, name = mine.recv()
    try:
        other: Any = sk.get_context("manager", address=address)
        counter = other.attach(name)
        assert counter.add(1) == 4
        mine.send("go")
        until(lambda: not alive(pid))
        with pytest.raises(sk.ServerGoneError):
            counter.add(1)
        other.close()
    finally:
        owner.kill()
        owner.join()


def test_a_server_that_vanished_is_a_clear_error_for_waiters_too() -> None:
    with sk.get_context("manager") as context:
        ctx: Any = context
        q = ctx.Queue()
        waiter = Task(q.get)
        until(lambda: q.statistics().waiting_getters == 1)
        os.kill(ctx.server._process.pid, signal.SIGKILL)
        with pytest.raises(sk.ServerGoneError, match="gone"):
            waiter.result()
        with pytest.raises(ConnectionError):
            q.put(1)


def test_another_authkey_is_refused_and_the_error_says_what_to_do(ctx: Any) -> None:
    program = (
        "import sys, pickle, sharedkit as sk\n"
        "address = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "try: sk.get_context('manager', address=address, authkey=b'wrong').Counter()\n"
        "except sk.AuthkeyError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, pickle.dumps(ctx.address).hex()], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.stderr == ""
    assert "authkey=" in done.stdout
    assert ctx.Counter(4).value == 4


def test_bytes_of_an_untrusted_peer_do_no_harm(ctx: Any) -> None:
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, b"", b"\0\0\0\4spam"):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(ctx.address)
            stranger.sendall(noise)
    assert ctx.Counter(4).value == 4


def test_an_exception_comes_with_its_traceback_in_the_server(ctx: Any) -> None:
    with ctx.Queue() as q:
        with pytest.raises(Empty) as caught:
            q.get(block=False)
        assert "do_get_many" in str(caught.value.__cause__)


def test_a_client_that_dies_gives_back_what_it_held(ctx: Any, start: Callable[..., Any]) -> None:
    handles = {"lock": ctx.Lock(), "rlock": ctx.RLock(), "bounded": ctx.BoundedSemaphore(1), "rw": ctx.RWLock()}
    ready = ctx.Queue()
    process = start(children.hold_and_sleep, handles, ready)
    assert ready.get(timeout=LIMIT) == process.pid == handles["lock"].owner
    assert not handles["bounded"].acquire(False)
    process.kill()
    for take in (handles["lock"].acquire, handles["rlock"].acquire, handles["rw"].acquire_read):
        with pytest.warns(sk.OwnerDiedWarning):
            assert take(timeout=LIMIT)
    assert handles["lock"].owner_died
    handles["lock"].release()
    assert not handles["lock"].owner_died
    assert handles["bounded"].acquire(timeout=LIMIT)


def test_a_client_that_dies_in_get_takes_nothing_along(ctx: Any, start: Callable[..., Any]) -> None:
    q, ready = ctx.Queue(), ctx.Queue()
    process = start(children.get_and_say, q, ready)
    ready.get(timeout=LIMIT)
    until(lambda: q.statistics().waiting_getters == 1)
    process.kill()
    until(lambda: q.statistics().waiting_getters == 0)
    q.put("kept")
    assert q.get(timeout=LIMIT) == "kept"


def test_a_client_that_dies_at_a_barrier_breaks_it(ctx: Any, start: Callable[..., Any]) -> None:
    barrier, ready = ctx.Barrier(3), ctx.Queue()
    process = start(children.wait_at, barrier, ready)
    ready.get(timeout=LIMIT)
    other = Task(barrier.wait)
    until(lambda: barrier.n_waiting == 2)
    process.kill()
    with pytest.raises(BrokenBarrierError):
        other.result()


def test_a_client_that_dies_in_a_condition_swallows_no_notification(ctx: Any, start: Callable[..., Any]) -> None:
    condition, ready = ctx.Condition(), ctx.Queue()
    process = start(children.wait_in, condition, ready)
    ready.get(timeout=LIMIT)
    until(lambda: condition.statistics().waiting == 1)

    def wait() -> bool:
        with condition:
            return bool(condition.wait())

    waiter = Task(wait)
    until(lambda: condition.statistics().waiting == 2)
    process.kill()
    until(lambda: condition.statistics().waiting == 1)
    with condition:
        condition.notify()
    assert waiter.result() is True


class Interrupted(Exception):
    pass


def _interrupt(*_: object) -> None:
    raise Interrupted


def test_a_signal_ends_a_wait_and_swallows_nothing(ctx: Any) -> None:
    q, lock = ctx.Queue(), ctx.Lock()
    lock.acquire()
    before = signal.signal(signal.SIGUSR1, _interrupt)
    try:
        for wait, waiting in (
            (q.get, lambda: q.statistics().waiting_getters),
            (lock.acquire, lambda: lock.statistics().waiting),
        ):
            helper = Task(lambda waiting=waiting: (until(lambda: waiting() == 1), os.kill(os.getpid(), signal.SIGUSR1)))
            with pytest.raises(Interrupted):
                wait()
            helper.result()
            until(lambda waiting=waiting: waiting() == 0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    q.put(1)
    assert q.get() == 1
    lock.release()
    assert lock.acquire(False)


def test_waits_do_not_block_each_other(ctx: Any) -> None:
    queues = [ctx.Queue() for _ in range(20)]
    waiters = [Task(q.get) for q in queues]
    until(lambda: all(q.statistics().waiting_getters == 1 for q in queues))
    for number, q in reversed(list(enumerate(queues))):
        q.put(number)
    assert [waiter.result() for waiter in waiters] == list(range(20))


def test_a_thread_that_ends_leaves_no_thread_in_the_server(ctx: Any) -> None:
    pid = ctx.server._process.pid
    counter = ctx.Counter()
    before = len(os.listdir(f"/proc/{pid}/task"))
    for _ in range(5):
        worker = threading.Thread(target=counter.add)
        worker.start()
        worker.join()
    until(lambda: len(os.listdir(f"/proc/{pid}/task")) <= before)
    assert counter.value == 5


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_a_server_by_command_serves_clients_with_the_key(tmp_path: Path, where: str) -> None:
    key = tmp_path / "key"
    address = "127.0.0.1:0" if where == "tcp" else str(tmp_path / "socket")
    server = subprocess.Popen(
        [sys.executable, "-m", "sharedkit", "serve", "--address", address, "--authkey-file", str(key)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    watchdog = threading.Timer(LIMIT, server.kill)
    watchdog.start()
    try:
        assert server.stdout is not None
        shown = server.stdout.readline().removeprefix("serving at ").strip()
        host, _, port = shown.rpartition(":")
        found: Any = (host, int(port)) if where == "tcp" else shown
        assert key.stat().st_mode & 0o777 == 0o600
        with sk.get_context("manager", address=found, authkey=key.read_bytes()) as context:
            context.Counter(2, name="kept", persist=True).add(1)
        with sk.get_context("manager", address=found, authkey=key.read_bytes()) as context:
            assert context.attach("kept").value == 3
        server.send_signal(signal.SIGTERM)
        assert server.wait(LIMIT) == 0
        assert not Path(address).exists()
    finally:
        server.kill()
        server.wait()
        watchdog.cancel()


def test_a_get_that_times_out_raises_empty_and_is_not_counted_any_more(ctx: Any) -> None:
    with ctx.Queue() as q:
        began = time.monotonic()
        with pytest.raises(Empty):
            q.get(timeout=0.05)
        assert time.monotonic() - began >= 0.05
        assert q.statistics().waiting_getters == 0


ENDS = {
    "exit": "executor.submit(pow, 2, 3).result()",
    "exit with a call under way": "executor.submit(time.sleep, 0.5)",
    "exit while workers start": "executor.submit(pow, 2, 3)",
    "closed with a call under way": "executor.submit(time.sleep, 60); time.sleep(0.1); ctx.close()",
    "killed": "executor.submit(time.sleep, 60); time.sleep(0.1); os.kill(os.getpid(), signal.SIGKILL)",
    "server terminated": "executor.submit(time.sleep, 60); time.sleep(0.1); ctx.server._process.terminate()",
}


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("how", ENDS)
def test_an_executor_that_is_not_shut_down_leaves_nothing_when_its_server_ends(
    how: str, method: str, tmp_path: Path
) -> None:
    program = (
        "import multiprocessing, os, signal, time, sharedkit as sk\nctx = sk.get_context('manager')\n"
        f"executor = ctx.Executor(2, mp_context=multiprocessing.get_context({method!r}))\n{ENDS[how]}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT,
        env={**os.environ, "SHAREDKIT_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGKILL if how == "killed" else 0, "")
    until(lambda: os.listdir(tmp_path) == [])  # the server notices its owner's end a moment later


def test_threads_that_go_on_after_their_context_has_ended_get_server_gone_error() -> None:
    """The server may serve for another moment, but does not know their handles any more."""
    with sk.get_context("manager") as ctx:
        counter, told = ctx.Counter(), []

        def count() -> None:
            try:
                while True:
                    counter.add()
            except BaseException as error:
                told.append(type(error))

        threads = [threading.Thread(target=count) for _ in range(4)]
        for each in threads:
            each.start()
        until(lambda: counter.value > 100)
    for each in threads:
        each.join(LIMIT)
    assert set(told) == {sk.ServerGoneError}
    with pytest.raises(sk.ServerGoneError, match="this process has ended it"):
        counter.add()


def test_a_deque_is_read_while_other_threads_change_it() -> None:
    """Every request carries the tickets of forked children; without a GIL, copying a deque that changes may raise."""
    with sk.get_context("manager") as ctx:
        counter, over = ctx.Counter(), threading.Event()
        client = ctx.server.client()

        def change() -> None:
            while not over.is_set():
                client.tickets.append("another")
                with suppress(ValueError):
                    client.tickets.remove("another")

        threads = [threading.Thread(target=change) for _ in range(2)]
        for each in threads:
            each.start()
        for i in range(300):
            assert counter.add() == i + 1
        over.set()
        for each in threads:
            each.join(LIMIT)


@pytest.mark.parametrize("other", ["another server", "another handle"])
def test_only_a_view_of_the_same_group_is_taken_for_the_counter_itself(
    ctx: Any, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers choose their numbers at random; a group of another server is another group although it has the same
    number."""
    with sk.get_context("manager") as elsewhere:
        group = ctx.Counters(["hits"])
        given = elsewhere.Counters(["hits"]) if other == "another server" else ctx.attach(group.name)
        view = given["hits"]
        with monkeypatch.context() as patch:
            patch.setattr(given, "_ident", group._ident)
            patch.setattr(given, "_call", lambda *_: 7)
            group["hits"] = view
        assert group["hits"].value == (7 if other == "another server" else 0)
