"""The implementations that are tested, and the promises that each one does not make.

A test names the promises it needs by `@pytest.mark.needs("batches")`; a subject that lacks one is skipped
with the reason given here. The standard library's own types are subjects too, which tests the suite itself.
"""

from __future__ import annotations

import multiprocessing
import queue
import sys
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from conformance import stdlib
from dask_cluster import ABSENT as NO_DASK
from dask_cluster import client_of_local_cluster, client_of_programs
from ray_cluster import ABSENT as NO_RAY
from ray_cluster import the_ray
from redis_server import ABSENT, the_server

import sharedkit as sk

METHODS = ("fork", "spawn", "forkserver")


@dataclass(frozen=True)
class Subject:
    """One implementation: `make` takes its constructor's arguments, `lacks` maps a promise to the reason.

    `for_processes(method)` returns a `make` whose structures can be passed to processes started by that method.
    """

    name: str
    make: Callable[..., Any]
    lacks: Mapping[str, str] = field(default_factory=dict)
    for_processes: Callable[[str], Callable[..., Any]] | None = None
    absent: str | None = None  # why it cannot be examined on this machine

    def missing(self, promises: tuple[str, ...]) -> str | None:
        """Why this subject is exempt from a test that needs `promises`; None if it is not."""
        if self.absent is not None:
            return self.absent
        for promise in promises:
            if promise in self.lacks:
                return f"{self.name}: {self.lacks[promise]}"
        return None


THREAD = sk.get_context("thread")
SHM = sk.get_context("shm")
MANAGER = sk.get_context("manager")  # one server for all of its tests; it starts when the first test uses it

NOT_OURS = dict.fromkeys(
    ("batches", "leases", "names", "close", "statistics", "spellings", "refuses-pickling"), "sharedkit's own promise"
)
ONE_PROCESS = {"processes": "its state lives in one process", "pickles-items": "its items are references"}
MANY_PROCESSES = {"refuses-pickling": "it can be pickled", "any-object": "its items are pickled"}
SERVED = MANY_PROCESSES | {
    "found-by-name-alone": "an unrelated program has to say which server, and with which authkey",
    "view": "its elements are in the server, so a read gives a copy",
    "buffer": "its elements are in the server, so a read gives a copy",
    "leases": "there are none behind a server yet",
    "cancelled-puts": "the server may have put already when the task is cancelled; `CancelledError.put` says so",
}


class InRedis:
    """The context of a Redis server that starts at the first use. A test that uses a class that it lacks is skipped."""

    method = "redis"

    def __getattr__(self, name: str) -> Any:
        from sharedkit.redis.placement import MISSING

        if name in MISSING:
            pytest.skip(MISSING[name])
        return getattr(sk.get_context("redis", url=the_server().url, prefix="tests"), name)


REDIS = InRedis()
IN_REDIS = SERVED | {
    "found-by-method-alone": "a program has to say where the server is",
    "idle-putters": "an item that waits for room lies in the server, which puts it even if its loop stands still",
}


def in_redis(cls: str, lacks: Mapping[str, str] | None = None) -> Subject:
    """The class of that name in a Redis server."""
    return Subject(
        "redis",
        lambda *args, **kwargs: getattr(REDIS, cls)(*args, **kwargs),
        IN_REDIS | dict(lacks or {}),
        lambda method: getattr(REDIS, cls),  # type: ignore[no-any-return]
        ABSENT,
    )


QUEUES: tuple[Subject, ...] = (
    Subject("thread", THREAD.Queue, ONE_PROCESS),
    Subject("shm", SHM.Queue, MANY_PROCESSES, lambda method: SHM.Queue),
    Subject("manager", MANAGER.Queue, SERVED, lambda method: MANAGER.Queue),
    in_redis("Queue"),
    Subject(
        "queue",
        queue.Queue,
        NOT_OURS
        | ONE_PROCESS
        | ({} if sys.version_info >= (3, 13) else {"shutdown": "queue.Queue has it from Python 3.13 on"}),
    ),
    Subject(
        "multiprocessing",
        multiprocessing.JoinableQueue,
        NOT_OURS
        | {
            "any-object": "its items are pickled",
            "shutdown": "multiprocessing.Queue has none",
            "at-once": "a feeder thread puts later, so neither qsize nor get_nowait sees an item at once",
            "public-state": "maxsize and unfinished_tasks are private in multiprocessing.Queue",
            "timeout-check": "multiprocessing.Queue takes a negative timeout for 0",
            "pickling-errors": "the feeder thread prints them",
            "raw-signature": "put's first argument is called obj",
        },
        lambda method: multiprocessing.get_context(method).JoinableQueue,  # type: ignore[attr-defined]
    ),
)

