"""What executors of processes promise about deaths, about ended calls, and about values that cannot be pickled."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from conformance import executor_children as calls
from conformance.subjects import MANAGER, METHODS, SHM, THREAD
from conformance.watchdog import LIMIT, until

import sharedkit as sk


@pytest.fixture(params=METHODS)
def start(request: pytest.FixtureRequest) -> Any:
    return multiprocessing.get_context(request.param)


@pytest.fixture
def local(start: Any) -> Iterator[Any]:
    """An executor in shared memory."""
    before = segments()
    with SHM.Executor(2, start) as made:
        yield made
    assert segments() <= before


@pytest.fixture(params=[*METHODS, "manager"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Executors in shared memory, with each start method, and one behind a server."""
    before = segments()
    served = request.param == "manager"
    with MANAGER.Executor(2) if served else SHM.Executor(2, multiprocessing.get_context(request.param)) as made:
        yield made
    assert segments() <= before


def segments() -> set[str]:
    mine = os.getpid()
    return {each.name for each in sk.segments.live() if mine in each.attached}


def test_a_worker_that_dies_fails_only_its_own_call(executor: Any) -> None:
    others = [executor.submit(calls.sleep_then, 0.01, x) for x in range(30)]
    dead = executor.submit(calls.kill_myself)
    left = executor.submit(calls.leave, 7)
    others += [executor.submit(calls.double, x) for x in range(30)]
    error = dead.exception(LIMIT)
    assert isinstance(error, sk.WorkerDied) and isinstance(error, futures.BrokenExecutor)
    assert error.exitcode == -signal.SIGKILL
    assert str(error.pid) in str(error)
    assert left.exception(LIMIT).exitcode == 7
    assert [future.result(LIMIT) for future in others] == [*range(30), *(2 * x for x in range(30))]
    until(lambda: len(executor.statistics().workers) == 2)
    assert executor.statistics().deaths == 2


def test_an_idle_worker_that_dies_is_replaced(executor: Any) -> None:
    pids = {executor.submit(calls.whoami).result(LIMIT) for _ in range(5)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert executor.submit(calls.whoami).result(LIMIT) not in pids


def test_a_value_that_cannot_be_pickled_fails_only_its_own_future(executor: Any) -> None:
    good = executor.submit(calls.double, 1)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        executor.submit(lambda: 1).result(LIMIT)
    with pytest.raises(TypeError, match="pickle"):
        executor.submit(calls.double, threading.Lock()).result(LIMIT)
    with pytest.raises(TypeError, match="pickle"):
        executor.submit(calls.unpicklable).result(LIMIT)
    with pytest.raises(pickle.PicklingError, match="Sealed"):
        executor.submit(calls.fail_sealed).result(LIMIT)
    with pytest.raises(TypeError) as caught:
        executor.submit(calls.awkward).result(LIMIT)
    assert "Awkward: 1 2" in str(caught.value.__cause__)
    with pytest.raises(LookupError, match="no arrival"):
        executor.submit(calls.double, calls.Stubborn()).result(LIMIT)
    with pytest.raises(LookupError, match="no arrival"):
        executor.submit(calls.Stubborn).result(LIMIT)
    assert good.result(LIMIT) == 2
    assert executor.statistics().deaths == 0


def test_an_error_brings_its_traceback(executor: Any) -> None:
    error = executor.submit(calls.refuse, 3).exception(LIMIT)
    assert type(error.__cause__) is futures.process._RemoteTraceback
    shown = "".join(traceback.format_exception(error))
    assert "a comment to be found" in shown
    assert shown.index("a comment to be found") < shown.index("The above exception was the direct cause")


def test_a_call_can_have_a_time_limit(executor: Any, tmp_path: Path) -> None:
    path, limit = tmp_path / "pid", 0.3
    path.write_text("")
    while path.read_text() == "":  # on a busy machine the call begins later
        limited = executor.options(timeout=limit)
        slow = limited.submit(calls.begin_and_sleep, str(path))
        quick = [executor.options(timeout=LIMIT).submit(calls.double, x) for x in range(20)]
        with pytest.raises(TimeoutError, match=rf"longer than {re.escape(f'{limit:g}')} s"):
            slow.result(LIMIT)
        limit *= 2
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)
    assert [future.result(LIMIT) for future in quick] == [2 * x for x in range(20)]
    with pytest.raises(TimeoutError):
        executor.submit_with(calls.sleep_then, calls.LONG, 1, timeout=0.2).result(LIMIT)
    with pytest.raises(TimeoutError, match="longer"):
        list(limited.map(calls.sleep_then, [0, calls.LONG], [1, 2]))


