"""What executors of processes withstand: strange timeouts, errors and callbacks, foreign reapers, deaths in a row."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conformance import executor_children as calls
from conformance.subjects import MANAGER, SHM
from conformance.watchdog import LIMIT, Task, until

import sharedkit as sk
from sharedkit.compare.machine import gil_enabled
from sharedkit.executors.processes import task_claims, worker

GIL = gil_enabled()

FORK = multiprocessing.get_context("fork")


def make(placement: str, workers: int = 2) -> Any:
    return MANAGER.Executor(workers) if placement == "manager" else SHM.Executor(workers, FORK)


@pytest.fixture(params=["shm", "manager"])
def executor(request: pytest.FixtureRequest) -> Iterator[Any]:
    with make(request.param) as made:
        yield made


@pytest.mark.parametrize("placement", ["shm", "manager"])
def test_the_name_of_a_start_method_is_no_context(placement: str) -> None:
    maker: Any = MANAGER if placement == "manager" else SHM
    with pytest.raises(TypeError, match=r"multiprocessing\.get_context\(\.\.\.\) returns, not 'spawn'"):
        maker.Executor(1, "spawn")


@pytest.mark.parametrize("timeout", [float("inf"), 30 * 86400, Fraction(10**7)])
def test_a_limit_can_be_of_any_length_and_kind(executor: Any, timeout: Any) -> None:
    limited = executor.options(timeout=timeout)
    assert limited.submit(calls.double, 1).result(LIMIT) == 2
    assert isinstance(executor.submit(calls.kill_myself).exception(LIMIT), sk.WorkerDied)
    with pytest.raises(TimeoutError, match="longer"):
        executor.options(timeout=Fraction(1, 5)).submit(calls.sleep_then, calls.LONG, 1).result(LIMIT)
    assert limited.submit(calls.double, 2).result(LIMIT) == 4


def test_strange_errors_fail_only_their_own_call(executor: Any) -> None:
    others = [executor.submit(calls.double, x) for x in range(4)]
    frozen = executor.submit(calls.fail_frozen).exception(LIMIT)
    assert isinstance(frozen, calls.Frozen) and "fail_frozen" in str(frozen.__cause__)
    text = executor.submit(calls.fail_as_text).exception(LIMIT)
    assert "no exception any more, but a str" in str(text) and "fail_as_text" in str(text.__cause__)
    others += [executor.submit(calls.double, x) for x in range(4)]
    assert [future.result(LIMIT) for future in others] == [0, 2, 4, 6] * 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_error_that_cannot_be_pickled_ends_no_worker(executor: Any, kind: Any) -> None:
    deaths = executor.statistics().deaths
    error = executor.submit(calls.fail_uncooperatively, kind).exception(LIMIT)
    assert isinstance(error, pickle.PicklingError) and f"{kind.__name__}()" in str(error)
    assert executor.submit(calls.double, 1).result(LIMIT) == 2
    assert executor.statistics().deaths == deaths


def test_a_child_that_a_call_has_forked_is_no_worker(executor: Any) -> None:
    """If it were one, both processes would return the result, and the child would go on serving calls, unwatched."""
    for _ in range(10):
        worker, child = executor.submit(calls.come_back_twice).result(LIMIT)
        assert child != 0 and worker in executor.statistics().workers
        until(lambda: calls.ended(child))  # noqa: B023


def test_a_worker_whose_descriptor_was_closed_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file may have the descriptor's number by then; in this test that file is readable at once."""
    monkeypatch.setattr(worker, "end_of", lambda pid: os.open(os.devnull, os.O_RDONLY))
    with SHM.Executor(2, FORK) as executor:
        assert list(executor.map(calls.double, range(20))) == [2 * x for x in range(20)]
        assert executor.statistics().deaths == 0


@pytest.mark.parametrize("placement", ["shm", "manager"])
def test_shutdown_ends_although_workers_are_stopped(placement: str) -> None:
    executor = make(placement)
    assert executor.submit(calls.double, 1).result(LIMIT) == 2
    for pid in executor.statistics().workers:
        os.kill(pid, signal.SIGSTOP)
    Task(executor.shutdown).result()


def test_a_callback_ends_no_thread_of_the_executors(executor: Any) -> None:
    executor.submit(calls.double, 1).add_done_callback(lambda _: sys.exit("not ours"))
    assert executor.submit(calls.double, 2).result(LIMIT) == 4


