"""What an executor behind a server promises to several clients, and what happens when a client or the server dies."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from conformance import executor_children as calls
from conformance.subjects import METHODS
from conformance.watchdog import LIMIT, Child, in_children, until

import sharedkit as sk


@pytest.fixture
def ctx() -> Iterator[Any]:
    with sk.get_context("manager") as context:
        yield context


@pytest.mark.parametrize("method", METHODS)
def test_a_handle_works_in_other_processes_and_each_has_its_own_results(ctx: Any, method: str) -> None:
    with ctx.Executor(2) as executor:
        mine = [executor.submit(calls.double, x) for x in range(50)]
        theirs = in_children(method, calls.double_through, [(executor, 100), (executor, 200)])
        assert theirs == [[2 * x for x in range(start, start + 50)] for start in (100, 200)]
        assert [future.result(LIMIT) for future in mine] == [2 * x for x in range(50)]
        assert executor.submit(calls.double, 4).result(LIMIT) == 8


def test_it_is_found_by_name(ctx: Any) -> None:
    with ctx.Executor(1, name="pool") as executor:
        other = ctx.attach("pool")
        assert other.submit(calls.double, 3).result(LIMIT) == 6
        assert ctx.Executor(1, name="pool", exist_ok=True).submit(calls.double, 4).result(LIMIT) == 8
        with pytest.raises(ValueError, match="max_workers"):
            ctx.Executor(2, name="pool", exist_ok=True)
        with pytest.raises(FileExistsError):
            ctx.Executor(1, name="pool")
        copy = pickle.loads(pickle.dumps(executor))
        assert copy.submit(calls.double, 5).result(LIMIT) == 10


def test_a_shutdown_holds_for_all_clients(ctx: Any) -> None:
    executor = ctx.Executor(1)
    other = pickle.loads(pickle.dumps(executor))
    theirs = other.submit(calls.sleep_then, 0.2, "done")
    executor.shutdown()
    assert theirs.result(LIMIT) == "done"
    with pytest.raises(RuntimeError, match="after shutdown"):
        other.submit(calls.double, 1).result(LIMIT)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.double, 1)


def test_a_shutdown_cancels_the_calls_of_all_clients(ctx: Any) -> None:
    gate = sk.Event()
    executor = ctx.Executor(1)
    other = pickle.loads(pickle.dumps(executor))
    first = executor.submit(calls.pass_gate, gate)
    until(first.running)
    theirs = other.submit(calls.double, 1)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(futures.CancelledError):
        theirs.result(LIMIT)
    gate.set()
    assert first.result(LIMIT)


def test_closing_a_handle_lets_its_calls_finish(ctx: Any) -> None:
    executor = ctx.Executor(1)
    ahead = [executor.submit(calls.sleep_then, 0.01, x) for x in range(20)]
    executor.close()
    assert [future.result(LIMIT) for future in ahead] == list(range(20))
    with pytest.raises(sk.ClosedError):
        executor.submit(calls.double, 1)


def test_the_workers_end_with_the_last_handle(ctx: Any) -> None:
    executor = ctx.Executor(1)
    pid = executor.submit(calls.whoami).result(LIMIT)
    executor.close()
    until(lambda: calls.ended(pid))


def test_a_client_that_dies_has_its_waiting_calls_dropped(ctx: Any, tmp_path: Path) -> None:
    gate = sk.Event()
    with ctx.Executor(1) as executor:
        first = executor.submit(calls.pass_gate, gate)
        until(first.running)
        client = Child("spawn", calls.submit_marks, executor, str(tmp_path), 30)
        until(lambda: executor.statistics().pending == 30)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        client.end()
        until(lambda: executor.statistics().pending == 0)
        gate.set()
        assert first.result(LIMIT)
        assert executor.submit(calls.double, 2).result(LIMIT) == 4
    assert not list(tmp_path.iterdir())


def test_a_server_that_dies_breaks_the_futures_and_says_so() -> None:
    context: Any = sk.get_context("manager")
    with context:
        executor = context.Executor(1)
        server = executor.submit(os.getppid).result(LIMIT)
        running = executor.submit(calls.sleep_then, calls.LONG, 1)
        waiting = executor.submit(calls.double, 1)
        pid = context.server._process.pid
        assert server != os.getpid()
        os.kill(pid, signal.SIGKILL)
        for future in (running, waiting):
            error = future.exception(LIMIT)
            assert isinstance(error, sk.ExecutorGoneError)
            assert isinstance(error, sk.ServerGoneError) and isinstance(error, futures.BrokenExecutor)
        with pytest.raises(sk.ExecutorGoneError):
            executor.submit(calls.double, 1)
        assert not running.cancel() and not running.running()
        executor.shutdown()


def test_a_context_that_ends_breaks_the_futures() -> None:
    context: Any = sk.get_context("manager")
    with context:
        executor = context.Executor(1)
        pid = executor.submit(calls.whoami).result(LIMIT)
        future = executor.submit(calls.sleep_then, calls.LONG, 1)
    assert isinstance(future.exception(LIMIT), sk.ExecutorGoneError)
    until(lambda: calls.ended(pid))


def test_arguments_are_those_of_process_pools(ctx: Any) -> None:
    with pytest.raises(ValueError, match="fork"):
        ctx.Executor(1, multiprocessing.get_context("fork"), max_tasks_per_child=3)
    with ctx.Executor(1, max_tasks_per_child=2) as executor:
        pids = [executor.submit(calls.whoami).result(LIMIT) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    with ctx.Executor(1, multiprocessing.get_context("spawn")) as executor:
        assert executor.submit(calls.double, 1).result(LIMIT) == 2


def test_an_initializer_that_raises_says_so_with_its_traceback(ctx: Any) -> None:
    with ctx.Executor(1, initializer=calls.fail_to_start) as executor:
        error = executor.submit(calls.double, 1).exception(LIMIT)
        assert isinstance(error, sk.ExecutorBroken)
        assert "no start today" in str(error.__cause__)


@pytest.mark.parametrize("method", [None, "spawn"])
def test_handles_of_the_server_can_be_arguments(ctx: Any, method: str | None) -> None:
    hits = ctx.Counter()
    with ctx.Executor(2, multiprocessing.get_context(method) if method else None) as executor:
        assert sorted(executor.map(calls.add_one, [hits] * 20)) == list(range(1, 21))
    assert hits.value == 20


MAIN = """
import sharedkit as sk

