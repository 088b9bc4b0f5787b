"""The kinds that are synchronization primitives: how to make one, change it, inspect it, and use it."""

from __future__ import annotations

from typing import Any

from conformance.kind import Kind


def lock(context: Any, **options: Any) -> Any:
    return context.Lock(**options)


def rlock(context: Any, **options: Any) -> Any:
    return context.RLock(**options)


def semaphore(context: Any, **options: Any) -> Any:
    return context.Semaphore(5, **options)


def bounded(context: Any, **options: Any) -> Any:
    return context.BoundedSemaphore(5, **options)


def event(context: Any, **options: Any) -> Any:
    return context.Event(**options)


def condition(context: Any, **options: Any) -> Any:
    return context.Condition(**options)


def barrier(context: Any, **options: Any) -> Any:
    return context.Barrier(2, **options)


def rwlock(context: Any, **options: Any) -> Any:
    return context.RWLock(**options)


def a_counter(context: Any, **options: Any) -> Any:
    return context.Counter(**options)


def toggle_lock(h: Any) -> None:
    if not h.acquire(False):
        h.release()


def toggle_event(h: Any) -> None:
    if h.is_set():
        h.clear()
    else:
        h.set()


def toggle_barrier(h: Any) -> None:
    if h.broken:
        h.reset()
    else:
        h.abort()


LOCK_USES = (
    lambda h: h.acquire(),
    lambda h: h.acquire(False),
    lambda h: h.acquire(timeout=1),
    lambda h: h.release(),
    lambda h: h.locked(),
    lambda h: h.owner,
    lambda h: h.owner_died,
    lambda h: h.mark_consistent(),
)
SEMAPHORE_USES = (
    lambda h: h.acquire(),
    lambda h: h.acquire(False),
    lambda h: h.acquire(timeout=1),
    lambda h: h.release(),
    lambda h: h.release(2),
    lambda h: h.get_value(),
    lambda h: h.locked(),
)

SYNC_KINDS = (
    Kind(
        "lock",
        "Lock",
        lock,
        toggle_lock,
        lambda h: h.locked(),
        LOCK_USES,
        (lambda context, **options: context.Lock(on_owner_died="raise", **options), rlock, a_counter),
        closes=False,
        lasting=False,
    ),
    Kind(
        "rlock",
        "RLock",
        rlock,
        lambda h: h.acquire(),
        lambda h: h.statistics().count,
        LOCK_USES,
        (lambda context, **options: context.RLock(on_owner_died="raise", **options), lock, a_counter),
        closes=False,
        lasting=False,
    ),
    Kind(
        "semaphore",
        "Semaphore",
        semaphore,
        lambda h: h.release(),
        lambda h: h.get_value(),
        SEMAPHORE_USES,
        (lambda context, **options: context.Semaphore(6, **options), bounded, a_counter),
        closes=False,
    ),
    Kind(
        "bounded",
        "BoundedSemaphore",
        bounded,
        lambda h: h.acquire(False),
        lambda h: h.get_value(),
        SEMAPHORE_USES,
        (lambda context, **options: context.BoundedSemaphore(6, **options), semaphore, a_counter),
        closes=False,
        lasting=False,
    ),
    Kind(
        "event",
        "Event",
        event,
        toggle_event,
        lambda h: h.is_set(),
        (
            lambda h: h.is_set(),
            lambda h: h.set(),
            lambda h: h.clear(),
            lambda h: h.wait(),
            lambda h: h.wait(1),
        ),
        (lock, a_counter),
    ),
    Kind(
        "condition",
        "Condition",
        condition,
        lambda h: h.acquire(),
        lambda h: h.statistics().lock.count,
        (
            lambda h: h.acquire(),
            lambda h: h.release(),
            lambda h: h.wait(),
            lambda h: h.wait_for(lambda: False),
            lambda h: h.notify(),
            lambda h: h.notify_all(),
        ),
        (rlock, a_counter),
        closes=False,
        lasting=False,
    ),
    Kind(
        "barrier",
        "Barrier",
        barrier,
        toggle_barrier,
        lambda h: h.broken,
        (
            lambda h: h.wait(),
            lambda h: h.reset(),
            lambda h: h.abort(),
            lambda h: h.parties,
            lambda h: h.n_waiting,
            lambda h: h.broken,
        ),
        (lambda context, **options: context.Barrier(3, **options), a_counter),
    ),
    Kind(
        "rwlock",
        "RWLock",
        rwlock,
        lambda h: h.acquire_read(False),
        lambda h: sum(h.statistics().readers.values()),
        (
            lambda h: h.acquire_read(),
            lambda h: h.release_read(),
            lambda h: h.acquire_write(),
            lambda h: h.release_write(),
            lambda h: h.reader.acquire(),
            lambda h: h.writer.acquire(),
            lambda h: h.owner_died,
        ),
        (lock, a_counter),
        lasting=False,
    ),
)