def test_shutdown_waits_for_callbacks(executor: Any) -> None:
    gate, called = threading.Event(), []

    def callback(future: Any) -> None:
        gate.wait(LIMIT)
        called.append(future.result())

    executor.submit(calls.sleep_then, 0.01, 7).add_done_callback(callback)
    ending = Task(executor.shutdown)
    gate.set()
    ending.result()
    assert called == [7]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_with_a_child_of_its_own_can_be_ended(method: str, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with SHM.Executor(1, multiprocessing.get_context(method)) as executor:
        slow = executor.submit(calls.have_a_child, str(path))
        until(lambda: path.exists() and path.read_text() != "")
        child = int(path.read_text())
        try:
            assert slow.cancel(running=True)
            assert executor.submit(calls.double, 1).result(LIMIT) == 2
            assert not calls.ended(child)
        finally:
            os.kill(child, signal.SIGKILL)


def test_other_code_of_the_program_may_reap_its_workers() -> None:
    over = threading.Event()

    def reap() -> None:
        while not over.is_set():
            multiprocessing.active_children()

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        with SHM.Executor(2, FORK) as executor:
            for _ in range(60):
                assert isinstance(executor.submit(calls.kill_myself).exception(LIMIT), sk.WorkerDied)
            assert executor.submit(calls.double, 1).result(LIMIT) == 2
    finally:
        over.set()
        reaper.join()


@pytest.mark.skipif(not GIL, reason="reserves more address space than the limit allows")
def test_a_call_that_kills_every_worker_that_takes_it_is_given_up() -> None:
    with SHM.Executor(1, FORK, calls.ask_for_little, (64,)) as executor:
        large = executor.submit(len, b"x" * (256 << 20))
        assert isinstance(large.exception(LIMIT), sk.WorkerDied)
        assert executor.submit(calls.double, 1).result(LIMIT) == 2


def test_a_worker_that_ends_in_order_does_not_fail_the_next_call() -> None:
    gate = SHM.Event()
    with SHM.Executor(1, FORK) as executor:
        held = executor.submit(calls.pass_gate, gate)
        until(held.running)
        following = executor.submit(calls.double, 1)
        backlog = executor._executor_manager._pending_tasks
        task_claims.arrive(executor._executor_manager._words, 77)
        for _ in range(20):
            assert backlog.recover(77, False) == ([], [])
        gate.set()
        assert following.result(LIMIT) == 2
    gate.close()


def test_shutdown_does_not_wait_for_a_worker_that_could_not_be_started() -> None:
    context: Any = multiprocessing.get_context("spawn")
    with SHM.Executor(2, context, lambda: None) as executor, pytest.raises((AttributeError, pickle.PicklingError)):
        executor.submit(calls.double, 1)


def test_failed_starts_of_workers_break_the_executor_although_others_work(tmp_path: Path) -> None:
    with SHM.Executor(2, FORK, calls.die_unless_first, (str(tmp_path / "first"),)) as executor:
        assert executor.submit(calls.double, 1).result(LIMIT) == 2
        until(lambda: executor.statistics().deaths >= 8)
        assert list(executor.map(calls.double, range(50))) == [*range(0, 100, 2)]
        assert executor.statistics().deaths < 16  # one more after 1 s, 2 s, 4 s and so on
        executor.submit(calls.kill_myself).exception(LIMIT)
        with pytest.raises(sk.ExecutorBroken, match="workers in a row"):
            executor.submit(calls.double, 1).result(LIMIT)


def test_cancelling_a_running_call_is_not_reported_as_a_death_of_its_worker() -> None:
    """The future is cancelled although the death is noticed first: the test holds the lock until then."""
    with SHM.Executor(1, FORK) as executor:
        slow = executor.submit(calls.sleep_then, calls.LONG, 1)
        until(slow.running)
        with executor._executor_manager.settling:
            assert executor._executor_manager.withdraw(slow, True)
            until(lambda: executor._executor_manager._worker_pool.deaths == 1)
        with pytest.raises(futures.CancelledError):
            slow.result(LIMIT)
        assert slow.cancel(running=True)
        assert executor.submit(calls.double, 1).result(LIMIT) == 2


def test_cancelled_calls_count_as_long_as_they_are_in_shared_memory() -> None:
    gate = SHM.Event()
    with SHM.Executor(1, FORK) as executor:
        held = executor.submit(calls.pass_gate, gate)
        until(held.running)
        for _ in range(40):
            assert executor.submit(len, b"x" * (8 << 20)).cancel()
        last = executor.submit(calls.double, 1)
        there = executor._executor_manager._tasks.qsize()
        gate.set()
        assert 0 < there < 20
        assert last.result(LIMIT) == 2
    gate.close()


def test_the_deadlines_of_finished_calls_are_forgotten() -> None:
    with SHM.Executor(2, FORK) as executor:
        limited = executor.options(timeout=3600)
        for _ in range(20):
            futures.wait([limited.submit(calls.double, 1) for _ in range(100)])
        assert len(executor._executor_manager._worker_pool._deadlines) < 1000


def test_a_forked_child_is_told_that_the_executor_is_not_its_own() -> None:
    with SHM.Executor(1, FORK) as executor:
        future = executor.submit(calls.double, 1)
        with executor._executor_manager._lock, executor._executor_manager.settling:
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                refused = 0
                for do in (executor.statistics, lambda: executor.submit(calls.double, 1)):
                    try:
                        do()
                    except RuntimeError:
                        refused += 1
                os._exit(refused if not future.cancel() else 9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def ended_well(program: str, *args: str) -> str:
    here = str(Path(__file__).parents[1])
    ran = subprocess.run([sys.executable, "-c", program, here, *args], capture_output=True, text=True, timeout=LIMIT)
    assert (ran.returncode, TRACKER.sub("", ran.stderr)) == (0, "")
    return ran.stdout


# From Python 3.13.4 on multiprocessing's own tracker waits at exit for a child that the system has already reaped.
TRACKER = re.compile(r"Exception ignored.*?ResourceTracker.__del__.*?\nChildProcessError: .*?\n", re.DOTALL)
IGNORED = """
import multiprocessing, signal, sys
sys.path.insert(0, sys.argv[1])
from conformance import executor_children as calls
import sharedkit as sk
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if __name__ == "__main__":
    with sk.Executor(2, multiprocessing.get_context(sys.argv[2])) as executor:
        print(executor.submit(calls.kill_myself).exception(30).exitcode, executor.submit(calls.double, 2).result(30))
"""


# The fork server reaps its own children, even if this process ignores SIGCHLD.
@pytest.mark.parametrize(("method", "exitcode"), [("fork", "None"), ("spawn", "None"), ("forkserver", "-9")])
def test_workers_may_be_reaped_by_the_system(method: str, exitcode: str) -> None:
    assert ended_well(IGNORED, method) == f"{exitcode} 4\n"


LATE = """
import atexit, sys, threading
sys.path.insert(0, sys.argv[1])
from conformance import executor_children as calls
import sharedkit as sk
def late():
    if sys.argv[2] == "thread":
        threading.main_thread().join()
    try:
        sk.Executor(1).submit(calls.double, 1)
    except RuntimeError as error:
        print(error, flush=True)
if sys.argv[2] == "thread":
    threading.Thread(target=late).start()
else:
    atexit.register(late)
"""


@pytest.mark.parametrize("when", ["thread", "atexit"])
def test_an_executor_made_at_the_interpreters_end_takes_no_call(when: str) -> None:
    assert "after interpreter shutdown" in ended_well(LATE, when)


CHILD = """
import multiprocessing, sys
sys.path.insert(0, sys.argv[1])
from conformance import executor_children as calls
import sharedkit as sk
def child():
    global kept
    kept = sk.Executor(2)
    print(kept.submit(calls.double, 2).result(30), flush=True)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
print(process.exitcode)
"""


def test_a_child_of_multiprocessing_ends_with_its_executor_open() -> None:
    assert ended_well(CHILD) == "4\n0\n"


INTERRUPTED = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from conformance import executor_children as calls
import sharedkit as sk
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
if sys.argv[2] == "start":
    os.register_at_fork(after_in_parent=interrupt)
executor = sk.Executor(2)
try:
    future = executor.submit(calls.sleep_then, 1, "done")
    threading.Timer(0.1, interrupt).start()
    executor.shutdown()
except KeyboardInterrupt:
    print("interrupted", flush=True)
executor.shutdown()
print("over" if sys.argv[2] == "start" else future.result(0), executor.statistics().workers)
"""


@pytest.mark.parametrize(("when", "what"), [("start", "over"), ("shutdown", "done")])
def test_the_next_shutdown_finishes_an_interrupted_one(when: str, what: str) -> None:
    assert ended_well(INTERRUPTED, when) == f"interrupted\n{what} ()\n"
