"""Taking one item from a queue, and the wait of a task at a queue."""

from typing_extensions import disjoint_base

from sharedkit._core.watcher import Waiter

@disjoint_base
class QueueWaiter(Waiter): ...
