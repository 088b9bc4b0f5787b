"""Placement `redis`: the state lives in a Redis or Valkey server, for processes of many machines.

Needs the extra `sharedkit[redis]`.
"""

try:
    import hiredis as _hiredis
    import redis as _redis
except ImportError as why:
    raise ImportError(
        f'the placement "redis" needs redis-py and hiredis: pip install "sharedkit[redis]" ({why})'
    ) from why

from typing import Any as _Any

from sharedkit._core.unsupported import absent as _absent
from sharedkit.redis.array import Array
from sharedkit.redis.barrier import Barrier
from sharedkit.redis.condition import Condition
from sharedkit.redis.counter import Counter, Counters
from sharedkit.redis.dict import Dict
from sharedkit.redis.event import Event
from sharedkit.redis.executor import Executor
from sharedkit.redis.lock import Lock, RLock
from sharedkit.redis.placement import ALIASES, KINDS, MISSING, Placement, at
from sharedkit.redis.queue import Queue
from sharedkit.redis.rwlock import RWLock
from sharedkit.redis.semaphore import BoundedSemaphore, Semaphore
from sharedkit.redis.set import Set
from sharedkit.redis.value import RawValue, Value

__all__ = [
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Counter",
    "Counters",
    "Dict",
    "Event",
    "Executor",
    "JoinableQueue",
    "Lock",
    "Placement",
    "Queue",
    "RLock",
    "RWLock",
    "RawValue",
    "Semaphore",
    "Set",
    "SimpleQueue",
    "Value",
    "at",
]

if int(_redis.__version__.partition(".")[0]) < 8:
    raise ImportError(f'the placement "redis" needs redis-py 8 or later, not {_redis.__version__}')
del _hiredis, _redis

JoinableQueue = SimpleQueue = Queue  # its interface includes those of both
ALIASES.update(JoinableQueue="Queue", SimpleQueue="Queue")
KINDS.update(
    {
        cls.kind: cls
        for cls in (
            Array,
            Barrier,
            BoundedSemaphore,
            Condition,
            Counter,
            Counters,
            Dict,
            Event,
            Executor,
            Lock,
            Queue,
            RLock,
            RWLock,
            RawValue,
            Semaphore,
            Set,
            Value,
        )
    }
)
MISSING["Stream"] = (
    'there is no Stream in the placement "redis" yet: get_context("shm").Stream is for the processes of one machine'
)
MISSING.update(
    {
        name: f'there is no {name} in the placement "redis" yet; get_context("manager").{name} is for processes '
        "of many machines, too"
        for name in (
            "LifoQueue", "PriorityQueue",
        )
    }
)  # fmt: skip


def __getattr__(name: str) -> _Any:
    raise _absent(__name__, name, MISSING)
