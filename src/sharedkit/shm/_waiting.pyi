"""Waiting in slices: bounded sleeps, between which signal handlers run."""

from typing_extensions import disjoint_base

from sharedkit._core.watcher import Waiter

@disjoint_base
class SliceWaiter(Waiter): ...
