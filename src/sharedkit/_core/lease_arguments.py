"""The arguments of `Queue.lease` and of `Queue(overflow=...)`. The same in every placement."""

from __future__ import annotations

from typing import Any, Literal

from sharedkit._core.counts import how_many

__all__ = ["Overflow", "checked_overflow", "checked_policy", "no_leases"]

Overflow = Literal["block", "drop_oldest"]


def checked_overflow(overflow: str, maxsize: int) -> bool:
    """Return whether a put drops the first item of a full queue. Raises ValueError."""
    if overflow not in ("block", "drop_oldest"):
        raise ValueError(f"overflow must be 'block' or 'drop_oldest': {overflow!r}")
    if overflow == "drop_oldest" and maxsize <= 0:
        raise ValueError(f"overflow='drop_oldest' needs a maxsize of at least 1: {maxsize}")
    return overflow == "drop_oldest"


def checked_policy(max_deliveries: int | None, dead_letter: Any, own: Any) -> int:
    """Return how often an item is delivered at most; 0: any number of times. Raises TypeError, ValueError."""
    if max_deliveries is None and dead_letter is None:
        return 0
    if max_deliveries is None or dead_letter is None:
        raise ValueError("max_deliveries and dead_letter go together: one says when, the other where to")
    most = how_many(max_deliveries)
    if most < 1:
        raise ValueError(f"max_deliveries must be at least 1: {most}")
    if not callable(getattr(dead_letter, "put_nowait", None)):
        raise TypeError(f"dead_letter must be a queue, not {type(dead_letter).__name__}")
    if dead_letter is own:
        raise ValueError("dead_letter must be another queue")
    return most


def no_leases() -> NotImplementedError:
    """The error of `lease` in a placement that has none."""
    return NotImplementedError(
        "queues behind a server have no leases; those in shared memory and for threads have. In Redis an item comes "
        "back anyway if its consumer dies before its next call on the queue (ack='auto')"
    )
