"""What an executor on a Dask cluster promises about deaths, ended calls and the cluster that it shares."""

from __future__ import annotations

import asyncio
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

import numpy as np
import pytest
from conformance import executor_children as calls
from conformance.subjects import MANAGER, SHM, THREAD
from conformance.watchdog import LIMIT, until
from dask_cluster import ABSENT, Programs, client_of_local_cluster, client_of_programs
from redis_server import Server, the_server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))
CLIENTS = {"local": client_of_local_cluster, "programs": client_of_programs}


@pytest.fixture
def placement() -> Any:
    return sk.get_context("redis", url=the_server().url, prefix="dask")


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest) -> Any:
    return CLIENTS[request.param]()


@pytest.fixture
def executor(placement: Any, client: Any) -> Iterator[Any]:
    with placement.Executor(on=client) as made:
        yield made


@pytest.fixture
def programs() -> Iterator[Programs]:
    """A cluster for one test, whose workers die in it."""
    with Programs(2, "--no-nanny") as made:
        yield made


def begun(executor: Any, path: Path) -> tuple[Any, int]:
    """The future of a long call that has begun, and the pid of its process."""
    slow = executor.submit(calls.begin_and_sleep, str(path))
    until(lambda: path.exists() and path.read_text() != "")
    return slow, int(path.read_text())


def records(placement: Any) -> list[bytes]:
    """The keys that executors have in Redis."""
    return [key for key in the_server().ask("KEYS", "{dask:redis-*") if key.count(b":") == 2]


# --- deaths ----------------------------------------------------------------------------------------------


def test_a_call_that_dies_fails_alone_and_its_dask_worker_lives_on(executor: Any, client: Any) -> None:
    workers = set(client.nthreads())
    others = [executor.submit(calls.sleep_then, 0.01, x) for x in range(20)]
    dead, left = executor.submit(calls.kill_myself), executor.submit(calls.leave, 7)
    others += [executor.submit(calls.double, x) for x in range(20)]
    error = dead.exception(LIMIT)
    assert isinstance(error, sk.WorkerDied) and isinstance(error, futures.BrokenExecutor)
    assert error.exitcode == -signal.SIGKILL and str(error.pid) in str(error)
    assert left.exception(LIMIT).exitcode == 7
    assert [future.result(LIMIT) for future in others] == [*range(20), *(2 * x for x in range(20))]
    assert executor.statistics().deaths == 2
    assert set(client.nthreads()) == workers


def test_a_call_whose_dask_worker_dies_fails_and_the_calls_behind_it_run_once(
    placement: Any, programs: Programs, tmp_path: Path
) -> None:
    client = programs.client()
    with client, placement.Executor(on=client) as executor:
        slow, pid = begun(executor, tmp_path / "slow")
        marks = tmp_path / "marks"
        marks.mkdir()
        ahead = [executor.submit(calls.mark, str(marks / str(x))) for x in range(60)]
        worker = worker_of(client, pid)
        os.kill(worker, signal.SIGKILL)
        error = slow.exception(LIMIT)
        assert isinstance(error, sk.WorkerDied) and (error.pid, error.exitcode) == (worker, None)
        until(lambda: calls.ended(pid))
        assert [future.result(LIMIT) for future in ahead] == [None] * 60
        assert {path.name: path.read_bytes() for path in marks.iterdir()} == {str(x): b"x" for x in range(60)}
        assert executor.submit(calls.double, 4).result(LIMIT) == 8


def worker_of(client: Any, pid: int) -> int:
    """The process id of the Dask worker in which that child runs."""

    def mine(dask_worker: Any) -> bool:
        from sharedkit.redis.engines import host

        return any(pid in each.children.counts()[0] for each in host._hosts.values())

    pids, owns = client.run(os.getpid), client.run(mine)
    (address,) = [address for address, there in owns.items() if there]
    return int(pids[address])


def test_a_call_that_ends_its_dask_worker_begins_once_however_often_dask_tries(
    placement: Any, programs: Programs, tmp_path: Path
) -> None:
    client = programs.client()
    with client, placement.Executor(on=client) as executor:
        for attempt in range(2):  # both workers die; a third one comes
            path = tmp_path / f"marks{attempt}"
            future = executor.submit(calls.mark_and_end_parent, str(path))
            assert isinstance(future.exception(LIMIT), sk.WorkerDied)
            assert path.read_bytes() == b"x"
            if attempt == 0:
                programs.add_worker()
        assert executor.submit(calls.double, 4).result(LIMIT) == 8