def triple(x):
    return 3 * x

if __name__ == "__main__":
    with sk.get_context("manager") as ctx, ctx.Executor(2) as executor:
        print(*executor.map(triple, range(4)), flush=True)
        executor.submit(print, "from a worker", flush=True).result()
"""


def test_functions_of_the_main_program_are_found(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(MAIN)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 3 6 9\nfrom a worker\n", "")


BARE = """
import sharedkit as sk

print("begins", flush=True)
executor = sk.get_context("manager").Executor(1)
print(executor.submit(pow, 2, 3).result())
"""


def test_a_main_program_without_a_guard_is_not_run_by_workers(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(BARE)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout.count("8")) == (1, 0)
    last = done.stderr.splitlines()[-1]  # the text is part of the exception itself
    assert "ExecutorBroken" in last and 'under `if __name__ == "__main__":`' in last


def test_an_unused_executor_leaves_nothing_when_its_server_ends() -> None:
    def left() -> set[str]:
        return {each.name for each in sk.segments.live() if each.name.startswith("executor-") and not each.attached}

    before = left()
    with sk.get_context("manager") as ctx:
        executor = ctx.Executor(2)
    del executor
    assert left() <= before


def test_an_interrupted_server_ends_although_a_call_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sharedkit", "serve", "--address", str(tmp_path / "s")]
    key = tmp_path / "key"
    server = subprocess.Popen([*command, "--authkey-file", str(key)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and "serving" in server.stdout.readline()
        context: Any = sk.get_context("manager", address=str(tmp_path / "s"), authkey=key.read_bytes().strip())
        executor = context.Executor(1)
        pid = executor.submit(calls.whoami).result(LIMIT)
        future = executor.submit(calls.begin_and_sleep, str(tmp_path / "pid"))
        until(lambda: (tmp_path / "pid").exists())
        server.send_signal(signal.SIGINT)
        assert server.wait(LIMIT) == 0
        assert isinstance(future.exception(LIMIT), sk.ExecutorGoneError)
        until(lambda: calls.ended(pid))
        context.close()
    finally:
        server.kill()
        server.communicate()
