"""The synchronization primitives that are tested, and the promises that each one does not make."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from conformance.subjects import (
    ABSENT,
    IN_REDIS,
    MANAGER,
    MANY_PROCESSES,
    ONE_PROCESS,
    REDIS,
    SERVED,
    SHM,
    THREAD,
    Subject,
    in_redis,
)

KITS_OWN = dict.fromkeys(("statistics", "spellings", "names", "not-locked-error", "owner"), "the kit's own promise")
MULTIPROCESSING = KITS_OWN | {
    "threading-arguments": "multiprocessing takes a negative timeout for 0, and a timeout without blocking",
    "release-unlocked": "multiprocessing.Lock raises ValueError",
}
SINCE_314 = {} if sys.version_info >= (3, 14) else {"locked": "it has locked() from Python 3.14 on"}
UNCOUNTED = {"release-many": "its release() takes no number"}
NEVER = {"locked": "it has no locked()"}


IN_REDIS_TOO = ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore")


def of(cls: str, thread_lacks: Mapping[str, str] | None = None, mp_lacks: Mapping[str, str] | None = None) -> list[Any]:
    """The class of that name in every placement, in threading and in multiprocessing, as subjects."""
    return [
        Subject("thread", getattr(THREAD, cls), ONE_PROCESS),
        Subject("shm", getattr(SHM, cls), MANY_PROCESSES, lambda method: getattr(SHM, cls)),
        Subject("manager", getattr(MANAGER, cls), SERVED, lambda method: getattr(MANAGER, cls)),
        *([in_redis(cls)] if cls in IN_REDIS_TOO else []),
        Subject("threading", getattr(threading, cls), KITS_OWN | ONE_PROCESS | dict(thread_lacks or {})),
        Subject(
            "multiprocessing", getattr(multiprocessing, cls), MULTIPROCESSING | dict(mp_lacks or {}), _started(cls)
        ),
    ]


def _started(cls: str) -> Callable[[str], Callable[..., Any]]:
    return lambda method: getattr(multiprocessing.get_context(method), cls)


def of_array(context: Any) -> Callable[..., Any]:
    """Return a function that makes an array and gives its lock."""
    return lambda **options: context.Array(1, **options)


PART = {"names": "it is part of an array", "owner": "it is part of an array", "statistics": "it is part of an array"}
LOCKS = [
    *of("Lock", mp_lacks=SINCE_314),
    Subject("thread-array", of_array(THREAD), ONE_PROCESS | PART),
    Subject("shm-array", of_array(SHM), MANY_PROCESSES | PART, lambda method: of_array(SHM)),
    Subject("manager-array", of_array(MANAGER), SERVED | PART, lambda method: of_array(MANAGER)),
    Subject("redis-array", of_array(REDIS), IN_REDIS | PART, lambda method: of_array(REDIS), ABSENT),
]
RWLOCKS = [
    Subject("thread", THREAD.RWLock, ONE_PROCESS),
    Subject("shm", SHM.RWLock, MANY_PROCESSES, lambda method: SHM.RWLock),
    Subject("manager", MANAGER.RWLock, SERVED, lambda method: MANAGER.RWLock),
    in_redis("RWLock"),
]

BY_FIXTURE = {
    "make_lock": LOCKS,
    "make_rlock": of("RLock", SINCE_314, SINCE_314),
    "make_semaphore": of("Semaphore", NEVER, SINCE_314 | UNCOUNTED),
    "make_bounded": of("BoundedSemaphore", NEVER, SINCE_314 | UNCOUNTED),
    "make_event": of("Event", mp_lacks={"late-set": "wait() answers whether it is set now (CPython gh-57711)"}),
    "make_condition": of(
        "Condition",
        SINCE_314,
        NEVER | {"any-timeout": "multiprocessing.Condition asserts", "arguments": "another interface"},
    ),
    "make_barrier": of("Barrier"),
    "make_rwlock": RWLOCKS,
}
