"""Which engine an executor gives its calls to."""

from __future__ import annotations

import sys
from typing import Any

from sharedkit.redis.engines.engine import Engine
from sharedkit.redis.engines.record import CallRecord
from sharedkit.redis.placement import Placement

__all__ = ["check", "engine_of"]


def check(on: Any) -> None:
    """Raise TypeError or ValueError if calls cannot be given to that object."""
    if on is None:
        raise TypeError(
            'an Executor of the placement "redis" runs its calls on a Dask or Ray cluster: Executor(on=client), with a '
            'distributed.Client, or Executor(on=ray); get_context("manager").Executor has workers of its own'
        )
    ray = sys.modules.get("ray")
    if ray is not None and on is ray:
        if not ray.is_initialized():
            raise ValueError("Ray has no cluster yet: call ray.init() before Executor(on=ray)")
        return
    distributed = sys.modules.get("distributed")  # whoever has a client has imported it
    if distributed is None or not isinstance(on, distributed.Client):
        raise TypeError(f"on must be a distributed.Client or the module ray, not {type(on).__name__}")
    if on.asynchronous:
        raise ValueError("on must be a synchronous client; await the executor's own futures with asyncio.wrap_future")
    if on.status != "running":
        raise ValueError(f"the Dask client is {on.status}")


def engine_of(on: Any, home: Placement, record: CallRecord) -> Engine:
    """The engine for what `check` has taken. The imports are here because each needs packages of its own."""
    if on is sys.modules.get("ray"):
        from sharedkit.redis.engines.ray import RayEngine

        return RayEngine(home, record)
    from sharedkit.redis.engines.dask import DaskEngine

    return DaskEngine(on)