def test_a_running_call_can_be_ended(executor: Any, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    slow = executor.submit(calls.begin_and_sleep, str(path))
    until(lambda: path.exists() and path.read_text() != "")
    assert slow.running()
    assert not slow.cancel()
    assert slow.cancel(running=True)
    assert slow.cancelled() and not slow.running()
    with pytest.raises(futures.CancelledError):
        slow.result(LIMIT)
    assert executor.submit(calls.double, 2).result(LIMIT) == 4


def begun(executor: Any, tmp_path: Path, number: int = 0) -> tuple[Any, int]:
    """The future of a long call that has begun, and the pid of its worker."""
    path = tmp_path / f"pid{number}"
    slow = executor.submit(calls.begin_and_sleep, str(path))
    until(lambda: path.exists() and path.read_text() != "")
    return slow, int(path.read_text())


@pytest.mark.parametrize(
    ("method", "by"),
    [("kill_workers", signal.SIGKILL), ("terminate_workers", signal.SIGTERM)],
    ids=["kill", "terminate"],
)
def test_all_workers_can_be_ended(executor: Any, tmp_path: Path, method: str, by: signal.Signals) -> None:
    done = executor.submit(calls.double, 1)
    assert done.result(LIMIT) == 2
    running = [begun(executor, tmp_path, number) for number in range(2)]
    waiting = [executor.submit(calls.double, x) for x in range(30)]
    getattr(executor, method)()
    for slow, pid in running:
        error = slow.exception(LIMIT)
        assert isinstance(error, sk.WorkerDied) and (error.pid, error.exitcode) == (pid, -by)
    assert all(future.cancelled() for future in waiting)
    assert done.result() == 2
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.double, 1)
    executor.shutdown()
    until(lambda: all(calls.ended(pid) for _, pid in running))
    getattr(executor, method)()  # no worker is left


@pytest.mark.parametrize("method", ["kill_workers", "terminate_workers"])
def test_ending_the_workers_of_an_unused_executor_shuts_it_down(executor: Any, method: str) -> None:
    getattr(executor, method)()
    getattr(executor, method)()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.double, 1)


def test_a_call_that_handles_the_signal_of_terminate_workers_ends_in_order(executor: Any, tmp_path: Path) -> None:
    path = tmp_path / "ready"
    call = executor.submit(calls.end_when_told, str(path))
    until(path.exists)
    executor.terminate_workers()
    assert call.result(LIMIT) == "told"
    executor.shutdown()
    assert executor.shutdown() is None


