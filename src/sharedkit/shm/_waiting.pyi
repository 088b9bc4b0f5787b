"""Waiting in slices: bounded sleeps, between which signal handlers run."""

from typing import Any

from typing_extensions import disjoint_base

from sharedkit._core.watcher import Waiter

@disjoint_base
class SliceWaiter(Waiter): ...

class ReadyWaiter(SliceWaiter): ...

def wait_for_any(waiters: list[Any], deadline: float | None) -> list[int]: ...