LEAST_FIRST = {"oldest-first": "it gives out the least item first"}
NEWEST_FIRST = {
    "oldest-first": "it gives out the newest item first",
    "rising-items": "it gives out the newest item first",
}
STDLIB_QUEUE = next(each for each in QUEUES if each.name == "queue").lacks
LIFO_QUEUES = (
    Subject("thread", THREAD.LifoQueue, ONE_PROCESS),
    Subject("manager", MANAGER.LifoQueue, SERVED, lambda method: MANAGER.LifoQueue),
    Subject("queue", queue.LifoQueue, STDLIB_QUEUE),
)
PRIORITY_QUEUES = (
    Subject("thread", THREAD.PriorityQueue, ONE_PROCESS),
    Subject(
        "manager",
        MANAGER.PriorityQueue,
        SERVED | {"any-priority": "its server compares numbers, str, bytes and tuples of them"},
        lambda method: MANAGER.PriorityQueue,
    ),
    Subject(
        "queue",
        queue.PriorityQueue,
        STDLIB_QUEUE | {"first-of-equals": "sharedkit's own promise", "whole-after-errors": "sharedkit's own promise"},
    ),
)

QUEUES += tuple(
    Subject(f"{each.name} {kind}", each.make, {**each.lacks, **order}, each.for_processes)
    for kind, subjects, order in (("lifo", LIFO_QUEUES, NEWEST_FIRST), ("priority", PRIORITY_QUEUES, LEAST_FIRST))
    for each in subjects
    if each.name != "queue"
)

COUNTERS = (
    Subject("thread", THREAD.Counter, ONE_PROCESS),
    Subject("shm", SHM.Counter, MANY_PROCESSES, lambda method: SHM.Counter),
    Subject("manager", MANAGER.Counter, SERVED, lambda method: MANAGER.Counter),
    in_redis("Counter"),
    Subject(
        "multiprocessing",
        stdlib.ValueCounter,
        NOT_OURS
        | {
            "overflow": "ctypes wraps around in silence",
            "checks-types": "ctypes refuses floats, but takes no object with __index__",
            "striped": "sharedkit's own promise",
        },
        lambda method: stdlib.value_counter_for(method),
    ),
)

GROUPS = (
    Subject("thread", THREAD.Counters, ONE_PROCESS),
    Subject("shm", SHM.Counters, MANY_PROCESSES, lambda method: SHM.Counters),
    Subject("manager", MANAGER.Counters, SERVED, lambda method: MANAGER.Counters),
    in_redis("Counters"),
)

ARRAYS = (
    Subject(
        "thread",
        THREAD.Array,
        ONE_PROCESS
        | (
            {}
            if sys.version_info >= (3, 12)
            else {"buffer": "a Python class can export a buffer only from 3.12 on; before, .ndarray does"}
        ),
    ),
    Subject("shm", SHM.Array, MANY_PROCESSES, lambda method: SHM.Array),
    Subject("manager", MANAGER.Array, SERVED, lambda method: MANAGER.Array),
    in_redis("Array"),
    Subject(
        "numpy",
        np.zeros,
        NOT_OURS
        | ONE_PROCESS
        | {
            "atomics": "NumPy has none",
            "checks-dtype": "NumPy's arrays hold objects, too",
            "lock": "NumPy's arrays have none",
        },
    ),
)

CONTEXTS = (
    Subject("thread", lambda: THREAD, ONE_PROCESS),
    Subject("shm", lambda: SHM, MANY_PROCESSES),
    Subject("manager", lambda: MANAGER, SERVED),
    Subject("redis", lambda: REDIS, IN_REDIS, absent=ABSENT),
)

