"""The waits of event-loop tasks for a queue of threads."""

from typing import final

from typing_extensions import disjoint_base

from sharedkit._core.watcher import Waiter

@disjoint_base
class SideWaiter(Waiter): ...

@final
class GetWaiter(SideWaiter): ...

@final
class PutWaiter(SideWaiter):
    @property
    def put(self) -> int: ...

@final
class JoinWaiter(SideWaiter): ...

@final
class ReadyWaiter(SideWaiter): ...
