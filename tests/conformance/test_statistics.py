"""`statistics()` is true and frozen."""

from __future__ import annotations

import dataclasses
import os
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from conformance.kinds import KINDS, Kind
from conformance.watchdog import Task, until

from sharedkit import statistics as snapshots

CLASSES = {
    **{kind.cls: getattr(snapshots, f"{kind.cls}Statistics", None) for kind in KINDS},
    "LifoQueue": snapshots.QueueStatistics,
    "PriorityQueue": snapshots.QueueStatistics,
    "Value": snapshots.ArrayStatistics,
    "RawValue": snapshots.ArrayStatistics,
    "Set": snapshots.DictStatistics,
    "RLock": snapshots.LockStatistics,
    "BoundedSemaphore": snapshots.SemaphoreStatistics,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_is_a_frozen_snapshot_with_name_kind_and_processes(context: Any, kind: Kind) -> None:
    with closing(kind.make(context)) as handle:
        statistics = handle.statistics()
        assert type(statistics) is CLASSES[kind.cls]
        assert statistics.kind == kind.cls
        assert statistics.name == handle.name
        assert statistics.attached == (os.getpid(),)
        with pytest.raises(dataclasses.FrozenInstanceError):
            statistics.name = "another"
        kind.change(handle)
        assert handle.statistics() != statistics or type(statistics) is snapshots.ArrayStatistics


@pytest.mark.parametrize("striped", [False, True])
def test_statistics_of_a_counter(context: Any, striped: bool) -> None:
    with context.Counter(5, striped=striped) as c:
        c.add(2)
        assert c.statistics().value == 7
        assert c.statistics().striped is striped


def test_statistics_of_a_group_of_counters(context: Any) -> None:
    with context.Counters(["x", "y"]) as c:
        c.add("y", 4)
        assert list(c.statistics().values.items()) == [("x", 0), ("y", 4)]


def test_statistics_of_a_queue_in_use(context: Any) -> None:
    with context.Queue(4) as q:
        s = q.statistics()
        assert (s.maxsize, s.qsize, s.unfinished_tasks, s.state) == (4, 0, 0, "open")
        assert (s.put_owner, s.get_owner) == (None, None)
        q.put_many(["a", "b", "c"])
        q.get()
        q.task_done()
        s = q.statistics()
        assert (s.qsize, s.unfinished_tasks) == (2, 2)
        q.shutdown()
        assert q.statistics().state == "shutdown"
        q.shutdown(immediate=True)
        s = q.statistics()
        assert (s.qsize, s.unfinished_tasks, s.state) == (0, 0, "shutdown-immediate")
    with context.Queue() as q:
        assert q.statistics().maxsize == 0


def test_statistics_count_the_bytes_of_a_queue(context: Any) -> None:
    with context.Queue() as q:
        s = q.statistics()
        if s.capacity_bytes is None:
            assert s.used_bytes is None
            return
        assert s.used_bytes == 0
        q.put(b"x" * 100_000)
        s = q.statistics()
        assert 100_000 <= s.used_bytes <= s.capacity_bytes
        q.get()
        assert q.statistics().used_bytes < 100_000


def test_statistics_count_the_waiters_of_a_queue(context: Any) -> None:
    with context.Queue(1) as q:
        if q.statistics().waiting_getters is None:
            assert q.statistics().waiting_putters is None
            return
        assert (q.statistics().waiting_getters, q.statistics().waiting_putters) == (0, 0)
        getters = [Task(q.get) for _ in range(2)]
        until(lambda: q.statistics().waiting_getters == 2)
        q.put(1)
        q.put(2)
        assert sorted(task.result() for task in getters) == [1, 2]
        assert q.statistics().waiting_getters == 0
        q.put(3)
        putter = Task(q.put, 4)
        until(lambda: q.statistics().waiting_putters == 1)
        assert q.get() == 3
        putter.result()
        assert q.statistics().waiting_putters == 0


def test_statistics_of_an_array_and_its_lock(context: Any) -> None:
    with context.Array((2, 3), "u2") as a:
        s = a.statistics()
        assert (s.shape, np.dtype(s.dtype), s.nbytes) == ((2, 3), np.dtype("u2"), 12)
        assert s.lock_owner is None
        with a.lock:
            assert a.statistics().lock_owner == os.getpid()
        assert a.statistics().lock_owner is None


def test_statistics_of_a_structure_with_two_handles_name_a_process_once(context: Any) -> None:
    with context.Queue() as q, context.attach(q.name) as again:
        assert again.statistics() == q.statistics()
        assert q.statistics().attached == (os.getpid(),)
