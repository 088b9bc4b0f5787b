"""Every class of a placement is what its protocol says: mypy checks the assignments, and nothing else is done."""

from __future__ import annotations

from typing import Any

from sharedkit import manager, protocols, shm, thread

in_threads: tuple[
    type[protocols.Array],
    type[protocols.Barrier],
    type[protocols.BoundedSemaphore],
    type[protocols.Condition],
    type[protocols.Counter],
    type[protocols.Counters],
    type[protocols.Dict],
    type[protocols.Event],
    type[protocols.Lock],
    type[protocols.Queue[Any]],
    type[protocols.RLock],
    type[protocols.RWLock],
    type[protocols.Semaphore],
] = (
    thread.Array,
    thread.Barrier,
    thread.BoundedSemaphore,
    thread.Condition,
    thread.Counter,
    thread.Counters,
    thread.Dict,
    thread.Event,
    thread.Lock,
    thread.Queue,
    thread.RLock,
    thread.RWLock,
    thread.Semaphore,
)

in_shared_memory: tuple[
    type[protocols.Array],
    type[protocols.Barrier],
    type[protocols.BoundedSemaphore],
    type[protocols.Condition],
    type[protocols.Counter],
    type[protocols.Counters],
    type[protocols.Dict],
    type[protocols.Event],
    type[protocols.Lock],
    type[protocols.Queue[Any]],
    type[protocols.RLock],
    type[protocols.RWLock],
    type[protocols.Semaphore],
] = (
    shm.Array,
    shm.Barrier,
    shm.BoundedSemaphore,
    shm.Condition,
    shm.Counter,
    shm.Counters,
    shm.Dict,
    shm.Event,
    shm.Lock,
    shm.Queue,
    shm.RLock,
    shm.RWLock,
    shm.Semaphore,
)

behind_a_server: tuple[
    type[protocols.Array],
    type[protocols.Barrier],
    type[protocols.BoundedSemaphore],
    type[protocols.Condition],
    type[protocols.Counter],
    type[protocols.Counters],
    type[protocols.Dict],
    type[protocols.Event],
    type[protocols.Lock],
    type[protocols.Queue[Any]],
    type[protocols.RLock],
    type[protocols.RWLock],
    type[protocols.Semaphore],
] = (
    manager.Array,
    manager.Barrier,
    manager.BoundedSemaphore,
    manager.Condition,
    manager.Counter,
    manager.Counters,
    manager.Dict,
    manager.Event,
    manager.Lock,
    manager.Queue,
    manager.RLock,
    manager.RWLock,
    manager.Semaphore,
)
