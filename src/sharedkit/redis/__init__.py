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

from sharedkit.redis.counter import Counter, Counters
from sharedkit.redis.event import Event
from sharedkit.redis.executor import Executor
from sharedkit.redis.lock import Lock, RLock
from sharedkit.redis.placement import ALIASES, KINDS, MISSING, Placement, at
from sharedkit.redis.queue import Queue
from sharedkit.redis.semaphore import BoundedSemaphore, Semaphore

__all__ = [
    "BoundedSemaphore",
    "Counter",
    "Counters",
    "Event",
    "Executor",
    "JoinableQueue",
    "Lock",
    "Placement",
    "Queue",
    "RLock",
    "Semaphore",
    "SimpleQueue",
    "at",
]

if int(_redis.__version__.partition(".")[0]) < 8:
    raise ImportError(f'the placement "redis" needs redis-py 8 or later, not {_redis.__version__}')
del _hiredis, _redis

JoinableQueue = SimpleQueue = Queue  # its interface includes those of both
ALIASES.update(JoinableQueue="Queue", SimpleQueue="Queue")
KINDS.update(
    {cls.kind: cls for cls in (BoundedSemaphore, Counter, Counters, Event, Executor, Lock, Queue, RLock, Semaphore)}
)
MISSING.update(
    {
        name: f'there is no {name} in the placement "redis" yet; get_context("manager").{name} is for processes '
        "of many machines, too"
        for name in (
            "Array", "Barrier", "Condition", "Dict", "LifoQueue", "PriorityQueue", "RWLock", "RawValue",
            "Set", "Value",
        )
    }
)  # fmt: skip
