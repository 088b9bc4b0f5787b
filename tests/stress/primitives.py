"""The trial of each primitive under random kills."""

from __future__ import annotations

from stress.primitives_held import BoundedTrial, LockTrial, ReadWriteTrial, ReentrantTrial, SemaphoreTrial
from stress.primitives_rendezvous import BarrierTrial, ConditionTrial, EventTrial
from stress.trial import Trial

PRIMITIVES: dict[str, type[Trial]] = {
    "Lock": LockTrial,
    "RLock": ReentrantTrial,
    "RWLock": ReadWriteTrial,
    "Semaphore": SemaphoreTrial,
    "BoundedSemaphore": BoundedTrial,
    "Condition": ConditionTrial,
    "Event": EventTrial,
    "Barrier": BarrierTrial,
}