def test_a_call_whose_scattered_arguments_die_with_a_worker_runs_with_a_copy(
    placement: Any, programs: Programs, tmp_path: Path
) -> None:
    client = programs.client()
    with client, placement.Executor(on=client) as executor:
        held = [begun(executor, tmp_path / str(number)) for number in range(2)]
        total = executor.submit(calls.total, np.ones(300_000))
        until(lambda: bool(executor._dispatcher.engine.data))
        ((_, data),) = executor._dispatcher.engine.data.items()
        (address,) = client.who_has([data])[data.key]
        del data
        os.kill(client.run(os.getpid)[address], signal.SIGKILL)
        until(lambda: any(future.done() for future, _ in held))
        for future, _ in held:
            if not future.done():
                assert future.cancel(running=True)
        assert total.result(LIMIT) == 300_000


def test_outcomes_that_are_there_at_once_come_by_few_requests(
    executor: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather, asked, tasks = client.gather, list[int](), executor._dispatcher._tasks

    async def watched(futures: Any, **options: Any) -> Any:
        asked.append(len(futures))
        while len(asked) == 1 and any(task.status == "pending" for task in list(tasks.values())):
            await asyncio.sleep(0.01)
        return await gather(futures, **options)

    monkeypatch.setattr("sharedkit.redis.engines.dask.MOST_GATHERS", 1)
    monkeypatch.setattr(client, "gather", watched)
    assert list(executor.map(calls.double, range(300))) == [2 * x for x in range(300)]
    assert sum(asked) == 300 and len(asked) <= 4


@pytest.mark.parametrize("what", ["cancelled", "lost"])
def test_a_request_that_is_of_no_use_is_made_again(
    executor: Any, client: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Dask joins requests, so one that another program part cancels takes others along; and a result that is lost holds
    up all that were asked for with it."""
    gather, times = client.gather, list[int]()

    class Pending:
        status = "pending"

    async def watched(futures: Any, **options: Any) -> Any:
        times.append(len(futures))
        if len(times) > 1:
            return await gather(futures, **options)
        if what == "cancelled":
            raise asyncio.CancelledError
        task = next(iter(futures.values()))
        state, task._state = task._state, Pending()
        await asyncio.sleep(2.5)
        task._state = state
        return await asyncio.sleep(3600)

    monkeypatch.setattr(client, "gather", watched)
    assert list(executor.map(calls.double, range(10))) == [2 * x for x in range(10)]
    assert len(times) > 1


def test_calls_wait_for_workers_that_are_still_to_come(placement: Any, tmp_path: Path) -> None:
    with Programs(0) as programs:
        client = programs.client()
        with client, placement.Executor(on=client) as executor:
            ahead = [executor.submit(calls.double, x) for x in range(5)]
            assert not futures.wait(ahead, 0.5).done
            assert not ahead[0].running()
            assert ahead[0].cancel()
            programs.add_worker()
            assert [future.result(LIMIT) for future in ahead[1:]] == [2, 4, 6, 8]


def test_a_cluster_that_ends_fails_the_calls(placement: Any, tmp_path: Path) -> None:
    with Programs(1, "--no-nanny") as programs:
        client = programs.client()
        executor = placement.Executor(on=client)
        slow, _ = begun(executor, tmp_path / "slow")
        waiting = executor.submit(calls.double, 1)
        for program in programs.running:
            program.kill()
        for future in (slow, waiting):
            assert isinstance(future.exception(LIMIT), sk.ExecutorGoneError)
        client.close()
        with pytest.raises(sk.ExecutorGoneError):
            executor.submit(calls.double, 1).result(LIMIT)
        executor.shutdown()


def test_a_client_that_is_closed_first_fails_the_calls(placement: Any, programs: Programs, tmp_path: Path) -> None:
    client = programs.client()
    executor = placement.Executor(on=client)
    slow, _ = begun(executor, tmp_path / "slow")
    client.close()
    assert isinstance(slow.exception(LIMIT), sk.ExecutorGoneError)
    executor.shutdown()


PROGRAM = """
import sys, time
from conformance import executor_children as calls
from distributed import Client
import sharedkit as sk
if __name__ == "__main__":
    context = sk.get_context("redis", url=sys.argv[2], prefix="dask")
    client = Client(scheduler_file=sys.argv[1])
    executor = context.Executor(on=client)
    executor.submit(calls.double, 1).result()
    if sys.argv[3] == "killed":
        executor.submit(calls.begin_and_sleep, sys.argv[4] + "/a")
        executor.submit(calls.begin_and_sleep, sys.argv[4] + "/b")
        for x in range(50):
            executor.submit(calls.mark, sys.argv[4] + "/marks")
        sys.stdin.read()
    executor.submit(calls.sleep_then, 0.2, "last").add_done_callback(lambda future: print(future.result(), flush=True))
    if sys.argv[3] == "dropped":
        del executor
"""


def program(programs: Programs, mode: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, programs.where, the_server().url, mode, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])},
    )


@pytest.mark.parametrize("mode", ["exit", "dropped"])
def test_the_interpreters_end_waits_for_submitted_calls(programs: Programs, mode: str, tmp_path: Path) -> None:
    said, complaints = program(programs, mode, tmp_path).communicate(timeout=LIMIT)
    assert said.split() == ["last"]
    assert "Traceback" not in complaints


def test_when_the_program_is_killed_no_further_call_begins_and_the_children_end(
    programs: Programs, tmp_path: Path
) -> None:
    running = program(programs, "killed", tmp_path)
    try:
        paths = [tmp_path / "a", tmp_path / "b"]
        until(lambda: all(path.exists() and path.read_text() != "" for path in paths))
        pids = [int(path.read_text()) for path in paths]
        running.kill()
        running.wait()
        for pid in pids:
            os.kill(pid, signal.SIGTERM)  # what they run may be completed; this ends it sooner
        until(lambda: all(map(calls.ended, pids)))
        with programs.client() as client:
            until(lambda: not any(client.run(hosts).values()))
        assert not (tmp_path / "marks").exists()
    finally:
        running.kill()
        running.communicate()


def hosts() -> int:
    """How many executors have children in this Dask worker."""
    from sharedkit.redis.engines import host

    return len(host._hosts)


# --- ended calls -----------------------------------------------------------------------------------------


def test_a_call_can_have_a_time_limit(executor: Any, tmp_path: Path) -> None:
    path, limit = tmp_path / "pid", 0.3
    path.write_text("")
    while path.read_text() == "":  # on a busy machine the call begins later
        slow = executor.options(timeout=limit).submit(calls.begin_and_sleep, str(path))
        with pytest.raises(TimeoutError, match=rf"longer than {re.escape(f'{limit:g}')} s"):
            slow.result(LIMIT)
        limit *= 2
    until(lambda: calls.ended(int(path.read_text())))
    with pytest.raises(TimeoutError):
        executor.submit_with(calls.sleep_then, calls.LONG, 1, timeout=0.2).result(LIMIT)
    assert executor.options(timeout=LIMIT).submit(calls.double, 2).result(LIMIT) == 4


def test_a_running_call_can_be_ended(executor: Any, tmp_path: Path) -> None:
    slow, pid = begun(executor, tmp_path / "pid")
    assert slow.running()
    assert not slow.cancel()
    assert slow.cancel(running=True)
    assert slow.cancelled() and not slow.running()
    with pytest.raises(futures.CancelledError):
        slow.result(LIMIT)
    until(lambda: calls.ended(pid))
    assert executor.submit(calls.double, 2).result(LIMIT) == 4


@pytest.mark.parametrize(
    ("method", "by"),
    [("kill_workers", signal.SIGKILL), ("terminate_workers", signal.SIGTERM)],
    ids=["kill", "terminate"],
)
def test_all_children_can_be_ended(executor: Any, client: Any, tmp_path: Path, method: str, by: signal.Signals) -> None:
    running = [begun(executor, tmp_path / str(number)) for number in range(2)]
    waiting = [executor.submit(calls.double, x) for x in range(30)]
    getattr(executor, method)()
    for slow, pid in running:
        error = slow.exception(LIMIT)
        assert isinstance(error, sk.WorkerDied) and (error.pid, error.exitcode) == (pid, -by)
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.double, 1)
    executor.shutdown()
    getattr(executor, method)()
    assert client.submit(calls.double, 3, pure=False).result(LIMIT) == 6


def test_a_call_that_was_cancelled_never_begins(executor: Any, tmp_path: Path) -> None:
    held = [begun(executor, tmp_path / str(number))[0] for number in range(2)]
    path = tmp_path / "marks"
    ahead = [executor.submit(calls.mark, str(path)) for _ in range(20)]
    until(lambda: not executor._dispatcher._queued)  # Dask has them
    assert all(future.cancel() for future in ahead)
    for future in held:
        assert future.cancel(running=True)
    assert executor.submit(calls.double, 1).result(LIMIT) == 2
    executor.shutdown()
    assert not path.exists()


# --- calls -----------------------------------------------------------------------------------------------


def test_equal_calls_are_each_made(executor: Any, placement: Any) -> None:
    with placement.Counter() as counter:
        ahead = [executor.submit(calls.add_one, counter) for _ in range(50)]
        assert sorted(future.result(LIMIT) for future in ahead) == list(range(1, 51))


def test_a_process_has_one_session_however_many_calls_it_runs(executor: Any, placement: Any) -> None:
    with placement.Counter() as counter:
        for _ in range(3):
            list(executor.map(calls.add_one, [counter] * 20))
        sessions = the_server().ask("PUBSUB", "CHANNELS", "sharedkit:session:*")
        pids = [int(each.split(b":")[2].split(b"-")[0]) for each in sessions]
        children = set(executor.statistics().workers)
        assert children and children <= set(pids)
        assert len(pids) == len(set(pids))


def test_functions_without_a_name_and_their_errors_travel_by_value(executor: Any) -> None:
    class Own(Exception):
        pass

    def fail(x: int) -> None:
        raise Own(x)

    assert executor.submit(lambda x: x + 1, 1).result(LIMIT) == 2
    error = executor.submit(fail, 3).exception(LIMIT)
    assert type(error) is Own and error.args == (3,)


def test_a_value_that_cannot_be_pickled_fails_only_its_own_future(executor: Any) -> None:
    good = executor.submit(calls.double, 1)
    for fn, args in [(calls.double, (threading.Lock(),)), (calls.unpicklable, ())]:
        with pytest.raises(TypeError, match="pickle"):
            executor.submit(fn, *args).result(LIMIT)
    with pytest.raises(pickle.PicklingError, match="Sealed"):
        executor.submit(calls.fail_sealed).result(LIMIT)
    with pytest.raises(TypeError) as caught:
        executor.submit(calls.awkward).result(LIMIT)
    assert "Awkward: 1 2" in str(caught.value.__cause__)
    for fn, args in [(calls.double, (calls.Stubborn(),)), (calls.Stubborn, ())]:
        with pytest.raises(LookupError, match="no arrival"):
            executor.submit(fn, *args).result(LIMIT)
    assert good.result(LIMIT) == 2
    assert executor.statistics().deaths == 0


def test_an_error_brings_its_traceback(executor: Any) -> None:
    error = executor.submit(calls.refuse, 3).exception(LIMIT)
    assert type(error.__cause__) is futures.process._RemoteTraceback
    shown = "".join(traceback.format_exception(error))
    assert shown.index("a comment to be found") < shown.index("The above exception was the direct cause")


def test_a_large_array_goes_by_scatter_and_may_be_written_to(executor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scattered: list[int] = []
    client = executor._dispatcher.engine.client
    scatter = client.scatter

    def watched(data: Any, **options: Any) -> Any:
        scattered.extend(each.size for each in data)
        return scatter(data, **options)

    monkeypatch.setattr(client, "scatter", watched)
    large, small = np.arange(300_000.0), np.arange(20_000.0)
    back = executor.submit(calls.incremented, large).result(LIMIT)
    assert len(scattered) == 1 and scattered[0] >= large.nbytes
    assert (back == large + 1).all()
    back += 1
    back = executor.submit(calls.incremented, small).result(LIMIT)
    assert (back == small + 1).all() and len(scattered) == 1
    back += 1
    large.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        executor.submit(calls.incremented, large).result(LIMIT)


def test_no_more_calls_run_at_once_than_max_workers(placement: Any, client: Any) -> None:
    with placement.Counter() as counter, placement.Executor(1, on=client) as executor:
        assert max(executor.map(calls.count_running, [counter] * 6)) == 1
        assert executor.statistics().max_workers == 1


def test_a_child_retires_after_its_tasks(placement: Any, client: Any) -> None:
    with placement.Executor(1, on=client, max_tasks_per_child=2) as executor:
        pids = [executor.submit(calls.whoami).result(LIMIT) for _ in range(12)]
    assert max(map(pids.count, pids)) <= 2


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_start_method_of_the_children_can_be_chosen(placement: Any, client: Any, method: str) -> None:
    chosen = multiprocessing.get_context(method)
    with placement.Executor(1, chosen, calls.touch, (method,), on=client) as executor:
        assert executor.submit(calls.touched).result(LIMIT) == method


def test_an_initializer_that_raises_shows_its_error(placement: Any, client: Any) -> None:
    with placement.Executor(2, initializer=calls.fail_to_start, on=client) as executor:
        ahead = [executor.submit(calls.double, x) for x in range(3)]
        for future in ahead:
            assert isinstance(future.exception(LIMIT), sk.ExecutorBroken)
        assert "no start today" in str(ahead[0].exception().__cause__)
        with pytest.raises(sk.ExecutorBroken):
            executor.submit(calls.double, 1)


def test_the_end_leaves_nothing_in_redis_and_no_children(placement: Any, client: Any) -> None:
    with placement.Executor(on=client) as executor:
        list(executor.map(calls.double, range(10)))
        pids = executor.statistics().workers
        assert pids and records(placement)
    assert not records(placement)
    until(lambda: all(map(calls.ended, pids)))
    until(lambda: not any(client.run(hosts).values()))


def test_the_record_forgets_the_calls_that_are_over(
    placement: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharedkit.redis.engines.dispatcher.MOST_OVER", 20)
    with placement.Executor(on=client) as executor:
        list(executor.map(calls.double, range(60)))
        key = executor._dispatcher._record._base
        until(lambda: the_server().ask("HLEN", key) < 30)


# --- arguments -------------------------------------------------------------------------------------------


def test_other_placements_refuse_a_client() -> None:
    for other in (THREAD, SHM, MANAGER):
        with pytest.raises(TypeError, match=r'get_context\("redis", url=...\).Executor\(on=client\)'):
            other.Executor(on=object())


def test_what_cannot_be_a_client_is_refused(placement: Any, client: Any) -> None:
    with pytest.raises(TypeError, match=r"Executor\(on=client\), with a distributed.Client"):
        placement.Executor(2)
    with pytest.raises(TypeError, match=r"on must be a distributed\.Client or the module ray, not str"):
        placement.Executor(on=client.scheduler.address)
    with pytest.raises(ValueError, match="a worker has threads"):
        placement.Executor(1, multiprocessing.get_context("fork"), on=client)
    with placement.Executor(on=client) as executor, pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(executor)


def test_a_closed_client_is_refused(placement: Any, programs: Programs) -> None:
    client = programs.client()
    client.close()
    with pytest.raises(ValueError, match="the Dask client is closed"):
        placement.Executor(on=client)


def test_importing_sharedkit_and_its_placement_does_not_import_dask() -> None:
    program = """
import sys
import sharedkit
sharedkit.get_context("redis", url="redis://nowhere").Executor
print([each for each in sys.modules if each.split(".")[0] in ("dask", "distributed", "cloudpickle")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_program_of_the_page_runs(programs: Programs, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "many_machines.md").read_text(encoding="utf-8")
    with programs.client() as client:
        scheduler = client.scheduler.address
    text = page.split("```python\n")[1].split("```")[0]
    for placeholder, real in [("tcp://scheduler:8786", scheduler), ("redis://host:6379/0", the_server().url)]:
        assert placeholder in text
        text = text.replace(placeholder, real)
    path = tmp_path / "program.py"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=LIMIT)
    assert done.stdout.splitlines()[0] == "9 [0, 1, 4, 9]", done.stderr
    assert int(done.stdout.splitlines()[1]) in (5, 6)  # the last call may have been ended before it began


def test_a_password_does_not_travel_but_a_worker_may_know_it(programs: Programs) -> None:
    with Server("--requirepass", "secret", port=True) as server, programs.client() as client:
        url = f"redis://:secret@127.0.0.1:{server.port}/0"
        own = sk.get_context("redis", url=url, prefix="dask")
        with own, own.Counter() as counter, own.Executor(on=client) as executor:
            with pytest.raises(sk.AuthkeyError, match="a pickled handle carries no password"):
                executor.submit(calls.add_one, counter).result(LIMIT)
            client.run(calls.know_server, url, "dask")
            assert executor.submit(calls.add_one, counter).result(LIMIT) == 1


def test_a_lapsed_lease_fails_the_calls_that_have_not_begun(client: Any, tmp_path: Path) -> None:
    placement = sk.get_context("redis", url=the_server().url, prefix="lapsing")
    executor = placement.Executor(on=client)
    held = [begun(executor, tmp_path / str(number)) for number in range(2)]
    path = tmp_path / "marks"
    waiting = executor.submit(calls.mark, str(path))
    until(lambda: not executor._dispatcher._queued)  # Dask has it
    sessions = the_server().ask("KEYS", "{lapsing:*:sessions")
    the_server().ask("DEL", *sessions)  # as when the server has heard nothing of this process for a lease
    for _, pid in held:
        os.kill(pid, signal.SIGKILL)
    for future, pid in held:
        assert future.exception(LIMIT).pid == pid
    assert isinstance(waiting.exception(LIMIT), sk.ExecutorGoneError)
    with pytest.raises((sk.LeaseLostError, sk.ExecutorGoneError)):  # the second if a worker has removed the record
        executor.submit(calls.double, 1).result(LIMIT)
    executor.shutdown()
    assert not path.exists()
