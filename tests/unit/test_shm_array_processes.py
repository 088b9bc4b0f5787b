"""Arrays between processes: exact sums, every way to pass an array, and deaths during additions."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))

import shm_array_children as children

from sharedkit.shm import Array, attach

METHODS = ["fork", "spawn", "forkserver"]
LIMIT = children.LIMIT


@pytest.mark.parametrize("dtype", ["i8", "u2", "f4", "f8"])
def test_processes_that_fetch_and_add_lose_nothing(dtype: str) -> None:
    with Array(2, dtype) as a:
        children.finish(*[children.start("fork", children.add_one_by_one, a, 10_000) for _ in range(4)])
        assert np.asarray(a).tolist() == [20_000, 20_000]


@pytest.mark.parametrize(
    ("dtype", "method"), [*(("i8", method) for method in METHODS), ("i2", "fork"), ("f8", "fork"), ("f4", "fork")]
)
def test_processes_that_add_in_batches_lose_nothing(dtype: str, method: str) -> None:
    sparse = np.arange(3000) % 1000
    dense = np.arange(20_000) % 1000 - 1000
    with Array(1000, dtype) as a:
        work = [(sparse, 60), (dense, 15), (sparse, 60), (dense, 15)]
        children.finish(*[children.start(method, children.add_many, a, *each) for each in work])
        assert set(np.asarray(a).tolist()) == {2 * 60 * 3 + 2 * 15 * 20}


def test_two_processes_with_compare_exchange_make_each_step_once() -> None:
    with Array(1, "u4") as a:
        children.finish(*[children.start("fork", children.step_by_compare_exchange, a, 5000) for _ in range(2)])
        assert a[0] == 10_000


@pytest.mark.parametrize("method", METHODS)
def test_a_child_finds_the_elements_of_its_parent_and_changes_them(method: str) -> None:
    dtype = np.dtype([("id", "i4"), ("where", "f8", (2,))], align=True)
    with Array((3, 2), dtype) as a:
        a["id"] = np.arange(6).reshape(3, 2)
        told = np.array(a)
        children.finish(children.start(method, children.check_and_fill, a, told, np.zeros((), dtype)))
        assert not a["id"].any()


@pytest.mark.parametrize("method", METHODS)
def test_a_parent_may_drop_its_handle_right_after_the_start(method: str) -> None:
    a = Array(1000, "i8")
    name = a.name
    keeper = multiprocessing.Pipe()
    child = children.start(method, children.take_and_tell, a.lock, keeper[1], keeper[1])
    a.close()
    del a
    gc.collect()
    assert keeper[0].poll(LIMIT)
    assert keeper[0].recv() == child.pid
    with attach(name) as again:
        assert again.lock.owner == child.pid
        assert again.shape == (1000,)
    keeper[0].send(None)
    assert keeper[0].poll(LIMIT)
    children.finish(child)
    assert not Path(f"/dev/shm/sk_{name}").exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_handle_goes_through_a_pool_and_a_queue(method: str) -> None:
    with Array(8, "f4") as a:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            pid = pool.submit(children.fill, a, 2.5).result(LIMIT)
        assert pid != os.getpid()
        assert set(np.asarray(a).tolist()) == {2.5}
        queue = multiprocessing.get_context(method).SimpleQueue()
        queue.put(a)
        again = queue.get()
        again[0] = 1.0
        assert a[0] == 1.0
        again.close()
        queue.close()


def test_an_unrelated_program_opens_it_by_name() -> None:
    program = """
import sys, numpy as np
from sharedkit.shm import Array, attach
with attach(sys.argv[1]) as a, Array((2, 3), "f8", name=sys.argv[1], exist_ok=True) as b:
    with a.lock:
        b[1, 2] = a[0, 0] + 1
    print(a.fetch_add((0, 0), 0.5), a.dtype, a.shape)
"""
    with Array((2, 3), "f8") as a:
        a[0, 0] = 41
        told = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, a.name], capture_output=True, text=True, timeout=LIMIT
        )
        assert (told.stdout.strip(), told.stderr) == ("41.0 float64 (2, 3)", "")
        assert a[1, 2] == 42
        assert a[0, 0] == 41.5


@pytest.mark.parametrize("dense", [False, True])
def test_a_process_killed_while_it_adds_leaves_whole_additions_and_a_usable_array(dense: bool) -> None:
    step = 1 << 32 | 1  # both halves of a word change, so a torn addition would show
    indices = np.tile(np.arange(500), 40 if dense else 3)
    with Array(500, "i8") as a:
        for _ in range(15):
            child = children.start("fork", add_for_ever, a, indices, step)
            before = int(a[0])
            while int(a[0]) == before and child.is_alive():
                pass
            os.kill(child.pid, signal.SIGKILL)
            child.join(LIMIT)
            assert child.exitcode == -signal.SIGKILL
            low, high = np.asarray(a) & 0xFFFFFFFF, np.asarray(a) >> 32
            assert np.array_equal(low, high)
            assert low.max() > 0
            a.add_at(indices, step)
        assert a.statistics().attached == (os.getpid(),)


def add_for_ever(array: Any, indices: Any, step: int) -> None:
    while True:
        array.add_at(indices, step)