# For each fixture by which a test asks for a structure: the subjects that it is run on.
DICTS = (
    Subject("thread", THREAD.Dict, ONE_PROCESS),
    Subject("shm", SHM.Dict, MANY_PROCESSES, lambda method: SHM.Dict),
    Subject("manager", MANAGER.Dict, SERVED, lambda method: MANAGER.Dict),
    in_redis("Dict"),
)

STANDARD = NOT_OURS | {"ends-calls": "it cannot end a call"}
if sys.version_info < (3, 14):
    STANDARD |= {"buffersize": "the standard library has it from Python 3.14"}
FORKSERVER: Any = multiprocessing.get_context("forkserver")  # a fork may hang: the tests have threads
ON_DASK = IN_REDIS | {
    "statistics": "its workers are children of the engine's, which start when that gives them a call",
}


def on_dask(name: str, client: Callable[[], Any]) -> Subject:
    """An executor of a Redis server that gives its calls to that Dask cluster."""
    return Subject(name, lambda *args, **kwargs: REDIS.Executor(*args, **kwargs, on=client()), ON_DASK, absent=NO_DASK)


ON_RAY = Subject("ray", lambda *args, **kwargs: REDIS.Executor(*args, **kwargs, on=the_ray()), ON_DASK, absent=NO_RAY)

EXECUTORS = (
    Subject("thread", THREAD.Executor, ONE_PROCESS | {"ends-calls": "a thread cannot be ended"}),
    Subject("shm", SHM.Executor, MANY_PROCESSES, lambda method: SHM.Executor),
    Subject("manager", MANAGER.Executor, SERVED, lambda method: MANAGER.Executor),
    on_dask("dask", client_of_local_cluster),
    on_dask("dask-programs", client_of_programs),
    ON_RAY,
    Subject("threads", futures.ThreadPoolExecutor, STANDARD | ONE_PROCESS),
    Subject("processes", partial(futures.ProcessPoolExecutor, mp_context=FORKSERVER), STANDARD),
)

VALUES = (
    Subject("thread", THREAD.Value, ONE_PROCESS),
    Subject("shm", SHM.Value, MANY_PROCESSES, lambda method: SHM.Value),
    Subject(
        "manager",
        MANAGER.Value,
        SERVED | {"get_obj": "its memory is the server's"},
        lambda method: MANAGER.Value,
    ),
    in_redis("Value", {"get_obj": "its memory is the server's"}),
    Subject(
        "multiprocessing",
        multiprocessing.Value,
        NOT_OURS
        | {
            "lock-attribute": "it is called get_lock() alone",
            "tasks": "sharedkit's own promise",
            "numbers-alone": "it takes structures, too",
            "locks-are-locks": "its locks are of ctypes and semaphores",
        },
        lambda method: multiprocessing.get_context(method).Value,  # type: ignore[attr-defined]
    ),
)

SETS = (
    Subject("thread", THREAD.Set, ONE_PROCESS),
    Subject("shm", SHM.Set, MANY_PROCESSES, lambda method: SHM.Set),
    Subject("manager", MANAGER.Set, SERVED, lambda method: MANAGER.Set),
    in_redis("Set"),
    Subject("set", set, NOT_OURS | ONE_PROCESS | {"insertion": "sharedkit's own promise"}),
)

STREAMS = (
    Subject("thread", THREAD.Stream, ONE_PROCESS),
    Subject("shm", SHM.Stream, MANY_PROCESSES, lambda method: SHM.Stream),
)

BY_FIXTURE = {
    "make_executor": EXECUTORS,
    "make_queue": QUEUES,
    "make_lifo": LIFO_QUEUES,
    "make_priority": PRIORITY_QUEUES,
    "make_counter": COUNTERS,
    "make_group": GROUPS,
    "make_array": ARRAYS,
    "make_dict": DICTS,
    "make_set": SETS,
    "make_value": VALUES,
    "make_stream": STREAMS,
    "context": CONTEXTS,
}
