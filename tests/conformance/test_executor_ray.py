"""What an executor on a Ray cluster promises: what one on Dask does, by the same tests, and about Ray's own workers."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance import executor_children as calls
from conformance.test_executor_dask import (
    begun,
    records,
    test_a_call_can_have_a_time_limit,
    test_a_call_that_was_cancelled_never_begins,
    test_a_child_retires_after_its_tasks,
    test_a_running_call_can_be_ended,
    test_a_value_that_cannot_be_pickled_fails_only_its_own_future,
    test_an_error_brings_its_traceback,
    test_an_initializer_that_raises_shows_its_error,
    test_equal_calls_are_each_made,
    test_functions_without_a_name_and_their_errors_travel_by_value,
    test_no_more_calls_run_at_once_than_max_workers,
    test_the_record_forgets_the_calls_that_are_over,
    test_the_start_method_of_the_children_can_be_chosen,
)
from conformance.watchdog import LIMIT, until
from ray_cluster import ABSENT, the_ray
from redis_server import Server, the_server

import sharedkit as sk

__all__ = [
    "test_a_call_can_have_a_time_limit",
    "test_a_call_that_was_cancelled_never_begins",
    "test_a_child_retires_after_its_tasks",
    "test_a_running_call_can_be_ended",
    "test_a_value_that_cannot_be_pickled_fails_only_its_own_future",
    "test_an_error_brings_its_traceback",
    "test_an_initializer_that_raises_shows_its_error",
    "test_equal_calls_are_each_made",
    "test_functions_without_a_name_and_their_errors_travel_by_value",
    "test_no_more_calls_run_at_once_than_max_workers",
    "test_the_record_forgets_the_calls_that_are_over",
    "test_the_start_method_of_the_children_can_be_chosen",
]

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))


@pytest.fixture
def placement() -> Any:
    return sk.get_context("redis", url=the_server().url, prefix="dask")


@pytest.fixture
def client() -> Any:
    return the_ray()


@pytest.fixture
def executor(placement: Any, client: Any) -> Iterator[Any]:
    with placement.Executor(on=client) as made:
        yield made


def test_a_call_that_dies_fails_alone_and_its_ray_worker_lives_on(executor: Any, tmp_path: Path) -> None:
    slow, pid = begun(executor, tmp_path / "slow")
    owner = executor._dispatcher._record.owner(slow._task)
    os.kill(pid, signal.SIGTERM)
    assert slow.exception(LIMIT).pid == pid
    dead, left = executor.submit(calls.kill_myself), executor.submit(calls.leave, 7)
    others = [executor.submit(calls.double, x) for x in range(20)]
    error = dead.exception(LIMIT)
    assert isinstance(error, sk.WorkerDied)
    assert error.exitcode == -signal.SIGKILL and str(error.pid) in str(error)
    assert left.exception(LIMIT).exitcode == 7
    assert [future.result(LIMIT) for future in others] == [2 * x for x in range(20)]
    assert not calls.ended(owner.pid)


def test_a_call_whose_ray_worker_dies_fails_and_the_calls_behind_it_run_once(executor: Any, tmp_path: Path) -> None:
    slow, pid = begun(executor, tmp_path / "slow")
    marks = tmp_path / "marks"
    marks.mkdir()
    ahead = [executor.submit(calls.mark, str(marks / str(x))) for x in range(30)]
    owner = executor._dispatcher._record.owner(slow._task)
    os.kill(owner.pid, signal.SIGKILL)
    error = slow.exception(LIMIT)
    assert isinstance(error, sk.WorkerDied) and (error.pid, error.exitcode) == (owner.pid, None)
    until(lambda: calls.ended(pid))
    assert [future.result(LIMIT) for future in ahead] == [None] * 30
    assert {path.name: path.read_bytes() for path in marks.iterdir()} == {str(x): b"x" for x in range(30)}


@pytest.mark.parametrize(
    ("method", "by"),
    [("kill_workers", signal.SIGKILL), ("terminate_workers", signal.SIGTERM)],
    ids=["kill", "terminate"],
)
def test_all_children_can_be_ended(executor: Any, client: Any, tmp_path: Path, method: str, by: signal.Signals) -> None:
    running = [begun(executor, tmp_path / str(number)) for number in range(2)]
    waiting = [executor.submit(calls.double, x) for x in range(10)]
    assert {pid for _, pid in running} <= set(executor.statistics().workers)
    getattr(executor, method)()
    for slow, pid in running:
        error = slow.exception(LIMIT)
        assert isinstance(error, sk.WorkerDied) and (error.pid, error.exitcode) == (pid, -by)
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(calls.double, 1)
    assert client.get(client.remote(calls.double).remote(3)) == 6


def test_a_large_array_may_be_written_to(executor: Any) -> None:
    large = np.arange(300_000.0)
    back = executor.submit(calls.incremented, large).result(LIMIT)
    assert (back == large + 1).all()
    back += 1


def test_the_end_leaves_nothing_in_redis_and_no_children(placement: Any, client: Any) -> None:
    with placement.Executor(on=client) as executor:
        list(executor.map(calls.double, range(10)))
        pids = executor.statistics().workers
        assert pids and records(placement)
    until(lambda: not records(placement))  # the inboxes of the workers end with their executors
    until(lambda: all(map(calls.ended, pids)))


PROGRAM = """
import sys
import ray, sharedkit
from conformance import executor_children as calls
if __name__ == "__main__":
    url = sys.argv[1]
    def know() -> None:
        sharedkit.get_context("redis", url=url, prefix="dask")
    environment = {"worker_process_setup_hook": know} if sys.argv[2] == "told" else {}
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20,
             runtime_env={"env_vars": {"PYTHONPATH": sys.argv[3]}, **environment})
    ctx = sharedkit.get_context("redis", url=url, prefix="dask")
    with ctx, ctx.Counter() as counter, ctx.Executor(on=ray) as executor:
        print(repr(executor.submit(calls.add_one, counter).exception()), counter.value, flush=True)
    ray.shutdown()
"""


@pytest.mark.parametrize("how", ["told", "not told"])
def test_a_password_does_not_travel_but_a_worker_may_know_it(how: str, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    with Server("--requirepass", "secret", port=True) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"redis://:secret@127.0.0.1:{server.port}/0", how, paths],
            capture_output=True, text=True, timeout=3 * LIMIT, cwd=tmp_path, check=True,
            env={**os.environ, "PYTHONPATH": paths, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
        )  # fmt: skip
    if how == "told":
        assert done.stdout == "None 1\n"
    else:
        assert "AuthkeyError" in done.stdout and "a pickled handle carries no password" in done.stdout


def test_ray_without_a_cluster_is_refused() -> None:
    program = """
import ray, sharedkit
try:
    sharedkit.get_context("redis", url="redis://nowhere").Executor(on=ray)
except ValueError as why:
    print(why)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert "call ray.init() before Executor(on=ray)" in done.stdout


def test_an_executor_stays_in_its_process(executor: Any) -> None:
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(executor)