def test_a_call_that_outlives_terminate_workers_is_ended_by_kill_workers(executor: Any, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    call = executor.submit(calls.begin_and_sleep_through, str(path), signal.SIGTERM)
    until(lambda: path.exists() and path.read_text() != "")
    executor.terminate_workers()
    assert not call.done()
    executor.kill_workers()
    assert call.exception(LIMIT).exitcode == -signal.SIGKILL


def test_a_stopped_worker_is_ended_too(executor: Any, tmp_path: Path) -> None:
    slow, pid = begun(executor, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    executor.terminate_workers()
    assert slow.exception(LIMIT).exitcode == -signal.SIGTERM


@pytest.mark.parametrize("dropped", [False, True], ids=["kept", "dropped"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_retire_run_all_calls_submitted_before_the_end(method: str, dropped: bool) -> None:
    executor = SHM.Executor(2, multiprocessing.get_context(method), max_tasks_per_child=1)
    ahead = [executor.submit(calls.whoami, x) for x in range(6)]
    if dropped:
        executor_manager = executor._executor_manager
        del executor
        gc.collect()
    else:
        executor_manager = executor._executor_manager
        executor.shutdown(wait=False)
    assert len({future.result(LIMIT) for future in ahead}) == 6
    executor_manager.shutdown()


def test_no_worker_is_replaced_after_kill_workers(tmp_path: Path) -> None:
    with SHM.Executor(1, multiprocessing.get_context("forkserver"), max_tasks_per_child=1) as executor:
        slow, pid = begun(executor, tmp_path)
        ahead = [executor.submit(calls.mark, str(tmp_path / "marks")) for _ in range(5)]
        executor.kill_workers()
        assert slow.exception(LIMIT).pid == pid
        executor.shutdown()
        assert all(future.cancelled() for future in ahead) and not (tmp_path / "marks").exists()
        assert executor.statistics().deaths == 1


def test_threads_cannot_be_ended() -> None:
    with THREAD.Executor(1) as executor:
        for end in (executor.kill_workers, executor.terminate_workers):
            with pytest.raises(NotImplementedError, match="a thread cannot be ended"):
                end()
        assert executor.submit(calls.double, 2).result(LIMIT) == 4


@pytest.mark.parametrize("method", [None, "spawn", "forkserver"])
def test_a_worker_retires_after_its_tasks(method: str | None) -> None:
    context: Any = multiprocessing.get_context(method) if method else None
    with SHM.Executor(1, context, max_tasks_per_child=3) as executor:
        pids = [executor.submit(calls.whoami).result(LIMIT) for _ in range(6)]
    assert len(set(pids)) == 2
    assert pids[0] == pids[1] == pids[2]


def test_forked_workers_do_not_retire() -> None:
    with pytest.raises(ValueError, match="fork"):
        SHM.Executor(1, multiprocessing.get_context("fork"), max_tasks_per_child=3)


def test_more_tasks_than_slots_wait_for_their_turn(executor: Any) -> None:
    gate = SHM.Event()
    held = [executor.submit(calls.pass_gate, gate) for _ in range(2)]
    ahead = [executor.submit(calls.double, x) for x in range(9000)]
    assert ahead[-1].cancel()
    gate.set()
    futures.wait(held, LIMIT)
    gate.close()
    assert [future.result(LIMIT) for future in ahead[:-1]] == [2 * x for x in range(8999)]


@pytest.mark.parametrize("placement", [SHM, MANAGER], ids=["shm", "manager"])
def test_large_arguments_do_not_fill_shared_memory(placement: Any) -> None:
    block = b"x" * (8 << 20)
    with placement.Executor(2) as executor:
        assert [len(each) for each in executor.map(calls.double, [block] * 20)] == [16 << 20] * 20


def test_results_of_numpy_are_not_in_the_pickle(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    loads = pickle.loads

    def watched(data: Any, **options: Any) -> Any:
        read.append(len(data))
        return loads(data, **options)

    monkeypatch.setattr(pickle, "loads", watched)
    assert local.submit(calls.big_pickle, 1 << 20).result(LIMIT).nbytes == 1 << 20
    assert read and max(read) < 1000


def test_initializers_run_in_replacements_too(start: Any) -> None:
    with SHM.Executor(1, start, calls.touch, ("touched",)) as executor:
        assert executor.submit(calls.touched).result(LIMIT) == "touched"
        executor.submit(calls.kill_myself).exception(LIMIT)
        assert executor.submit(calls.touched).result(LIMIT) == "touched"


def test_an_initializer_that_raises_breaks_it_with_every_start_method(start: Any) -> None:
    with SHM.Executor(2, start, calls.fail_to_start) as executor:
        ahead = [executor.submit(calls.double, x) for x in range(3)]
        for future in ahead:
            error = future.exception(LIMIT)
            assert isinstance(error, futures.process.BrokenProcessPool)
        assert "no start today" in str(ahead[0].exception().__cause__)
        with pytest.raises(futures.BrokenExecutor):
            executor.submit(calls.double, 1)


def test_workers_that_never_start_break_the_executor() -> None:
    spawn = multiprocessing.get_context("spawn")
    with SHM.Executor(2, spawn, calls.leave, (3,)) as executor:
        with pytest.raises(sk.ExecutorBroken, match="exit code 3"):
            executor.submit(calls.double, 1).result(LIMIT)
        with pytest.raises(sk.ExecutorBroken):
            executor.submit(calls.double, 1)


PROGRAM = """
import sys, multiprocessing
sys.path.insert(0, sys.argv[1])
from conformance import executor_children as calls
import sharedkit as sk
if __name__ == "__main__":
    if sys.argv[2] == "manager":
        executor = sk.get_context("manager").Executor(2)
    else:
        executor = sk.Executor(2, multiprocessing.get_context(sys.argv[2]))
    print(*{executor.submit(calls.sleep_then, 0.1, None).result() or executor.submit(calls.whoami).result()
            for _ in range(4)}, flush=True)
    mode = sys.argv[3]
    if mode == "killed":
        executor.submit(calls.begin_and_sleep, sys.argv[4])
        sys.stdin.read()
    executor.submit(calls.sleep_then, 0.2, "last").add_done_callback(lambda future: print(future.result(), flush=True))
    if mode == "dropped":
        del executor
"""


def program(method: str, mode: str, path: Path) -> subprocess.Popen[str]:
    here = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, here, method, mode, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("method", [*METHODS, "manager"])
@pytest.mark.parametrize("mode", ["exit", "dropped"])
def test_the_interpreters_end_waits_for_submitted_calls(method: str, mode: str, tmp_path: Path) -> None:
    running = program(method, mode, tmp_path / "pid")
    said, complaints = running.communicate(timeout=LIMIT)
    assert (running.returncode, complaints) == (0, "")
    assert said.splitlines()[-1] == "last"
    pids = [int(pid) for pid in said.splitlines()[0].split()]
    if method == "manager":  # its workers end a moment after the server
        until(lambda: all(map(calls.ended, pids)))
    assert all(map(calls.ended, pids))


@pytest.mark.parametrize("method", [*METHODS, "manager"])
def test_workers_end_with_a_parent_that_is_killed_and_leave_nothing(method: str, tmp_path: Path) -> None:
    running = program(method, "killed", tmp_path / "pid")
    try:
        assert running.stdout is not None
        pids = [int(pid) for pid in running.stdout.readline().split()]
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        pids.append(int((tmp_path / "pid").read_text()))
        mine = {each.name for each in sk.segments.live() if set(pids) & set(each.attached)}
        running.kill()
        until(lambda: all(calls.ended(pid) for pid in pids))
        until(lambda: not mine & {each.name for each in sk.segments.live()})  # workers end before their server
    finally:
        running.kill()
        running.communicate()
